/** Which job of a commit is the first to differ, and what its value was: by the former updates. */
import type { UpdateRegistry } from '../../updates/update-registry.ts';
import { valueHash } from '../history.ts';
import type { RecordedCommit, RecordedJob } from '../recording/recording.ts';
import { foldJob, isApplied } from './commit.ts';
import type { Difference, KnownValue } from './report.ts';

/**
 * Folds the commit once more, job by job, with both sets of updates. The former ones are believed only
 * if they give the recorded hash: another checkout would show values that never were.
 */
export async function pinpointed(
  difference: Difference,
  registry: UpdateRegistry,
  former: UpdateRegistry,
): Promise<Difference> {
  const { commit, before, watermarkBefore } = difference;
  const jobs = commit.jobs.filter((one) => isApplied(one, watermarkBefore));
  const values = await valuesThen(jobs, commit, former, before);
  if (values === undefined) return { ...difference, formerRepeats: false };
  let actual: KnownValue = before;
  let expected: KnownValue = before;
  for (const [at, job] of jobs.entries()) {
    const then = values[at] as KnownValue;
    const now = await after(job, commit, registry, actual);
    if (now === undefined || now.json !== then.json) {
      const comparedAt = { line: difference.line, token: difference.token };
      const shown = { before: expected, expected: then, actual: now };
      return { ...difference, jobs: [job], comparedAt, ...shown, formerRepeats: true };
    }
    expected = then;
    actual = now;
  }
  return { ...difference, formerRepeats: true };
}

/** The value behind each job; undefined: these are not the updates that made this commit. */
async function valuesThen(
  jobs: readonly RecordedJob[],
  commit: RecordedCommit,
  former: UpdateRegistry,
  before: KnownValue,
): Promise<KnownValue[] | undefined> {
  const values: KnownValue[] = [];
  let value = before;
  for (const job of jobs) {
    const then = await after(job, commit, former, value);
    if (then === undefined) return undefined;
    values.push(then);
    value = then;
  }
  return valueHash(value.json) === commit.hash ? values : undefined;
}

async function after(
  job: RecordedJob,
  commit: RecordedCommit,
  registry: UpdateRegistry,
  { json }: KnownValue,
): Promise<KnownValue | undefined> {
  const value: unknown = json === undefined ? undefined : JSON.parse(json);
  const folded = await foldJob(job, commit, registry, value);
  if (folded.kind !== 'value') return undefined;
  return { json: folded.value === undefined ? undefined : JSON.stringify(folded.value) };
}
