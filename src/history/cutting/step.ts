/** One job of a recording that can be run with two versions of the updates, over the values of its keys. */
import type { JointValues } from '../../updates/calling/joint-updates.ts';
import type { UpdateRegistry } from '../../updates/update-registry.ts';
import { copyOfJson } from '../../updates/values/json-value.ts';
import { isSame } from '../compare/fields.ts';
import type { RecordedCommit, RecordedJob } from '../recording/recording.ts';
import { type EndedJob, type Folded, foldJob, type Registry } from '../replay/commit.ts';
import { boxOf, registryOver } from '../replay/joint/joint-values.ts';

export interface Versions {
  readonly old: UpdateRegistry;
  readonly new: UpdateRegistry;
}

/** A value from which a key is followed, and the jobs that followed it, in their order. */
export interface Start {
  readonly key: string;
  /** Undefined: none. */
  readonly value: unknown;
  readonly steps: Step[];
}

export interface Step {
  /** Among all steps, in the order of the recording. */
  readonly at: number;
  readonly job: RecordedJob;
  /** Of its commit: one for each of the job's keys, in the order of the file. */
  readonly parts: readonly RecordedCommit[];
  /** Of its commit, counted from 1. */
  readonly line: number;
  /** Where its keys came from, in the order of the parts. */
  readonly starts: readonly Start[];
}

/** One for each of a step's keys, in the order of its parts; undefined: none. */
export type Values = readonly unknown[];

export type Tried =
  | {
      readonly kind: 'known';
      readonly old: Values;
      readonly new: Values;
      readonly differs: boolean;
    }
  /** The job cannot be run again. */
  | { readonly kind: 'unknown' };

/** Each version on its own values. A promise only if an update or a schema is asynchronous. */
export function both(
  step: Step,
  old: Values,
  now: Values,
  versions: Versions,
): Tried | Promise<Tried> {
  const one = foldStep(step, old, versions.old);
  const other = foldStep(step, now, versions.new);
  const settle = (a: Folded, b: Folded): Tried => {
    if (a.kind === 'obstacle' || b.kind === 'obstacle') return { kind: 'unknown' };
    const [afterOld, afterNew] = [valuesBehind(step, a, old), valuesBehind(step, b, now)];
    const differs = endOf(a) !== endOf(b) || !isSame(afterOld, afterNew);
    return { kind: 'known', old: afterOld, new: afterNew, differs };
  };
  if (!(one instanceof Promise) && !(other instanceof Promise)) return settle(one, other);
  return Promise.all([one, other]).then(([a, b]) => settle(a, b));
}

function endOf(ended: EndedJob): string {
  return ended.kind === 'value' ? `+${ended.result}` : '-';
}

/** With one version. What it is given stays as it is: an update may change its value, and then throw. */
export function foldStep(
  { job, parts }: Step,
  values: Values,
  registry: Registry,
): Folded | Promise<Folded> {
  const commit = parts[0] as RecordedCommit;
  if (job.keys === undefined) return foldJob(job, commit, registry, copyOfJson(values[0]));
  const keys = parts.map(({ key }) => key);
  return foldJob(job, commit, registryOver(keys, registry), values.map(boxOf));
}

/** A job that fails leaves them as they were. */
export function valuesBehind({ job }: Step, ended: EndedJob, before: Values): Values {
  if (ended.kind === 'failed') return before;
  if (job.keys === undefined) return [ended.value];
  return (ended.value as JointValues).map((box) => box?.[0]);
}

export function jsonOf(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}
