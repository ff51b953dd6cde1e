/** All workers of a test bed as one Worker: `bed.asWorker()`. */
import { EventEmitter } from 'node:events';
import type { WorkerEventName } from '../../workers/worker-events.ts';
import { BedJob, type BedJobParts } from './bed-job.ts';
import type { BedQueueParts } from './bed-queue.ts';

export interface BedWorkerParts extends BedQueueParts {
  readonly concurrency: number;
  /** Whether jobs are handed out. */
  readonly setResting: (isResting: boolean) => void;
}

/** All workers of a bed as one. */
export class BedWorker extends EventEmitter {
  readonly name: string;
  readonly qualifiedName: string;
  readonly concurrency: number;
  readonly counts: Partial<Record<WorkerEventName, number>> = {};
  closing: Promise<void> | undefined;
  readonly #setResting: (isResting: boolean) => void;
  #isPaused = false;

  constructor(parts: BedWorkerParts) {
    super();
    const { queue, queueName, qualifiedName } = parts;
    this.name = queueName;
    this.qualifiedName = qualifiedName;
    this.concurrency = parts.concurrency;
    this.#setResting = parts.setResting;
    const jobs: BedJobParts = {
      ...{ queueName, qualifiedName },
      find: (jobId) => queue.record(jobId),
      finished: () => Promise.resolve(),
      retry: (jobId) => void queue.reprocess(jobId),
      remove: (jobId) => parts.removing.remove(jobId),
    };
    queue.listen({
      finished: (record, state) => {
        const job = new BedJob(record, jobs);
        if (state === 'completed') this.emit('completed', job, job.returnvalue, 'active');
        else this.emit('failed', job, record.error, 'active');
      },
      retried: (record) => {
        this.emit('failed', new BedJob(record, jobs), record.error, 'active');
      },
    });
  }

  /** What a gate reported. */
  tell(type: WorkerEventName, facts: object): void {
    this.counts[type] = (this.counts[type] ?? 0) + 1;
    this.emit(type, facts);
  }

  async waitUntilReady(): Promise<void> {}
  async run(): Promise<void> {}

  /** No job is handed out any more; the bed's other ways to run it go on. */
  async pause(): Promise<void> {
    this.#isPaused = true;
    this.#setResting(true);
  }

  async resume(): Promise<void> {
    this.#isPaused = false;
    if (this.closing === undefined) this.#setResting(false);
  }

  isPaused(): boolean {
    return this.#isPaused;
  }

  isRunning(): boolean {
    return this.closing === undefined;
  }

  close(): Promise<void> {
    this.#setResting(true);
    this.closing ??= Promise.resolve();
    return this.closing;
  }

  async disconnect(): Promise<void> {}
}
