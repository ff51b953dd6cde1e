/** A wall clock that somebody sets wrong while the process runs. Monotonic time and timers go on as they did. */
const RightDate = Date;
let aheadMs = 0;

class WrongDate extends RightDate {
  constructor(...parts: [] | [number | string | Date]) {
    if (parts.length === 0) super(WrongDate.now());
    else super(...parts);
  }

  static override now(): number {
    return RightDate.now() + aheadMs;
  }
}

/** For all code of the process that asks later. */
export function setClockAhead(byMs: number): void {
  aheadMs = byMs;
  globalThis.Date = WrongDate as DateConstructor;
}
