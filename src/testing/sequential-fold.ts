/**
 * A key's jobs applied once more, one after the other, by nothing but the updates themselves: no
 * batches, no leases, no retries. What the bed's workers made of them must be the same.
 */
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../errors.ts';
import { applyUpdate } from '../jobs/apply.ts';
import { valueHash } from '../jobs/history.ts';
import { validated } from '../jobs/job-data.ts';
import type { AnyUpdate } from '../jobs/update.ts';
import type { AppliedJob, Commit } from './journal.ts';

export interface SequentialFold {
  /** Undefined: deleted, or there was nothing. */
  readonly value: unknown;
  readonly jobs: number;
  /** The first commit that came out otherwise, in words. */
  readonly firstDifference: string | undefined;
}

/** An update that never settles is for its runner to notice. */
const NO_TIME: Clock = {
  monotonicMs: () => 0,
  wallMs: () => 0,
  after: () => ({ cancel() {} }),
  soon: () => undefined,
};

export async function sequentialFold(
  commits: readonly Commit[],
  updateOf: (name: string) => AnyUpdate,
): Promise<SequentialFold> {
  let value: unknown;
  let jobs = 0;
  let firstDifference: string | undefined;
  for (const commit of commits) {
    value = startOf(commit, value);
    for (const job of commit.applied) {
      try {
        value = await applied(job, value, commit, updateOf(job.name));
      } catch (thrown) {
        firstDifference ??= `job ${job.jobId} ("${job.name}") was applied, but now it throws: ${messageOf(thrown)}`;
      }
      jobs++;
    }
    const json = value === undefined ? undefined : JSON.stringify(value);
    if (valueHash(json) !== commit.hash) firstDifference ??= differing(commit);
  }
  return { value, jobs, firstDifference };
}

function startOf({ origin }: Commit, before: unknown): unknown {
  if (origin === 'nothing') return undefined;
  return typeof origin === 'object' ? JSON.parse(origin.adopted) : before;
}

/** Through JSON each time, so that nothing depends on where a batch ended. */
async function applied(
  { jobId, data, sequence, attempt }: AppliedJob,
  before: unknown,
  { key, token }: Commit,
  update: AnyUpdate,
): Promise<unknown> {
  const facts = { key, jobId, token, sequence, attempt };
  const input = await validated(update, JSON.parse(data));
  const { value } = await applyUpdate(update, before, input, facts, neverAborted, NO_TIME);
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}

function neverAborted(): AbortSignal {
  return new AbortController().signal;
}

function differing({ applied: jobs }: Commit): string {
  const names = jobs.map(({ jobId, name }) => `${jobId} ("${name}")`);
  if (names.length === 0) return 'a commit without applied jobs changed the value';
  return `the first difference comes with ${names.length === 1 ? 'job' : 'one of the jobs'} ${names.join(', ')}`;
}
