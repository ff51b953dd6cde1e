/** The sequential fold that a key's value is held against, and the failures that nothing explains. */
import { NO_VALUE_HASH } from '../../history/history.ts';
import { foldJob } from '../../history/replay/commit.ts';
import { copyOfJson } from '../../updates/values/json-value.ts';
import { ExpectationError } from '../assertions/expectation-error.ts';
import { differenceText, jsonDifference } from '../assertions/json-difference.ts';
import type { TestBed } from '../bed.ts';
import type { AppliedJob, Commit } from '../journal/journal.ts';
import type { JobView } from '../views.ts';
import type { BedModel } from './model.ts';

/** Codes of failures that are a job's own, or its lane's. Leases, memcached and deliveries cost no attempt. */
const OWN_FAILURES: ReadonlySet<string> = new Set([
  ...['UPDATE_RETURNED_NOTHING', 'UPDATE_NOT_JSON', 'UPDATE_THREW', 'UPDATE_TIMED_OUT'],
  ...['UPDATE_NOT_REPEATABLE', 'UPDATE_CANNOT_MOVE_JOB', 'VALUE_TOO_LARGE', 'RESULT_TOO_LARGE'],
  ...['JOB_CASCADED', 'JOB_DROPPED', 'INVALID_DATA', 'KEY_CHANGED'],
]);

/** @throws ExpectationError */
export function expectFailuresOf(model: BedModel, job: JobView): void {
  const { code } = (job.error ?? {}) as { code?: unknown };
  if (job.state !== 'failed' || typeof code !== 'string' || OWN_FAILURES.has(code)) return;
  if (code === 'JOB_STALLED_TOO_OFTEN' && model.hasCrashed) return;
  if (!/^[A-Z_]+$/.test(code)) return; // its update's own
  throw new ExpectationError(
    `job ${job.id} failed (${code}), though nothing was done to it that may fail a job: ${job.error?.message}`,
  );
}

/**
 * The key's jobs that were completed, one after the other in the order in which they were enqueued. False: its value does
 * not follow from them alone (it was adopted, has expired, is strict, or belongs to transactions), or jobs gave up their place: its commits have to be asked.
 * @throws ExpectationError
 */
export async function expectFoldOfModel(
  model: BedModel,
  bed: TestBed,
  key: string,
): Promise<boolean> {
  const jobs = model.jobs.filter((job) => job.key === key);
  const commits = bed.journal.commits(key);
  const places = bed.journal.places(key);
  const isPlain =
    places.length === jobs.length &&
    places.every(({ isInPlace, generation }) => isInPlace && generation === 1) &&
    commits.every((commit, at) => isContinued(commit, commits[at - 1])) &&
    jobs.every(
      ({ update }) =>
        update.expireSeconds === undefined && !update.strict && update.keys === undefined,
    );
  if (!isPlain) return false;
  const applied = new Map(
    commits.flatMap((commit) => commit.applied.map((job) => [job.jobId, { commit, job }] as const)),
  );
  let value = plantedValue(commits[0]);
  for (const { id } of jobs) {
    const view = bed.job(id);
    const how = applied.get(id);
    if (view.state === 'completed' && how !== undefined) {
      value = await folded(view, how.job, how.commit, bed, value);
    }
  }
  const { token, copy } = bed.lane(key);
  const cell = bed.cell(key);
  const difference = jsonDifference(cell?.token === token ? cell.value : copy, value);
  if (difference === undefined) return true;
  throw new ExpectationError(
    `the value of "${key}" is not what its jobs make of it one after the other, in the order in which they were enqueued: ${differenceText(difference)}`,
  );
}

async function folded(
  { id, name, data }: JobView,
  { sequence, attempt }: AppliedJob,
  { key, token, watermark, hash }: Commit,
  bed: TestBed,
  value: unknown,
): Promise<unknown> {
  const commit = { id: '', key, token, base: 0, watermark, jobs: [], hash };
  const job = { id, update: name, sequence, attempt, data };
  const made = await foldJob(job, commit, bed.registry, value);
  if (made.kind === 'value') return copyOfJson(made.value);
  const why = made.kind === 'failed' ? made.message : made.obstacle;
  throw new ExpectationError(
    `job ${id} ("${name}") was completed, but it fails when the jobs before it are applied one after the other: ${why}`,
  );
}

/** Nothing has come between: no value that was given up, lost or found. */
function isContinued({ origin, applied }: Commit, before: Commit | undefined): boolean {
  if (origin === 'nothing') return before === undefined || before.hash === NO_VALUE_HASH;
  if (typeof origin === 'object') return before === undefined && applied.length === 0;
  return origin !== 'unknown';
}

/** With which the bed began. */
function plantedValue(first: Commit | undefined): unknown {
  return typeof first?.origin === 'object' ? JSON.parse(first.origin.adopted) : undefined;
}
