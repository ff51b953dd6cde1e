import { NO_VALUE_HASH } from '../../history.ts';
import type { RecordedCommit } from '../../recording/recording.ts';
import { type FoldedCommit, isApplied } from '../commit.ts';
import type { Difference, JointBefore, KnownValue } from '../report.ts';

export interface DifferenceFacts {
  readonly failed?: Extract<FoldedCommit, { kind: 'failed' }>;
  /** What the commit was folded from, if it is one of several keys. */
  readonly joint?: JointBefore | undefined;
}

/** @param before the value and the watermark that the commit began with */
export function firstDifference(
  commit: RecordedCommit,
  line: number,
  before: { readonly json: string | undefined; readonly watermark: number },
  actual: KnownValue | undefined,
  { failed, joint }: DifferenceFacts,
): Difference {
  const place = { line, token: commit.token };
  return {
    ...place,
    commit,
    ...(joint && { joint }),
    jobs: failed ? [failed.job] : commit.jobs.filter((job) => isApplied(job, before.watermark)),
    failure: failed?.message,
    before: { json: before.json },
    watermarkBefore: before.watermark,
    comparedAt: place,
    expected: recordedValue(commit),
    actual,
  };
}

/** Undefined: only its hash is known. */
export function recordedValue({ hash, value }: RecordedCommit): KnownValue | undefined {
  if (hash === NO_VALUE_HASH) return { json: undefined };
  return value === undefined ? undefined : { json: JSON.stringify(value) };
}
