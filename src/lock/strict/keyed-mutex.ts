/**
 * Lets the callers of one process through one at a time per key, first come, first served: they
 * would otherwise contend for the lease through memcached, each polling, without any order. As many
 * can wait as there are callers.
 */
export class KeyedMutex {
  /** A key is in the map while somebody is inside; those behind it wait. */
  readonly #waiting = new Map<string, Set<() => void>>();

  /**
   * Resolves with true once inside (then `leave` is due), or with false when `signal` aborts first.
   * The signal is the caller's own for this one wait: what listens to it is not taken away again.
   */
  enter(key: string, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) {
      this.#waiting.set(key, new Set());
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const admit = (): void => resolve(true);
      const giveUp = (): void => {
        waiting.delete(admit);
        resolve(false); // of no effect after `admit`
      };
      waiting.add(admit);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  leave(key: string): void {
    const waiting = this.#waiting.get(key);
    const [next] = waiting ?? [];
    if (waiting === undefined || next === undefined) {
      this.#waiting.delete(key);
      return;
    }
    waiting.delete(next);
    next();
  }
}
