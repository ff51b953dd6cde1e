/** The smallest recording that still shows where two versions of the updates part. */
import { TorilError } from '../../errors.ts';
import { copyOfJson } from '../../updates/values/json-value.ts';
import { UpdateRegistry } from '../../updates/update-registry.ts';
import { type Updates, updatesOf } from '../../updates/updates-of.ts';
import { checkKey } from '../../key.ts';
import { valueHash } from '../history.ts';
import { commitsOf, nameOf, type RecordingInput } from '../recording/input.ts';
import { RecordingReader } from '../recording/reader.ts';
import { type RecordingHeader, SINGLE_KEY_FORMAT } from '../recording/recording.ts';
import { foldJob } from '../replay/commit.ts';
import { both, jsonOf, KeySearch, type Step, type Versions } from './parting.ts';
import { RecordingWriter } from './write-again.ts';

export interface ShrinkOptions {
  /** The version that the small recording is what it was with. */
  readonly old: Updates;
  readonly new: Updates;
  /** Only this key; default: the first that shows a difference. */
  readonly key?: string | undefined;
}

export interface Shrunk {
  readonly key: string;
  /** The line of the large recording at which the two part. */
  readonly line: number;
  /** Ids of the jobs that are left; the last one shows the difference. */
  readonly jobs: readonly string[];
  /**
   * False: up to that line, `old` does not give what was recorded of the key. It is not what was run then, and the
   * small recording is true to `old`, not to what happened.
   */
  readonly oldRepeats: boolean;
  /** Lines of the small recording, without their newlines. */
  readonly lines: readonly string[];
}

/** Of recordings that may have some. */
const TRANSACTIONS =
  ' Transactions are not looked at: "toril compare" does that, and "toril slice --job" cuts one out.';

/** Jobs folded in search of a smaller set, at most: some seconds. */
const FOLDS_MAX = 3_000_000;
/** More jobs than these are harder to read than one job and the value that it met. */
const JOBS_FEW = 3;

/**
 * Looks for the first job at which the two versions part, and leaves out what it does not need: from the key's
 * beginning if three jobs are enough, else that job alone with the value that it met.
 * @throws TorilError as `replay`; NOTHING_RECORDED if nothing differs
 */
export async function shrink(recording: RecordingInput, options: ShrinkOptions): Promise<Shrunk> {
  if (options.key !== undefined) checkKey(options.key);
  const versions: Versions = {
    old: new UpdateRegistry(updatesOf(options.old)),
    new: new UpdateRegistry(updatesOf(options.new)),
  };
  const reader = new RecordingReader(nameOf(recording));
  const keys = new Map<string, KeySearch>();
  let found: KeySearch | undefined;
  await commitsOf(recording, reader, (commit) => {
    const { key } = commit;
    if (found !== undefined || (options.key ?? key) !== key) return undefined;
    let search = keys.get(key);
    if (search === undefined) keys.set(key, (search = new KeySearch(versions)));
    const line = reader.commits + 1;
    const searching = search.next(commit, line);
    const settle = (): void => void (search.parting !== undefined && (found = search));
    return searching === undefined ? settle() : searching.then(settle);
  });
  if (found?.parting === undefined) {
    const where = options.key === undefined ? '' : ` of the key ${JSON.stringify(options.key)}`;
    const hint = reader.header?.format === SINGLE_KEY_FORMAT ? '' : TRANSACTIONS;
    throw new TorilError(
      'NOTHING_RECORDED',
      `nothing${where} in ${nameOf(recording)} differs between the two versions of the updates.${hint}`,
    );
  }
  const { parting, steps, start, oldRepeats } = found;
  const few = await fewest(steps, start, versions);
  const [chosen, from] = few.length <= JOBS_FEW ? [few, start] : [steps.slice(-1), parting.before];
  return {
    key: parting.step.commit.key,
    line: parting.line,
    jobs: chosen.map(({ job }) => job.id),
    oldRepeats,
    lines: await written(chosen, from, versions.old, reader.header as RecordingHeader),
  };
}

/** Zeller's ddmin: leaves out ever smaller parts, as long as the difference stays. The last step stays, too. */
async function fewest(steps: readonly Step[], start: unknown, versions: Versions): Promise<Step[]> {
  const last = steps.at(-1) as Step;
  let folds = 0;
  const shows = async (some: readonly Step[]): Promise<boolean> => {
    let [old, now] = [start, start];
    for (const step of some) {
      folds += 1;
      const tried = both(step, old, now, versions);
      const settled = tried instanceof Promise ? await tried : tried;
      if (settled.kind === 'unknown') return false;
      if (settled.differs) return true;
      ({ old, new: now } = settled);
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
      if (await shows([...part, last])) {
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

/** As if the old version had committed these jobs, each with what its context was. */
async function written(
  steps: readonly Step[],
  start: unknown,
  old: UpdateRegistry,
  header: RecordingHeader,
): Promise<string[]> {
  const writer = new RecordingWriter();
  const lines = [writer.header({ ...header, part: true })];
  let value = start;
  let base = 0;
  for (const { job, commit } of steps) {
    const { key, id, token } = commit;
    const { outcome: _, result: __, resultHash: ___, ...plain } = job;
    const folded = await foldJob(job, commit, old, copyOfJson(value));
    const isFailed = folded.kind === 'failed';
    if (folded.kind === 'value') ({ value } = folded);
    const json = jsonOf(value);
    const failed = isFailed
      ? ({ kind: 'failed', code: folded.code, message: folded.message, cascades: false } as const)
      : undefined;
    const result =
      folded.kind === 'value' && folded.result !== ''
        ? (JSON.parse(folded.result) as unknown)
        : undefined;
    lines.push(
      writer.commit({
        ...{ id, key, token, base, watermark: job.sequence },
        ...(base === 0 && { origin: start === undefined ? 'nothing' : { adopted: start } }),
        jobs: [
          {
            ...plain,
            ...(failed && { outcome: failed }),
            ...(result !== undefined && { result }),
          },
        ],
        hash: valueHash(json),
        ...(json !== undefined && { value: JSON.parse(json) as unknown }),
      }),
    );
    base = token;
  }
  lines.push(writer.end({ results: true }));
  return lines;
}
