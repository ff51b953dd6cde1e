/** Memory that requests are written into, one behind the other. */
export interface Room {
  readonly bytes: Buffer;
  /** The same memory. */
  readonly view: DataView;
  /** Where the next one begins. */
  used: number;
}

export function roomOf(size: number): Room {
  const bytes = Buffer.allocUnsafeSlow(size);
  return { bytes, view: new DataView(bytes.buffer), used: 0 };
}
