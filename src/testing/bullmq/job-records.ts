/** The records of a played queue's jobs, and who is told what happens to them. */
import type { MemoryJob } from '../../jobs/memory/memory-job.ts';
import type { JobListener, JobRecord, NewJob } from './job-record.ts';

export class JobRecords {
  /** By id, the last one that has it. */
  readonly #byId = new Map<string, JobRecord>();
  readonly #all = new Set<JobRecord>();
  readonly #generations = new Map<string, number>();
  readonly #listeners: JobListener[] = [];

  /** The last job of that id, also if it is removed. */
  get(jobId: string): JobRecord | undefined {
    return this.#byId.get(jobId);
  }

  /** In the order in which they were enqueued. */
  all(): readonly JobRecord[] {
    return [...this.#all];
  }

  /** @param isOwnId the id is its user's choice */
  make(added: NewJob, job: MemoryJob, timestamp: number, isOwnId: boolean): JobRecord {
    const record: JobRecord = {
      job,
      key: added.key,
      keys: added.keys,
      options: added.options,
      generation: this.#generationOf(job.id, isOwnId),
      timestamp,
      isRemoved: false,
      isPrioritized: false,
      deliveries: 0,
      delayedFor: undefined,
      error: undefined,
      result: '',
      logs: [],
      lastOutcome: '',
    };
    this.#byId.set(job.id, record);
    this.#all.add(record);
    return record;
  }

  listen(listener: JobListener): void {
    this.#listeners.push(listener);
  }

  /** All who listen. */
  tell<Event extends keyof JobListener>(
    event: Event,
    ...facts: Parameters<Required<JobListener>[Event]>
  ): void {
    for (const listener of this.#listeners) {
      (listener as Record<Event, ((...facts: unknown[]) => void) | undefined>)[event]?.(...facts);
    }
  }

  /** It is found by its id still, but counts no more. */
  forget(record: JobRecord): void {
    this.#all.delete(record);
  }

  /** Only an id of its user's may be used again. */
  #generationOf(jobId: string, isOwn: boolean): number {
    if (!isOwn) return 1;
    const generation = (this.#generations.get(jobId) ?? 0) + 1;
    this.#generations.set(jobId, generation);
    return generation;
  }
}
