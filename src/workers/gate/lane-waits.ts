/** Who waits in this process for another key's lane to go on. */
export class LaneWaits {
  readonly #waiting = new Map<string, Set<AbortController>>();

  /** Until it is aborted, or forgotten. */
  add(keys: readonly string[], wake: AbortController): void {
    for (const key of keys) {
      const waiting = this.#waiting.get(key);
      if (waiting === undefined) this.#waiting.set(key, new Set([wake]));
      else waiting.add(wake);
    }
  }

  forget(keys: readonly string[], wake: AbortController): void {
    for (const key of keys) {
      const waiting = this.#waiting.get(key);
      waiting?.delete(wake);
      if (waiting?.size === 0) this.#waiting.delete(key);
    }
  }

  goneOn(key: string): void {
    if (this.#waiting.size === 0) return; // nearly always
    for (const wake of this.#waiting.get(key) ?? []) wake.abort();
  }
}
