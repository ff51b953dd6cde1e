/** Numbers as tables show them. */

export function whole(number: number): string {
  return Math.round(number).toLocaleString('en');
}

/** Null: there was nothing to count. */
export function count(number: number | null): string {
  return number === null ? '-' : whole(number);
}
