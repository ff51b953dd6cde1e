/** A few jobs of a recording as a recording of their own. */
import type { UpdateRegistry } from '../../updates/update-registry.ts';
import { valueHash } from '../history.ts';
import { asWritten, jointWith } from '../recording/joint-lines.ts';
import type { RecordedCommit, RecordedJob, RecordingHeader } from '../recording/recording.ts';
import type { Folded } from '../replay/commit.ts';
import { foldStep, jsonOf, type Start, type Step, type Values, valuesBehind } from './step.ts';
import { RecordingWriter } from './write-again.ts';

/** What is known of a key, while it is written. */
interface Written {
  /** Where its last job came from. */
  readonly start: Start;
  readonly value: unknown;
  readonly token: number;
}

/** As if the updates had committed each of these jobs by itself, with what its context was. */
export async function smallRecording(
  steps: readonly Step[],
  updates: UpdateRegistry,
  header: RecordingHeader,
): Promise<string[]> {
  const writer = new RecordingWriter();
  const lines = [writer.header({ ...header, part: true })];
  const keys = new Map<string, Written>();
  for (const step of steps) {
    const { job, starts } = step;
    const before = starts.map((start) => lastOf(start, keys));
    const values = before.map((last, at) => (last === undefined ? starts[at]?.value : last.value));
    const folded = await foldStep(step, values, updates);
    const after = folded.kind === 'obstacle' ? values : valuesBehind(step, folded, values);
    const parts = partsOf(step, before, after);
    const jobs = [endedAs(job, folded)];
    const joint = { parts, jobs, line: 0, isWhole: true, characters: 0 };
    const commits =
      job.keys === undefined
        ? parts.map((part) => ({ ...part, jobs }))
        : asWritten(jointWith(joint, parts, jobs));
    for (const commit of commits) lines.push(writer.commit(commit));
    for (const [at, { key, token }] of parts.entries())
      keys.set(key, { start: starts[at] as Start, value: after[at], token });
  }
  lines.push(writer.end({ results: true }));
  return lines;
}

function lastOf(start: Start, keys: ReadonlyMap<string, Written>): Written | undefined {
  const last = keys.get(start.key);
  return last?.start === start ? last : undefined;
}

/** A line for each of the job's keys. */
function partsOf(
  { job, parts, starts }: Step,
  before: readonly (Written | undefined)[],
  after: Values,
): RecordedCommit[] {
  const head = (parts[0] as RecordedCommit).id;
  const keys = parts.map(({ key }) => key);
  return parts.map(({ id, key, token }, at) => {
    const json = jsonOf(after[at]);
    const last = before[at];
    const begun = starts[at]?.value;
    return {
      ...{ id, key, token, base: last?.token ?? 0, watermark: job.sequence, jobs: [] },
      ...(last === undefined && { origin: begun === undefined ? 'nothing' : { adopted: begun } }),
      ...(job.keys !== undefined && (at === 0 ? { keys } : { head })),
      hash: valueHash(json),
      ...(json !== undefined && { value: JSON.parse(json) as unknown }),
    };
  });
}

/** How it ends now, not how it ended then. */
function endedAs(job: RecordedJob, folded: Folded): RecordedJob {
  const { outcome: _, result: __, resultHash: ___, ...plain } = job;
  if (folded.kind === 'failed') {
    const { code, message } = folded;
    return { ...plain, outcome: { kind: 'failed', code, message, cascades: false } };
  }
  if (folded.kind === 'obstacle' || folded.result === '') return plain;
  return { ...plain, result: JSON.parse(folded.result) as unknown };
}
