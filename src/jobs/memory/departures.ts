/**
 * How an acknowledged commit's jobs leave their lane in memory: what scripts/acknowledge.ts does with the lane and with
 * the jobs' hashes. Whether the commit is accepted is memory-jobs.ts's business.
 */
import type { HistoryJob, HistoryNote } from '../../history/history.ts';
import { PLAIN_APPLIED } from '../../updates/outcome.ts';
import type { Acknowledgement } from '../lanes.ts';
import type { Entry, LaneOrders } from './lane-orders.ts';
import type { MemoryCopies } from './memory-copies.ts';
import { attemptOf, recordedDecision } from './memory-history.ts';
import { isFinished, isOf, type MemoryJob, NEVER_ALONE } from './memory-job.ts';

const NOBODY: ReadonlyMap<string, number> = new Map();

export interface DepartureParts {
  readonly jobs: ReadonlyMap<string, MemoryJob>;
  readonly lanes: LaneOrders;
  readonly copies: MemoryCopies;
  /** Enters a lane, at its end. */
  readonly enter: (key: string, jobId: string) => void;
  /** Told of a delayed job that has nothing to wait for any more. */
  readonly promote: (jobId: string) => void;
}

export class Departures {
  readonly #parts: DepartureParts;

  constructor(parts: DepartureParts) {
    this.#parts = parts;
  }

  /** Whether others than the commit's own jobs would leave with it. */
  hasStrangers(commit: Acknowledgement): boolean {
    const { watermark, decided, sequences } = commit;
    const leaving = this.#leaving(commit);
    const own = sequences ?? (decided === 1 ? [watermark] : undefined);
    if (own === undefined) return leaving.length > decided;
    return leaving.some(([, sequence]) => !own.includes(sequence));
  }

  /** What is about to leave, as the history has it. Asked before it is carried out. */
  recorded(commit: Acknowledgement, note: HistoryNote): HistoryJob[] {
    const { decisions } = commit;
    const jobs = [...this.#leaving(commit), ...this.#forgotten(commit)];
    return jobs
      .toSorted(([, a], [, b]) => a - b)
      .map(([jobId, sequence]) => {
        const job = this.#parts.jobs.get(jobId);
        return {
          jobId,
          name: job?.name,
          sequence,
          attempt: attemptOf(note, jobId, job?.attemptsMade ?? 0),
          decision: recordedDecision(decisions.get(jobId) ?? PLAIN_APPLIED),
          data: job?.data ?? '',
        };
      });
  }

  /**
   * Everything at or below the watermark leaves; if the sequences are told, only these. And what Redis has forgotten.
   * Returns how many.
   */
  carryOut(commit: Acknowledgement): number {
    const { key, decisions, sequences } = commit;
    const moved: string[] = [];
    let [left, cascades] = [0, false];
    const own = this.#leaving(commit).filter(([, at]) => sequences?.includes(at) !== false);
    const forgotten = this.#forgotten(commit).filter(([jobId]) => this.#isToldOf(commit, jobId));
    for (const [jobId, sequence] of [...own, ...forgotten]) {
      left += 1;
      const job = this.#parts.jobs.get(jobId);
      const decision = decisions.get(jobId) ?? PLAIN_APPLIED;
      const kind = decision[0];
      if (kind === 'm') {
        moved.push(jobId);
        if (job !== undefined) job.directive = '';
      } else if (
        kind !== 's' &&
        job !== undefined &&
        isOf(key, job) &&
        !(isFailure(kind) && isFinished(job))
      ) {
        job.outcome = decision;
        if (job.state === 'delayed') this.#parts.promote(jobId);
      }
      cascades ||= kind === 'c';
      // One that has left without an outcome may have entered again.
      if (kind !== 's' || this.#parts.lanes.sequenceOf(key, jobId) === sequence)
        this.#parts.lanes.leave(key, jobId);
    }
    if (cascades) this.#cascade(key);
    for (const [jobId, decision] of decisions) {
      const job = this.#parts.jobs.get(jobId);
      if (decision[0] !== 'h' || job === undefined || !isOf(key, job) || isFinished(job)) continue;
      job.directive = 'held';
      job.failedReason = decision.slice(1);
    }
    for (const jobId of moved) {
      const job = this.#parts.jobs.get(jobId);
      if (job !== undefined) job.alone = NEVER_ALONE;
      this.#parts.enter(key, jobId);
    }
    return left;
  }

  /** What is at or below the watermark. */
  #leaving({ key, watermark }: Pick<Acknowledgement, 'key' | 'watermark'>): Entry[] {
    return this.#parts.lanes.upTo(key, watermark);
  }

  /** Those of the commit's jobs that entered late and are not in the lane with their number, with that number. */
  #forgotten({ key, late = NOBODY }: Acknowledgement): Entry[] {
    return [...late].filter(
      ([jobId, sequence]) => this.#parts.lanes.sequenceOf(key, jobId) !== sequence,
    );
  }

  /** Redis has gone back to before it entered: it waits to enter again, or has entered. Else it is another job of its id. */
  #isToldOf({ key }: Acknowledgement, jobId: string): boolean {
    const job = this.#parts.jobs.get(jobId);
    const isOpen = job !== undefined && isOf(key, job) && !isFinished(job) && job.outcome === '';
    return isOpen && (job.isLate || !this.#parts.lanes.has(key, jobId));
  }

  /** What waits now fails; what comes later does not. */
  #cascade(key: string): void {
    const last = this.#parts.lanes.lastSequence(key);
    const copy = this.#parts.copies.of(key);
    if (last !== undefined && copy !== undefined) copy.cascadeTo = last;
  }
}

function isFailure(kind: string | undefined): boolean {
  return kind === 'f' || kind === 'c';
}
