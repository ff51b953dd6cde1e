/**
 * What single jobs do when their commit is folded again, besides what they do to its value: whether
 * their result is the one that was recorded, and whether those that failed then fail again.
 */
import { andThen } from '../../../base/promises.ts';
import { copyOfJson } from '../../../updates/values/json-value.ts';
import { resultHash } from '../../history.ts';
import type { JointLines } from '../../recording/joint-lines.ts';
import type { RecordedCommit, RecordedJob } from '../../recording/recording.ts';
import { type EndedJob, type Folded, foldJob, type JobWatch, type Registry } from '../commit.ts';
import { ownValues } from '../joint/joint-values.ts';
import type { OnJob, ReplayedJob } from './replayed-job.ts';
import type { UntriedReason } from '../report.ts';

/** A job that failed then, tried again on the value as it was. */
export type Trial = { readonly job: RecordedJob } & (
  | { readonly kind: 'fails'; readonly code: string; readonly message: string }
  | { readonly kind: 'succeeds' }
  | { readonly kind: 'untried'; readonly reason: UntriedReason }
);

/** A result that is not the recorded one, or of which none was recorded. JSON; empty for none. */
export interface OtherResult {
  readonly job: RecordedJob;
  readonly now: string;
}

/** Failures in which the update itself has no part, by their code. */
const NOT_ITS_OWN: Readonly<Record<string, UntriedReason>> = {
  JOB_DROPPED: 'dropped',
  JOB_CASCADED: 'cascaded',
  JOB_STALLED_TOO_OFTEN: 'died',
  JOB_CANCELLED: 'cancelled',
  UPDATE_TIMED_OUT: 'timed-out',
  VALUE_TOO_LARGE: 'too-large',
  RESULT_TOO_LARGE: 'too-large',
};
/** How BullMQ fails a job whose processes died too often. */
const BULLMQ_STALLED = 'job stalled more than allowable limit';

/** Of one commit at a time: `clear` it before each. */
export class JobTrials implements JobWatch {
  readonly #onJob: OnJob | undefined;
  readonly wantsValues: boolean;
  #line = 0;
  #joint: JointLines | undefined;
  /** Results that were recorded and are the same. */
  same = 0;
  others: OtherResult[] = [];
  failures: Trial[] = [];
  /** Jobs of the whole key that were not applied at their first attempt. */
  retried = 0;

  constructor(onJob?: OnJob) {
    this.#onJob = onJob;
    this.wantsValues = onJob !== undefined;
  }

  /** @param line of the next commit @param joint if it is one of several keys */
  clear(line: number, joint?: JointLines): void {
    this.#line = line;
    this.#joint = joint;
    this.same = 0;
    if (this.others.length > 0) this.others = [];
    if (this.failures.length > 0) this.failures = [];
  }

  ended(
    job: RecordedJob,
    commit: RecordedCommit,
    folded: EndedJob,
    before: unknown,
  ): void | Promise<void> {
    if (folded.kind === 'value') this.#lookAtResult(job, folded.result);
    return this.#onJob?.(this.#replayed(job, commit, folded, before));
  }

  failed(
    job: RecordedJob,
    commit: RecordedCommit,
    value: unknown,
    registry: Registry,
  ): void | Promise<void> {
    if (job.outcome?.kind !== 'failed') return;
    const reason = untriedReason(job);
    if (reason !== undefined) {
      this.failures.push({ job, kind: 'untried', reason });
      return;
    }
    // A copy: an update may change what it is given, and then throw.
    const folded = foldJob(job, commit, registry, copyOfJson(value));
    const settle = (settled: Folded): void | Promise<void> => {
      this.#keep(job, settled);
      if (this.#onJob === undefined || settled.kind === 'obstacle') return undefined;
      return this.#onJob(this.#replayed(job, commit, settled, copyOfJson(value)));
    };
    return andThen(folded, settle);
  }

  #lookAtResult(job: RecordedJob, result: string): void {
    if (job.attempt > 1) this.retried += 1;
    if (result === '' && !hasResult(job)) return;
    if (isSameResult(job, result)) this.same += 1;
    else this.others.push({ job, now: result });
  }

  /** Values of its own. One that failed then is not in the chain, whatever it does today. */
  #replayed(
    job: RecordedJob,
    commit: RecordedCommit,
    ended: EndedJob,
    before: unknown,
  ): ReplayedJob {
    const place = this.#placeOf(job, commit, ownValues(before, commit, job));
    if (ended.kind === 'failed') {
      const { code, message } = ended;
      const after = copyOfJson(place.before);
      return { ...place, after, result: undefined, failure: { code, message } };
    }
    const { value, result } = ended;
    return {
      ...place,
      after: copyOfJson(job.outcome === undefined ? ownValues(value, commit, job) : place.before),
      result: result === '' ? undefined : (JSON.parse(result) as unknown),
      failure: undefined,
    };
  }

  #placeOf(
    job: RecordedJob,
    commit: RecordedCommit,
    before: unknown,
  ): Pick<ReplayedJob, 'key' | 'keys' | 'parts' | 'line' | 'commit' | 'job' | 'before'> {
    const { keys } = job;
    const place = { key: keys?.[0] ?? commit.key, line: this.#line, commit, job, before };
    return keys === undefined || this.#joint === undefined
      ? place
      : { ...place, keys, parts: this.#joint.parts };
  }

  #keep(job: RecordedJob, folded: Folded): void {
    switch (folded.kind) {
      case 'value':
        this.failures.push({ job, kind: 'succeeds' });
        return;
      case 'failed':
        this.failures.push({ job, kind: 'fails', code: folded.code, message: folded.message });
        return;
      case 'obstacle':
        this.failures.push({ job, kind: 'untried', reason: folded.obstacle });
        return;
    }
  }
}

export function hasResult({ result, resultHash: hashed }: RecordedJob): boolean {
  return result !== undefined || hashed !== undefined;
}

function isSameResult(job: RecordedJob, now: string): boolean {
  if (job.resultHash !== undefined) return job.resultHash === resultHash(now);
  return job.result !== undefined && JSON.stringify(job.result) === now;
}

/** Undefined: it is tried. */
export function untriedReason({ outcome }: RecordedJob): UntriedReason | undefined {
  if (outcome?.kind !== 'failed') return undefined;
  return outcome.message.startsWith(BULLMQ_STALLED) ? 'died' : NOT_ITS_OWN[outcome.code];
}
