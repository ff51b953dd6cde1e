/**
 * Real time, which virtual time has to wait for now and then. Taken when this file is loaded, so that
 * a test may put fake timers in place of the global ones afterwards.
 */
// oxlint-disable-next-line eslint/no-restricted-imports -- this is where virtual time touches real time
import { clearTimeout, setImmediate, setTimeout } from 'node:timers';

const immediately = setImmediate;
const later = setTimeout;
const cancel = clearTimeout;

/** Calls back in Node's next turn; callbacks run in their order, with all promises in between. */
export function nextTurn(callback: () => void): void {
  immediately(callback);
}

/**
 * What users' asynchronous updates do outside of virtual time: files, sockets, real timers. It is
 * waited for, so that a run does not depend on how fast the machine is.
 */
export class OutsideWork {
  readonly #waitMs: number;
  /** True: it was waited for long enough, and may never settle. */
  readonly #pending = new Map<
    PromiseLike<unknown>,
    { isGivenUp: boolean; readonly onGivenUp: (waitedMs: number) => void }
  >();
  #onSettled: (() => void) | undefined;

  /** @param waitMs real milliseconds for which one piece of work is waited for */
  constructor(waitMs: number) {
    this.#waitMs = waitMs;
  }

  /** @param onGivenUp it was waited for long enough: virtual time goes on without it */
  watch<T>(promise: PromiseLike<T>, onGivenUp: (waitedMs: number) => void): PromiseLike<T> {
    const settled = (): void => {
      this.#pending.delete(promise);
      this.#onSettled?.();
    };
    this.#pending.set(promise, { isGivenUp: false, onGivenUp });
    promise.then(settled, settled);
    return promise;
  }

  /** Waits until something settles. False: there is nothing to wait for. */
  async wait(): Promise<boolean> {
    const awaited = [...this.#pending.values()].filter(({ isGivenUp }) => !isGivenUp);
    if (awaited.length === 0) return false;
    await new Promise<void>((resolve) => {
      const timer = later(() => {
        for (const one of awaited) {
          one.isGivenUp = true;
          one.onGivenUp(this.#waitMs);
        }
        resolve();
      }, this.#waitMs);
      this.#onSettled = () => {
        cancel(timer);
        resolve();
      };
    });
    this.#onSettled = undefined;
    return true;
  }
}
