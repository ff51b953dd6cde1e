/** The smallest recording that still shows where two versions of the updates part. */
import { systemClock } from '../../base/clock.ts';
import { TorilError } from '../../errors.ts';
import { UpdateRegistry } from '../../updates/update-registry.ts';
import { type Updates, updatesOf } from '../../updates/updates-of.ts';
import { checkKey } from '../../key.ts';
import { commitsOf, nameOf, type RecordingInput } from '../recording/input.ts';
import { CommitLines } from '../recording/joint-lines.ts';
import { RecordingReader } from '../recording/reader.ts';
import { type RecordingHeader, SINGLE_KEY_FORMAT } from '../recording/recording.ts';
import { type Parting, PartingSearch, restingOn } from './parting.ts';
import { smallRecording } from './small-recording.ts';
import { both, type Start, type Step, type Versions } from './step.ts';

export interface ShrinkOptions {
  /** The version that the small recording is what it was with. */
  readonly old: Updates;
  readonly new: Updates;
  /** Only a difference at this key; default: at the first that shows one. */
  readonly key?: string | undefined;
  /** How long to search for fewer jobs, once the difference is found; default: 30,000. Infinity: to the end. */
  readonly searchMs?: number | undefined;
}

export interface Shrunk {
  /** Of a transaction: its first one. */
  readonly key: string;
  /** All keys that are left: those of transactions, and those whose values these rest on. */
  readonly keys: readonly string[];
  /** The line of the large recording at which the two part. */
  readonly line: number;
  /** Ids of the jobs that are left; the last one shows the difference. */
  readonly jobs: readonly string[];
  /**
   * False: up to that line, `old` does not give what was recorded of the job's keys. It is not what was run then, and the
   * small recording is true to `old`, not to what happened.
   */
  readonly oldRepeats: boolean;
  /** The search ended at `searchMs`: fewer jobs might do, or a few jobs instead of one and the values that it met. */
  readonly timedOut: boolean;
  /** Lines of the small recording, without their newlines. */
  readonly lines: readonly string[];
}

/**
 * Time and no count of jobs: a transaction takes some ten times as long as an update of one key, and the worst case is
 * twice the square of the jobs. 2,000 deposits and transfers of 10 accounts that are all needed: 8 million.
 */
const SEARCH_MS = 30_000;
/** More jobs than these are harder to read than one job and the values that it met. */
const JOBS_FEW = 3;

/**
 * Looks for the first job at which the two versions part, and leaves out what it does not need: of the jobs on which its
 * values rest, three if these are enough, else that job alone with the values that it met. A transaction is kept with all
 * its keys, or left out.
 * @throws TorilError as `replay`; NOTHING_RECORDED if nothing differs; INVALID_OPTIONS
 */
export async function shrink(recording: RecordingInput, options: ShrinkOptions): Promise<Shrunk> {
  const { key: only, searchMs = SEARCH_MS } = options;
  if (only !== undefined) checkKey(only);
  if (!(typeof searchMs === 'number' && searchMs > 0))
    throw new TorilError('INVALID_OPTIONS', `searchMs must be above 0, not ${searchMs}.`);
  const versions: Versions = {
    old: new UpdateRegistry(updatesOf(options.old)),
    new: new UpdateRegistry(updatesOf(options.new)),
  };
  const reader = new RecordingReader(nameOf(recording));
  const search = new PartingSearch(versions, only);
  const lines = new CommitLines(search);
  await commitsOf(recording, reader, (commit) => {
    const isLastLine = search.found !== undefined && lines.isBetween;
    return isLastLine || !isFollowed(commit.key, reader, options)
      ? undefined
      : lines.next(commit, reader.commits + 1);
  });
  if (search.found === undefined) await lines.end();
  const { found, oldRepeats } = search;
  if (found === undefined) {
    const where = only === undefined ? '' : ` of the key ${JSON.stringify(only)}`;
    throw new TorilError(
      'NOTHING_RECORDED',
      `nothing${where} in ${nameOf(recording)} differs between the two versions of the updates.`,
    );
  }
  const { job, parts, line } = found.step;
  const { steps: few, timedOut } = await fewest(restingOn(found.step), versions, searchMs);
  const chosen = few.length <= JOBS_FEW ? few : [alone(found)];
  return {
    ...{ key: job.keys?.[0] ?? (parts[0]?.key as string), line, oldRepeats, timedOut },
    keys: [...new Set(chosen.flatMap((step) => step.parts.map(({ key }) => key)))],
    jobs: chosen.map((step) => step.job.id),
    lines: await smallRecording(chosen, versions.old, reader.header as RecordingHeader),
  };
}

