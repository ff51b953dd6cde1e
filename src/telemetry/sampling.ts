/** Of which turns durations and sizes are recorded: of all, unless there are more than so many in a second. */

/**
 * Turns per second and worker: at 20 µs for each, 0.2 % of a core, also of one that a worker shares with others. A worker that gets a fifth of a core
 * makes some 2,000 turns per second: with 500, it would record every fourth.
 */
const TURNS_RECORDED_PER_S = 100;
const WINDOW_MS = 1_000;

/** In the first second of a burst nobody knows its rate yet: each time so many were recorded, half as many are from there on. */
const HALVED_AFTER = TURNS_RECORDED_PER_S / 2;

export class Sampling {
  #every = 1;
  #turns = 0;
  #recorded = 0;
  #untilMs = 0;

  /** Whether the turn that begins now is recorded. The rate of the last second says how many are left out. */
  next(nowMs: number): boolean {
    if (nowMs >= this.#untilMs) this.#newWindow(nowMs);
    if (this.#turns++ % this.#every !== 0) return false;
    this.#recorded++;
    if (this.#recorded > TURNS_RECORDED_PER_S && this.#recorded % HALVED_AFTER === 0)
      this.#every *= 2;
    return true;
  }

  #newWindow(nowMs: number): void {
    // A worker that was idle for minutes has had few turns in a long time.
    const elapsedMs = nowMs - this.#untilMs + WINDOW_MS;
    const perSecond = (this.#turns * WINDOW_MS) / elapsedMs;
    this.#every = Math.max(1, Math.ceil(perSecond / TURNS_RECORDED_PER_S));
    this.#turns = 0;
    this.#recorded = 0;
    this.#untilMs = nowMs + WINDOW_MS;
  }
}
