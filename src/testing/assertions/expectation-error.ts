/** What assertions throw, in any test runner. */

/** Runners that show a difference find it in `actual` and `expected`. */
export class ExpectationError extends Error {
  override readonly name: string = 'ExpectationError';
  readonly actual: unknown;
  readonly expected: unknown;

  constructor(message: string, actual?: unknown, expected?: unknown) {
    super(message);
    this.actual = actual;
    this.expected = expected;
  }
}

/** There was nothing to be looked at, so that neither a pass nor a failure would show anything. */
export class VacuousExpectationError extends ExpectationError {
  override readonly name: string = 'VacuousExpectationError';
}
