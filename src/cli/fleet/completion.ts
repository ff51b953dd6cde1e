/** Waiting for the jobs of a queue, with an eye on whether they get anywhere. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Queue } from '../../jobs/queue.ts';
import { asking } from '../servers/connections.ts';
import type { Progress } from '../terminal/progress.ts';

const POLL_MS = 50;
/** Milliseconds without any progress after which nobody should wait any longer. */
const STUCK_MS = 60_000;

export interface Finished {
  readonly completed: number;
  readonly failed: number;
}

export interface CompletionOptions {
  readonly queue: Queue;
  readonly progress: Progress;
  /** Ends the waiting. */
  readonly signal: AbortSignal;
  /** Looked after at every poll. */
  readonly onPoll?: () => Promise<void>;
}

export class Completion {
  readonly #options: CompletionOptions;
  #finished: Finished = { completed: 0, failed: 0 };

  constructor(options: CompletionOptions) {
    this.#options = options;
  }

  /**
   * Waits until `jobs` jobs have completed or failed. False: gave up, since nothing had happened for
   * a minute. Throws the signal's reason.
   */
  async reach(jobs: number): Promise<boolean> {
    const { queue, progress, signal, onPoll } = this.#options;
    let movedAtMs = performance.now();
    for (;;) {
      const before = this.#total();
      this.#finished = await finished(queue);
      await onPoll?.();
      const total = this.#total();
      progress.update(total);
      if (total >= jobs) return true;
      const nowMs = performance.now();
      if (total !== before) movedAtMs = nowMs;
      else if (nowMs - movedAtMs > STUCK_MS) return false;
      await sleep(POLL_MS, undefined, { signal });
    }
  }

  get finished(): Finished {
    return this.#finished;
  }

  #total(): number {
    return this.#finished.completed + this.#finished.failed;
  }
}

async function finished(queue: Queue): Promise<Finished> {
  const counts = await asking(queue.getJobCounts('completed', 'failed'));
  return { completed: counts['completed'] ?? 0, failed: counts['failed'] ?? 0 };
}
