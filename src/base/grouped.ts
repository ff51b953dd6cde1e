/** 67549 -> "67,549" */
export function grouped(number: number): string {
  return number.toLocaleString('en-US');
}
