/** The jobs of a recording, in the order in which they entered their lanes. */
import type { RecordedCommit } from '../../../history/recording/recording.ts';
import { eachCommit, nameOf, type RecordingInput } from '../../../history/recording/input.ts';
import { RecordingReader } from '../../../history/recording/reader.ts';

export interface RecordedEntry {
  readonly name: string;
  readonly data: unknown;
  /** Milliseconds behind the first one. */
  readonly afterMs: number;
  /** Of its commit in the file. */
  readonly line: number;
}

interface Entry extends Omit<RecordedEntry, 'afterMs'> {
  readonly sequence: number;
}

/** Jobs that are held back to be sorted: commits come in the order of their ends, not of their jobs' beginnings. */
const WINDOW_JOBS = 10_000;

/**
 * Jobs of one key come in their order always, those of different keys as far as the window reaches. A job that
 * left its lane to enter another place comes once, for the place at which it ended.
 * @throws TorilError as `replay`
 */
export async function* recordedJobs(
  recording: RecordingInput,
  onLeftOut: () => void = () => undefined,
): AsyncGenerator<RecordedEntry, void, undefined> {
  const reader = new RecordingReader(nameOf(recording));
  let held: Entry[] = [];
  let first: number | undefined;
  const timed = ({ sequence, ...entry }: Entry): RecordedEntry => {
    first ??= sequence;
    // A sequence is the time in µs at which the job entered, unless many entered in one µs.
    return { ...entry, afterMs: Math.max(0, (sequence - first) / 1_000) };
  };
  for await (const commit of eachCommit(recording, reader)) {
    held.push(...entriesOf(commit, reader.commits + 1, onLeftOut));
    if (held.length < 2 * WINDOW_JOBS) continue;
    held = held.toSorted((a, b) => a.sequence - b.sequence);
    for (const entry of held.splice(0, held.length - WINDOW_JOBS)) yield timed(entry);
  }
  for (const entry of held.toSorted((a, b) => a.sequence - b.sequence)) yield timed(entry);
}

function entriesOf({ jobs }: RecordedCommit, line: number, onLeftOut: () => void): Entry[] {
  return jobs.flatMap(({ update: name, data, outcome, sequence }) => {
    if (outcome?.kind === 'moved' || outcome?.kind === 'withdrawn') return []; // it comes again
    if (name === undefined || data === undefined) {
      onLeftOut();
      return [];
    }
    return { name, data, sequence, line };
  });
}
