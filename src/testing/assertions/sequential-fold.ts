/**
 * A key's jobs applied once more, one after the other, by nothing but the updates themselves: no
 * batches, no leases, no retries. What the bed's workers made of them must be the same.
 */
import { valueHash } from '../../history/history.ts';
import type { RecordedCommit, RecordedJob } from '../../history/recording/recording.ts';
import { foldJob } from '../../history/replay/commit.ts';
import type { UpdateRegistry } from '../../updates/update-registry.ts';
import type { AppliedJob, Commit } from '../journal/journal.ts';

export interface SequentialFold {
  /** Undefined: deleted, or there was nothing. */
  readonly value: unknown;
  readonly jobs: number;
  /** The first commit that came out otherwise, in words. */
  readonly firstDifference: string | undefined;
}

export async function sequentialFold(
  commits: readonly Commit[],
  registry: UpdateRegistry,
): Promise<SequentialFold> {
  let value: unknown;
  let jobs = 0;
  let firstDifference: string | undefined;
  for (const commit of commits) {
    value = startOf(commit, value);
    for (const job of commit.applied) {
      const folded = await foldJob(recorded(job), recordedCommit(commit), registry, value);
      jobs++;
      // Through JSON each time, so that no update shares a value with what it remembers.
      if (folded.kind === 'value') value = throughJson(folded.value);
      else firstDifference ??= `job ${job.jobId} ("${job.name}") was applied, ${butNow(folded)}`;
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

function throughJson(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}

function recorded({ jobId, name, data, sequence, attempt }: AppliedJob): RecordedJob {
  return { id: jobId, update: name, sequence, attempt, data: JSON.parse(data) };
}

function recordedCommit({ key, token, watermark, hash }: Commit): RecordedCommit {
  return { id: '', key, token, base: 0, watermark, jobs: [], hash };
}

function butNow(folded: Exclude<Awaited<ReturnType<typeof foldJob>>, { kind: 'value' }>): string {
  if (folded.kind === 'failed') return `but now it throws: ${folded.message}`;
  return 'but it cannot be folded again, since its update is strict and would act again';
}

function differing({ applied: jobs }: Commit): string {
  const names = jobs.map(({ jobId, name }) => `${jobId} ("${name}")`);
  if (names.length === 0) return 'a commit without applied jobs changed the value';
  return `the first difference comes with ${names.length === 1 ? 'job' : 'one of the jobs'} ${names.join(', ')}`;
}
