/** The smallest recording that still shows where two versions of the updates part. */
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
  /** Lines of the small recording, without their newlines. */
  readonly lines: readonly string[];
}

/** Jobs folded in search of a smaller set, at most: some seconds. */
const FOLDS_MAX = 3_000_000;
/** More jobs than these are harder to read than one job and the values that it met. */
const JOBS_FEW = 3;

/**
 * Looks for the first job at which the two versions part, and leaves out what it does not need: of the jobs on which its
 * values rest, three if these are enough, else that job alone with the values that it met. A transaction is kept with all
 * its keys, or left out.
 * @throws TorilError as `replay`; NOTHING_RECORDED if nothing differs
 */
export async function shrink(recording: RecordingInput, options: ShrinkOptions): Promise<Shrunk> {
  if (options.key !== undefined) checkKey(options.key);
  const versions: Versions = {
    old: new UpdateRegistry(updatesOf(options.old)),
    new: new UpdateRegistry(updatesOf(options.new)),
  };
  const reader = new RecordingReader(nameOf(recording));
  const search = new PartingSearch(versions, options.key);
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
    const where = options.key === undefined ? '' : ` of the key ${JSON.stringify(options.key)}`;
    throw new TorilError(
      'NOTHING_RECORDED',
      `nothing${where} in ${nameOf(recording)} differs between the two versions of the updates.`,
    );
  }
  const { job, parts, line } = found.step;
  const chosen = await chosenOf(found, versions);
  return {
    ...{ key: job.keys?.[0] ?? (parts[0]?.key as string), line, oldRepeats },
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

async function chosenOf({ step, before }: Parting, versions: Versions): Promise<Step[]> {
  const few = await fewest(restingOn(step), versions);
  if (few.length <= JOBS_FEW) return few;
  const starts = step.starts.map(({ key }, at) => ({ key, value: before[at], steps: [] }));
  return [{ ...step, starts }];
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
async function fewest(steps: readonly Step[], versions: Versions): Promise<Step[]> {
  const last = steps.at(-1) as Step;
  let folds = 0;
  const shows = async (some: readonly Step[]): Promise<boolean> => {
    const keys = new Map<string, Tracked>();
    for (const step of some) {
      folds += 1;
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
  if (await shows([last])) return [last];
  for (let parts = 2; kept.length > 0 && folds < FOLDS_MAX; ) {
    const size = Math.ceil(kept.length / parts);
    let isSmaller = false;
    for (let from = 0; from < kept.length && folds < FOLDS_MAX; from += size) {
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
    if (isSmaller) continue;
    if (size === 1) break;
    parts = Math.min(parts * 2, kept.length);
  }
  return [...kept, last];
}
