/** Enqueues the jobs of a recording as they came, or faster. */
import { pause, systemClock } from '../../../base/clock.ts';
import { messageOf, TorilError } from '../../../errors.ts';
import type { Queue } from '../../../jobs/queue.ts';
import type { AnyUpdate } from '../../../updates/update.ts';
import { UpdateRegistry } from '../../../updates/update-registry.ts';
import { checkJob, type JobOptions } from '../../enqueue/job-lines.ts';
import { isTorilError } from '../../terminal/failure.ts';
import { type RecordedEntry, recordedJobs } from './recorded-jobs.ts';

/** As many as Toril adds in one transaction. */
const CHUNK_JOBS = 500;

export interface Surveyed {
  readonly jobs: number;
  /** Without name or data: they had been removed, or were no JSON. */
  readonly leftOut: number;
  /** Milliseconds from the first to the last. */
  readonly spanMs: number;
}

/**
 * Reads the file to its end, so that nothing of a damaged one is enqueued.
 * @param updates undefined: names and data are not checked
 * @throws TorilError as `replay`; what is wrong with a job, with its line
 */
export async function survey(
  file: string,
  updates: readonly AnyUpdate[] | undefined,
): Promise<Surveyed> {
  const registry = updates && new UpdateRegistry(updates);
  let [jobs, leftOut, spanMs] = [0, 0, 0];
  const leaveOut = (): void => void (leftOut += 1);
  for await (const { name, data, afterMs, line } of recordedJobs(file, leaveOut)) {
    jobs += 1;
    spanMs = Math.max(spanMs, afterMs);
    if (registry === undefined) continue;
    try {
      await checkJob(registry, { name, data, opts: {} });
    } catch (cause) {
      const code = isTorilError(cause) ? cause.code : 'INVALID_DATA';
      throw new TorilError(
        code,
        `line ${line} of ${file}: ${messageOf(cause).replace(/\.$/, '')}. Nothing was enqueued.`,
        { cause },
      );
    }
  }
  return { jobs, leftOut, spanMs };
}

export interface LoadOrder {
  readonly file: string;
  readonly queue: Queue;
  /** Times as fast as it was; Infinity: as fast as it can be. */
  readonly rate: number;
  readonly options: JobOptions;
  readonly signal: AbortSignal;
  readonly onProgress: (jobs: number) => void;
}

export interface Loaded {
  readonly enqueued: number;
  readonly ms: number;
  /** How far behind its time a job was enqueued, at most; 0 where there is no time to be kept. */
  readonly latestMs: number;
}

/** Ends early, without an error, once the signal aborts. @throws TorilError, with how many were enqueued */
export async function load(order: LoadOrder): Promise<Loaded> {
  const loading = new Loading(order);
  for await (const entry of recordedJobs(order.file)) {
    await loading.next(entry);
    if (order.signal.aborted) return loading.loaded;
  }
  await loading.flush();
  return loading.loaded;
}

class Loading {
  readonly #order: LoadOrder;
  readonly #startedMs: number = systemClock.monotonicMs();
  #chunk: RecordedEntry[] = [];
  #enqueued = 0;
  #latestMs = 0;

  constructor(order: LoadOrder) {
    this.#order = order;
  }

  get loaded(): Loaded {
    return { enqueued: this.#enqueued, ms: this.#elapsedMs(), latestMs: this.#latestMs };
  }

  async next(entry: RecordedEntry): Promise<void> {
    if (this.#dueMs(entry) > this.#elapsedMs()) {
      await this.flush(); // it has waited long enough
      const waitMs = this.#dueMs(entry) - this.#elapsedMs();
      if (waitMs > 0) await pause(systemClock, waitMs, this.#order.signal);
      if (this.#order.signal.aborted) return;
    }
    this.#chunk.push(entry);
    if (this.#chunk.length >= CHUNK_JOBS) await this.flush();
  }

  async flush(): Promise<void> {
    const chunk = this.#chunk;
    this.#chunk = [];
    if (chunk.length === 0) return;
    const { queue, options, onProgress } = this.#order;
    try {
      await queue.addBulk(chunk.map(({ name, data }) => ({ name, data, opts: { ...options } })));
    } catch (cause) {
      throw this.#failed(chunk.length, cause);
    }
    this.#enqueued += chunk.length;
    for (const entry of chunk) this.#note(entry);
    onProgress(this.#enqueued);
  }

  #note(entry: RecordedEntry): void {
    if (!Number.isFinite(this.#order.rate)) return;
    this.#latestMs = Math.max(this.#latestMs, this.#elapsedMs() - this.#dueMs(entry));
  }

  #failed(jobs: number, cause: unknown): TorilError {
    // Toril refuses a chunk before it adds anything of it; what comes from Redis may have happened.
    const isRefused = isTorilError(cause) && cause.code !== 'OUTCOME_UNKNOWN';
    const fate = isRefused ? 'were not' : 'were enqueued or not: that is unknown';
    return new TorilError(
      isRefused ? cause.code : 'OUTCOME_UNKNOWN',
      `${messageOf(cause).replace(/\.$/, '')}. ${this.#enqueued} jobs were enqueued; the next ${jobs} ${fate}; none after them.`,
      { cause },
    );
  }

  #dueMs({ afterMs }: RecordedEntry): number {
    return afterMs / this.#order.rate;
  }

  #elapsedMs(): number {
    return systemClock.monotonicMs() - this.#startedMs;
  }
}
