/** Folding one recorded commit again, with the updates of today. */
import { systemClock } from '../../base/clock.ts';
import { messageOf, TorilError } from '../../errors.ts';
import { type AppliedUpdate, applyUpdate } from '../../updates/calling/apply.ts';
import { validated } from '../../updates/job-data.ts';
import { copyOfJson } from '../../updates/values/json-value.ts';
import type { RecordedCommit, RecordedJob } from '../recording/recording.ts';
import { cannotMoveJob, codeOf, controlOf, errorOf } from '../../updates/calling/thrown.ts';
import type { AnyUpdate } from '../../updates/update.ts';
import type { UpdateRegistry } from '../../updates/update-registry.ts';

/** Where updates are found: a UpdateRegistry, or JointUpdates of one commit. */
export type Registry = Pick<UpdateRegistry, 'find'>;

/** Why a commit cannot be folded, though nothing is wrong with the updates. */
export type Obstacle =
  | 'unknown-update'
  /** The update acts on the outside world (`strict`): folding again would do that again. */
  | 'strict-update'
  /** The job had been removed before the commit was acknowledged. */
  | 'job-gone'
  /** The job's data are not in the recording: they were no JSON. */
  | 'data-gone';

export type Folded =
  /** `result`: JSON, or empty for none. */
  | { readonly kind: 'value'; readonly value: unknown; readonly result: string }
  /** The update threw, or would change another key: then it was not so, and so its commit differs. */
  | {
      readonly kind: 'failed';
      readonly job: RecordedJob;
      readonly code: string;
      readonly message: string;
    }
  | { readonly kind: 'obstacle'; readonly job: RecordedJob; readonly obstacle: Obstacle };

/** Told of single jobs while a commit is folded. */
export interface JobWatch {
  /** `ended` is given values; copies cost, so nobody makes them unasked. */
  readonly wantsValues: boolean;
  /**
   * An applied job, folded again.
   * @param before a copy of its own, if it is wanted
   */
  ended(
    job: RecordedJob,
    commit: RecordedCommit,
    folded: EndedJob,
    before: unknown,
  ): void | Promise<void>;
  /** The job failed then. @param value its update must not change it @param registry in which it is found */
  failed(
    job: RecordedJob,
    commit: RecordedCommit,
    value: unknown,
    registry: Registry,
  ): void | Promise<void>;
}

/** What a job that could be run came to. */
export type EndedJob = Exclude<Folded, { kind: 'obstacle' }>;

/** The value behind a commit, or why it is not known. */
export type FoldedCommit = Exclude<Folded, { kind: 'value' }> | Omit<FoldedValue, 'result'>;
type FoldedValue = Extract<Folded, { kind: 'value' }>;

/**
 * The value after the commit; a promise only if an update or a schema is asynchronous.
 * @param start undefined: there is no value
 * @param watermark jobs up to it had been applied before
 */
export function foldCommit(
  commit: RecordedCommit,
  registry: Registry,
  start: unknown,
  watermark: number,
  watch?: JobWatch,
): FoldedCommit | Promise<FoldedCommit> {
  return foldFrom(0, commit, registry, start, watermark, watch);
}

function foldFrom(
  index: number,
  commit: RecordedCommit,
  registry: Registry,
  start: unknown,
  watermark: number,
  watch: JobWatch | undefined,
): FoldedCommit | Promise<FoldedCommit> {
  const { jobs } = commit;
  let value = start;
  for (let at = index; at < jobs.length; at++) {
    const job = jobs[at] as RecordedJob;
    if (job.outcome !== undefined) {
      const tried = watch?.failed(job, commit, value, registry);
      if (!(tried instanceof Promise)) continue;
      const held = value;
      return tried.then(() => foldFrom(at + 1, commit, registry, held, watermark, watch));
    }
    if (job.sequence <= watermark) continue;
    const before = watch?.wantsValues === true ? copyOfJson(value) : undefined;
    const folded = foldJob(job, commit, registry, value);
    const told =
      folded instanceof Promise
        ? folded.then((settled) => telling(settled, job, commit, before, watch))
        : telling(folded, job, commit, before, watch);
    if (told instanceof Promise) {
      return told.then((settled) =>
        settled.kind === 'value'
          ? foldFrom(at + 1, commit, registry, settled.value, watermark, watch)
          : settled,
      );
    }
    if (told.kind !== 'value') return told;
    value = told.value;
  }
  return { kind: 'value', value };
}

