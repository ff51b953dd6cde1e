/** Being told to stop: once means in good order, twice means at once. */
import { constants } from 'node:os';
import { note } from './terminal.ts';

const STOPPING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
type Stopping = (typeof STOPPING)[number];

/** What a shell reports of a process that ended by this signal. */
function exitCodeOfSignal(signal: Stopping): number {
  return 128 + constants.signals[signal];
}

/** Calls `stop` at the first signal; the second one ends the process. Returns how to listen no more. */
export function onceToldToStop(stop: (signal: Stopping) => void): () => void {
  let told = false;
  const listen = (signal: Stopping): void => {
    if (told) process.exit(exitCodeOfSignal(signal));
    told = true;
    stop(signal);
  };
  for (const signal of STOPPING) process.on(signal, listen);
  return () => {
    for (const signal of STOPPING) process.off(signal, listen);
  };
}

/**
 * Runs `work`, which must clean up behind itself when it is aborted, and returns its exit code, or
 * that of the signal.
 */
export async function interruptible(
  work: (signal: AbortSignal) => Promise<number>,
): Promise<number> {
  const controller = new AbortController();
  let exitCode = 0;
  const listenNoMore = onceToldToStop((signal) => {
    exitCode = exitCodeOfSignal(signal);
    note(`${signal}: cleaning up`);
    controller.abort(new Error(`interrupted by ${signal}`));
  });
  try {
    return await work(controller.signal);
  } catch (thrown) {
    if (controller.signal.aborted) return exitCode;
    throw thrown;
  } finally {
    listenNoMore();
  }
}

/** Rejects with the signal's reason once it aborts. */
export function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}
