/**
 * The only source of time. Trust in a lease is counted on the monotonic clock, which no operator
 * or time server can move; wall time is for people and for expiry dates.
 */
export interface Clock {
  /** Milliseconds on a clock that never goes back; its zero means nothing. */
  monotonicMs(): number;
  /** Milliseconds since 1970, as the machine believes. */
  wallMs(): number;
  /** Calls back once after `delayMs`; a timer does not keep the process alive unless `keepAlive`. */
  after(delayMs: number, callback: () => void, options?: { readonly keepAlive?: boolean }): Timer;
  /**
   * Calls back once everything that follows from this moment's event has run, and before the next
   * event is looked at: where requests gather.
   */
  soon(callback: () => void): void;
}

export interface Timer {
  cancel(): void;
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, callback, options) {
    const handle = setTimeout(callback, delayMs);
    if (options?.keepAlive !== true) handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
  soon: (callback) => process.nextTick(callback),
};

/** Milliseconds since 1970 as ISO 8601, in UTC. */
export function isoTime(wallMs: number): string {
  return new Date(wallMs).toISOString();
}

/** Whether `promise` settles, one way or the other, within `ms`; not waited for any longer once `signal` aborts. */
export async function settlesWithin(
  clock: Clock,
  ms: number,
  promise: Promise<unknown>,
  signal?: AbortSignal,
): Promise<boolean> {
  const over = new AbortController();
  const end = (): void => over.abort();
  signal?.addEventListener('abort', end, { once: true });
  if (signal?.aborted === true) end();
  try {
    const settled = promise.then(
      () => true,
      () => true,
    );
    return await Promise.race([settled, pause(clock, ms, over.signal).then(() => false)]);
  } finally {
    signal?.removeEventListener('abort', end);
    end();
  }
}

/**
 * Resolves after `delayMs`, or at once when `signal` aborts. Never rejects.
 * @param keepAlive false: nobody waits for what follows
 */
export function pause(
  clock: Clock,
  delayMs: number,
  signal?: AbortSignal,
  keepAlive = true,
): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const done = (): void => {
      timer.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.after(delayMs, done, { keepAlive });
    signal?.addEventListener('abort', done, { once: true });
  });
}
