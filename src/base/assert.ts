/** A programmer's fault, not an operating one: on in production too. A turn that meets one is told as INTERNAL. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

export function assert(condition: boolean, what: string): asserts condition {
  if (!condition) throw new AssertionError(`this cannot be: ${what}. It is a fault of Toril.`);
}
