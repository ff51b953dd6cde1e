/** Lines that end at once when the process is told to stop, whatever they are waiting for. */

/**
 * The same lines. Once the signal aborts they throw its reason, also while the next one is awaited (from a
 * pipe that says nothing, from a Redis that does not answer), and their source is asked for no more.
 */
export async function* abortable(
  lines: AsyncIterable<string> | Iterable<string>,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  const source =
    Symbol.asyncIterator in lines ? lines[Symbol.asyncIterator]() : lines[Symbol.iterator]();
  let refuse: (reason: unknown) => void = () => undefined;
  const abort = (): void => refuse(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  // Not Promise.race with one promise for all lines: that would remember every line's.
  const next = (): Promise<IteratorResult<string>> =>
    new Promise((resolve, reject) => {
      refuse = reject;
      Promise.resolve(source.next()).then(resolve, reject);
    });
  try {
    for (;;) {
      signal.throwIfAborted();
      const { done, value } = await next();
      if (done === true) return;
      yield value;
    }
  } finally {
    signal.removeEventListener('abort', abort);
    // Whoever reads these stopped early: the file behind them is closed. An aborted one may never answer.
    if (!signal.aborted) await source.return?.();
  }
}