/** Where there may be transactions, they may need any key's values. */
function isFollowed(
  key: string,
  { header }: RecordingReader,
  { key: only = key }: ShrinkOptions,
): boolean {
  return key === only || header?.format !== SINGLE_KEY_FORMAT;
}

/** With the values that it met. */
function alone({ step, before }: Parting): Step {
  return {
    ...step,
    starts: step.starts.map(({ key }, at) => ({ key, value: before[at], steps: [] })),
  };
}

/** The two versions' values of a key while some steps are tried. */
interface Tracked {
  readonly start: Start;
  old: unknown;
  new: unknown;
}

function trackedFrom(start: Start, keys: Map<string, Tracked>): Tracked {
  const last = keys.get(start.key);
  if (last?.start === start) return last;
  const tracked = { start, old: start.value, new: start.value };
  keys.set(start.key, tracked);
  return tracked;
}

/** Zeller's ddmin: leaves out ever smaller parts, as long as the difference stays. The last step stays, too. */
async function fewest(
  steps: readonly Step[],
  versions: Versions,
  searchMs: number,
): Promise<{ readonly steps: readonly Step[]; readonly timedOut: boolean }> {
  const last = steps.at(-1) as Step;
  const endMs = systemClock.monotonicMs() + searchMs;
  const isOver = (): boolean => systemClock.monotonicMs() >= endMs;
  const shows = async (some: readonly Step[]): Promise<boolean> => {
    const keys = new Map<string, Tracked>();
    for (const step of some) {
      if (isOver()) return false; // one try of a million jobs takes longer than that
      const tracked = step.starts.map((start) => trackedFrom(start, keys));
      const [old, now] = [tracked.map((one) => one.old), tracked.map((one) => one.new)];
      const tried = both(step, old, now, versions);
      const settled = tried instanceof Promise ? await tried : tried;
      if (settled.kind === 'unknown') return false;
      if (settled.differs) return true;
      for (let at = 0; at < tracked.length; at++) {
        const one = tracked[at] as Tracked;
        one.old = settled.old[at];
        one.new = settled.new[at];
      }
    }
    return false;
  };
  let kept = steps.slice(0, -1);
  if (await shows([last])) return { steps: [last], timedOut: false };
  for (let parts = 2; kept.length > 0; ) {
    const size = Math.ceil(kept.length / parts);
    let isSmaller = false;
    for (let from = 0; from < kept.length && !isOver(); from += size) {
      const part = kept.slice(from, from + size);
      const rest = kept.toSpliced(from, size);
      // A part of one is all that is left: it would be taken again and again.
      if (part.length < kept.length && (await shows([...part, last]))) {
        kept = part;
        parts = 2;
      } else if (await shows([...rest, last])) {
        kept = rest;
        parts = Math.max(parts - 1, 2);
      } else continue;
      isSmaller = true;
      break;
    }
    if (isOver()) return { steps: [...kept, last], timedOut: true };
    if (isSmaller) continue;
    if (size === 1) break;
    parts = Math.min(parts * 2, kept.length);
  }
  return { steps: [...kept, last], timedOut: false };
}
