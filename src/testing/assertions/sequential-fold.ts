/**
 * Jobs applied once more, one after the other, by nothing but the updates themselves: no batches, no leases, no retries.
 * What the bed's workers made of them must be the same.
 */
import { systemClock } from '../../base/clock.ts';
import { messageOf } from '../../errors.ts';
import { valueHash } from '../../history/history.ts';
import type { RecordedCommit, RecordedJob } from '../../history/recording/recording.ts';
import { foldJob } from '../../history/replay/commit.ts';
import { applyUpdate } from '../../updates/calling/apply.ts';
import { JointUpdates, type JointValues } from '../../updates/calling/joint-updates.ts';
import { validated } from '../../updates/job-data.ts';
import type { AnyUpdate } from '../../updates/update.ts';
import type { UpdateRegistry } from '../../updates/update-registry.ts';
import type { AppliedJob, Commit } from '../journal/journal.ts';

/** What has become of a key. */
export interface SequentialFold {
  /** Undefined: deleted, or there was nothing. */
  value: unknown;
  jobs: number;
  /** The first commit that came out otherwise, in words. */
  firstDifference: string | undefined;
}

/** @param commits of all keys that transactions connect, in the order in which they were acknowledged */
export async function sequentialFolds(
  commits: readonly Commit[],
  registry: UpdateRegistry,
): Promise<Map<string, SequentialFold>> {
  const folds = new Map<string, SequentialFold>();
  for (let at = 0; at < commits.length; ) {
    const count = commits[at]?.keys?.length ?? 1;
    const parts = commits.slice(at, at + count).map((commit): Part => {
      const fold = folds.get(commit.key) ?? {
        value: undefined,
        jobs: 0,
        firstDifference: undefined,
      };
      folds.set(commit.key, fold);
      fold.value = startOf(commit, fold.value);
      fold.jobs += commit.applied.length;
      return { commit, fold };
    });
    const [first] = parts as [Part];
    await (first.commit.keys === undefined
      ? foldSingle(first, registry)
      : foldJoint(parts, registry));
    for (const { commit, fold } of parts) {
      const json = fold.value === undefined ? undefined : JSON.stringify(fold.value);
      if (valueHash(json) !== commit.hash) fold.firstDifference ??= differing(commit);
    }
    at += count;
  }
  return folds;
}

/** A commit of a key, and what has become of that so far. */
interface Part {
  readonly commit: Commit;
  readonly fold: SequentialFold;
}

async function foldSingle({ commit, fold }: Part, registry: UpdateRegistry): Promise<void> {
  for (const job of commit.applied) {
    const folded = await foldJob(recorded(job), recordedCommit(commit), registry, fold.value);
    // Through JSON each time, so that no update shares a value with what it remembers.
    if (folded.kind === 'value') fold.value = throughJson(folded.value);
    else fold.firstDifference ??= `${wasApplied(job)}, ${butNow(folded)}`;
  }
}

async function foldJoint(parts: readonly Part[], registry: UpdateRegistry): Promise<void> {
  const places = new Map(parts.map(({ commit }, place) => [commit.key, place]));
  const joint = new JointUpdates({ registry, places, keysChanged: () => undefined });
  let values: JointValues = parts.map(({ fold }) =>
    fold.value === undefined ? null : [fold.value],
  );
  const { token } = (parts[0] as Part).commit;
  const jobs = new Map(
    parts.flatMap(({ commit }) => commit.applied.map((job) => [job.jobId, job] as const)),
  );
  for (const job of [...jobs.values()].toSorted((a, b) => a.sequence - b.sequence)) {
    const { jobId, sequence, attempt, keys = [] } = job;
    const facts = { jobId, sequence, attempt, token, keys, key: keys[0] as string };
    try {
      const update = joint.find(job.name) as AnyUpdate;
      const data = await validated(update, JSON.parse(job.data));
      const applied = await applyUpdate(update, values, data, facts, { clock: systemClock });
      values = throughJson(applied.value) as JointValues;
    } catch (thrown) {
      const what = `${wasApplied(job)}, but now it throws: ${messageOf(thrown)}`;
      for (const key of keys) {
        const part = parts[places.get(key) ?? -1];
        if (part !== undefined) part.fold.firstDifference ??= what;
      }
    }
  }
  for (const [place, { fold }] of parts.entries()) fold.value = values[place]?.[0];
}

function wasApplied({ jobId, name }: AppliedJob): string {
  return `job ${jobId} ("${name}") was applied`;
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