function telling(
  folded: Folded,
  job: RecordedJob,
  commit: RecordedCommit,
  before: unknown,
  watch: JobWatch | undefined,
): Folded | Promise<Folded> {
  if (watch === undefined || folded.kind === 'obstacle') return folded;
  const told = watch.ended(job, commit, folded, before);
  return told instanceof Promise ? told.then(() => folded) : folded;
}

export function isApplied(job: RecordedJob, watermark: number): boolean {
  return job.outcome === undefined && job.sequence > watermark;
}

/** One applied job of a commit. */
export function foldJob(
  job: RecordedJob,
  commit: RecordedCommit,
  registry: Registry,
  value: unknown,
): Folded | Promise<Folded> {
  if (job.update === undefined) return { kind: 'obstacle', job, obstacle: 'job-gone' };
  if (job.data === undefined) return { kind: 'obstacle', job, obstacle: 'data-gone' };
  const update = registry.find(job.update);
  if (update === undefined) return { kind: 'obstacle', job, obstacle: 'unknown-update' };
  if (update.strict) return { kind: 'obstacle', job, obstacle: 'strict-update' };
  if ((update.keys === undefined) !== (job.keys === undefined)) return otherKind(job, update);
  try {
    const folded = applyJob(job, update, commit, value);
    if (!(folded instanceof Promise)) return folded;
    return folded.catch((thrown: unknown) => failedWith(thrown, job, update));
  } catch (thrown) {
    return failedWith(thrown, job, update);
  }
}

/** A job of one key whose update is a transaction by now, or the other way round. */
function otherKind(job: RecordedJob, { name, keys }: AnyUpdate): Folded {
  const message = `"${name}" is ${keys === undefined ? 'an update of one key' : 'a transaction'} by now.`;
  return { kind: 'failed', job, code: 'KEY_CHANGED', message };
}

function failedWith(thrown: unknown, job: RecordedJob, update: AnyUpdate): Folded {
  const own = errorOf(thrown, update.name);
  const error = controlOf(own) === 'moved' ? cannotMoveJob(own, update.name) : own; // as workers do
  return { kind: 'failed', job, code: codeOf(error), message: messageOf(error) };
}

function applyJob(
  job: RecordedJob,
  update: AnyUpdate,
  commit: RecordedCommit,
  value: unknown,
): Folded | Promise<Folded> {
  const data = validated(update, job.data);
  if (!(data instanceof Promise)) return applyTo(job, update, commit, value, data);
  return data.then((settled) => applyTo(job, update, commit, value, settled));
}

function applyTo(
  { id, sequence, attempt, keys }: RecordedJob,
  update: AnyUpdate,
  { key, token }: RecordedCommit,
  value: unknown,
  data: unknown,
): Folded | Promise<Folded> {
  if (keys === undefined && update.key(data) !== key) {
    throw new TorilError('INVALID_KEY', 'the update says that the job belongs to another key.');
  }
  const facts = { key: keys?.[0] ?? key, keys, jobId: id, sequence, attempt, token };
  const applied = applyUpdate(update, value, data, facts, { clock: systemClock });
  return applied instanceof Promise ? applied.then(asValue) : asValue(applied);
}

/** Not by `...`, which took 1.3 % of a replay. */
function asValue({ value, result }: AppliedUpdate): FoldedValue {
  return { kind: 'value', value, result };
}
