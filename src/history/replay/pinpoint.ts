/** Which job of a commit is the first to differ, and what its value was: by the former updates. */
import type { JointValues } from '../../updates/calling/joint-updates.ts';
import { valueHash } from '../history.ts';
import type { RecordedCommit, RecordedJob } from '../recording/recording.ts';
import { foldJob, isApplied, type Registry } from './commit.ts';
import { jointRegistry, wholeOf } from './joint/joint-values.ts';
import type { Difference, JointBefore, KnownValue } from './report.ts';

/** What is folded job by job: a value, or the list of those of a joint commit. */
interface Folding {
  readonly commit: RecordedCommit;
  readonly jobs: readonly RecordedJob[];
  readonly before: KnownValue;
  readonly callable: (registry: Registry) => Registry;
  /** The key's own value. */
  readonly own: (value: KnownValue) => KnownValue;
}

/**
 * Folds the commit once more, job by job, with both sets of updates. The former ones are believed only
 * if they give the recorded hash: another checkout would show values that never were.
 */
export async function pinpointed(
  difference: Difference,
  now: Registry,
  former: Registry,
): Promise<Difference> {
  const { joint } = difference;
  const folding = joint === undefined ? ofOneKey(difference) : ofSeveral(difference, joint);
  const { jobs, before, own } = folding;
  const values = await valuesThen(folding, folding.callable(former), difference.commit.hash);
  if (values === undefined) return { ...difference, formerRepeats: false };
  const registry = folding.callable(now);
  let actual = before;
  let expected = before;
  for (const [at, job] of jobs.entries()) {
    const then = values[at] as KnownValue;
    const after = await behind(job, folding, registry, actual);
    if (after === undefined || own(after).json !== own(then).json) {
      const comparedAt = { line: difference.line, token: difference.token };
      const shown = { before: own(expected), expected: own(then), actual: after && own(after) };
      return { ...difference, jobs: [job], comparedAt, ...shown, formerRepeats: true };
    }
    expected = then;
    actual = after;
  }
  return { ...difference, formerRepeats: true };
}

function ofOneKey({ commit, before, watermarkBefore }: Difference): Folding {
  const jobs = commit.jobs.filter((one) => isApplied(one, watermarkBefore));
  return { commit, jobs, before, callable: (registry) => registry, own: (value) => value };
}

function ofSeveral({ commit }: Difference, { lines, values }: JointBefore): Folding {
  const place = lines.parts.findIndex(({ key }) => key === commit.key);
  return {
    commit: wholeOf(lines),
    jobs: lines.jobs.filter((one) => isApplied(one, 0)),
    before: { json: JSON.stringify(values) },
    callable: (registry) => jointRegistry(lines, registry),
    own: ({ json = '[]' }) => {
      const box = (JSON.parse(json) as JointValues)[place] ?? null;
      return { json: box === null ? undefined : JSON.stringify(box[0]) };
    },
  };
}

/** The value behind each job; undefined: these are not the updates that made this commit. */
async function valuesThen(
  folding: Folding,
  former: Registry,
  hash: string,
): Promise<KnownValue[] | undefined> {
  const values: KnownValue[] = [];
  let value = folding.before;
  for (const job of folding.jobs) {
    const then = await behind(job, folding, former, value);
    if (then === undefined) return undefined;
    values.push(then);
    value = then;
  }
  return valueHash(folding.own(value).json) === hash ? values : undefined;
}

async function behind(
  job: RecordedJob,
  { commit }: Folding,
  registry: Registry,
  { json }: KnownValue,
): Promise<KnownValue | undefined> {
  const value: unknown = json === undefined ? undefined : JSON.parse(json);
  const folded = await foldJob(job, commit, registry, value);
  if (folded.kind !== 'value') return undefined;
  return { json: folded.value === undefined ? undefined : JSON.stringify(folded.value) };
}
