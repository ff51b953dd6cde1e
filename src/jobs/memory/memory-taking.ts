/** What a combiner is given of a lane, in memory: what scripts/take.ts does. */
import type { Clock } from '../../base/clock.ts';
import type { DataSet } from '../../redis/data-set.ts';
import type { JointHead } from '../joint-lanes.ts';
import type { LaneEntry } from '../lane.ts';
import type { Taken, TakeRequest } from '../lanes.ts';
import type { LaneOrders } from './lane-orders.ts';
import type { MemoryCopies } from './memory-copies.ts';
import type { MemoryHistory } from './memory-history.ts';
import { entryOf, isFinished, isOf, type MemoryJob } from './memory-job.ts';
import type { BatchInHand, MemoryJoint } from './memory-joint.ts';

export interface MemoryTakingParts {
  readonly jobs: ReadonlyMap<string, MemoryJob>;
  readonly lanes: LaneOrders;
  readonly copies: MemoryCopies;
  readonly history: MemoryHistory;
  readonly joint: MemoryJoint;
  /** Batches that somebody has in hand, by key. */
  readonly inHand: Map<string, BatchInHand>;
  readonly clock: Clock;
  /** Enters a lane, at its end. Returns the sequence. */
  readonly enter: (key: string, jobId: string) => number;
  readonly dataSet: () => DataSet;
  /** Only delivered jobs may be applied. */
  readonly isRestricted: () => boolean;
}

/** What one call takes. */
interface Head {
  readonly entries: LaneEntry[];
  /** Of all that the lane began with. */
  readonly present: Set<string>;
  readonly gone: string[];
  /** Bytes, as Redis counts; infinite: nothing more is taken. */
  dataBytes: number;
}

export class MemoryTaking {
  readonly #parts: MemoryTakingParts;

  constructor(parts: MemoryTakingParts) {
    this.#parts = parts;
  }

  take(request: TakeRequest): Taken {
    const { lanes, copies, history, joint: runs, isRestricted } = this.#parts;
    const { key, cell } = request;
    const dataSet = this.#parts.dataSet(); // before the first number that belongs to it
    const token = lanes.draw();
    const copy = runs.copyOf(key, cell);
    const head = this.#head(request);
    const decided = this.#arrivals(request, head);
    if (head.entries.length > 0) copies.keep(key);
    const { entries, joint } = this.#inHand(request, token, head.entries);
    return {
      ...{ token, copy, entries, gone: head.gone, decided, dataSet, joint },
      length: lanes.length(key),
      headDueInMs: this.#dueInMs(entries[0]),
      restricted: isRestricted(),
      sinceCheckpoint: history.sinceCheckpoint(key, copy.token),
      expiresInMs: copies.expiresInMs(key),
    };
  }

  /** The lane's first jobs. Entries of jobs that are gone are dropped. */
  #head({ key, jobsMax, dataMax }: TakeRequest): Head {
    const { lanes, copies } = this.#parts;
    const head: Head = { entries: [], present: new Set(), gone: [], dataBytes: 0 };
    for (const [jobId, sequence] of lanes.head(key, jobsMax)) {
      head.present.add(jobId);
      if (head.dataBytes >= dataMax) continue;
      const entry = this.#entry(key, jobId, sequence);
      if (entry === undefined) {
        head.gone.push(jobId);
        lanes.leave(key, jobId);
        copies.noteLost(key);
        continue;
      }
      append(head, entry);
      // Nothing behind a job of several keys is decided here alone.
      if (entry.keys !== undefined) head.dataBytes = Number.POSITIVE_INFINITY;
    }
    return head;
  }

  /** Delivered jobs that the lane did not begin with: decided, or they enter it now. Returns the outcomes. */
  #arrivals({ key, arrivals, jobsMax, dataMax }: TakeRequest, head: Head): Map<string, string> {
    const { jobs, lanes } = this.#parts;
    const decided = new Map<string, string>();
    for (const jobId of arrivals) {
      if (head.present.has(jobId)) continue;
      const job = jobs.get(jobId);
      if (job !== undefined && job.outcome !== '') decided.set(jobId, job.outcome);
      // It has left its lanes, as a retried job does, and enters all of them again when it is delivered next.
      else if (job?.keys !== undefined) {
        if (!isFinished(job) && !lanes.has(key, jobId)) job.entered = undefined;
      } else if (job !== undefined && !isFinished(job) && this.#mayEnter(key, job)) {
        job.isLate = true;
        const entry = this.#entry(key, jobId, this.#parts.enter(key, jobId));
        const fits =
          head.present.size < jobsMax && head.dataBytes < dataMax && head.entries.length < jobsMax;
        if (fits && entry !== undefined) append(head, entry);
      }
    }
    return decided;
  }

  /** Notes how far the batch reaches. A job of several keys at the head brings its run instead. */
  #inHand(
    request: TakeRequest,
    token: number,
    entries: LaneEntry[],
  ): { readonly entries: LaneEntry[]; readonly joint: JointHead | undefined } {
    const { joint, inHand, lanes } = this.#parts;
    const batch = { token, atMicros: lanes.nowMicros() };
    const [first, last] = [entries[0], entries.at(-1)];
    if (first?.keys === undefined) {
      if (last !== undefined) inHand.set(request.key, { ...batch, last: last.sequence });
      return { entries, joint: undefined };
    }
    const run = joint.head(request, first, (...of) => this.#entry(...of));
    for (const lane of run.touched)
      inHand.set(lane.key, { ...batch, last: lane.last, isRun: true });
    return run;
  }

  #mayEnter(key: string, job: MemoryJob): boolean {
    return !this.#parts.lanes.has(key, job.id) && isOf(key, job);
  }

  /** Undefined: nobody's, or of a former job; a new one of its id is in another lane. */
  #entry(key: string, jobId: string, sequence: number): LaneEntry | undefined {
    const job = this.#parts.jobs.get(jobId);
    return job === undefined || !isOf(key, job) ? undefined : entryOf(job, sequence);
  }

  /** When the head is delivered again, if it has failed and waits for its backoff. */
  #dueInMs(head: LaneEntry | undefined): number {
    const job = head === undefined ? undefined : this.#parts.jobs.get(head.jobId);
    if (job?.state !== 'delayed' || job.attemptsMade === 0) return 0;
    if (job.snoozedAtAttempt === job.attemptsMade) return 0;
    return Math.max(0, Math.floor(job.dueMs - this.#parts.clock.wallMs()));
  }
}

function append(head: Head, entry: LaneEntry): void {
  head.entries.push(entry);
  head.dataBytes += Buffer.byteLength(entry.data);
}
