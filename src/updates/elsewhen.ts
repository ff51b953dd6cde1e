/** For a check of updates: the wall clock as it will be another time. */

/** Milliseconds: another year, month, day of the week, hour, minute, second. */
const SHIFT_MS = 400 * 86_400_000 + 5 * 3_600_000 + 67_123;

/**
 * Calls `act` while `Date` tells another time. Two calls in the same millisecond would not show that
 * what they do depends on the clock. Only what runs before `act` returns is affected: nobody else
 * runs meanwhile.
 */
export function elsewhen<T>(act: () => T): T {
  const real = globalThis.Date;
  const now = (): number => real.now() + SHIFT_MS;
  const shifted: DateConstructor = new Proxy(real, {
    construct: (_, args: [] | [number]) =>
      args.length === 0 ? new real(now()) : new real(...args),
    apply: () => new real(now()).toString(),
    get: (target, name) => (name === 'now' ? now : (Reflect.get(target, name) as unknown)),
  });
  globalThis.Date = shifted;
  try {
    return act();
  } finally {
    globalThis.Date = real;
  }
}
