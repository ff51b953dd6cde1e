/** Replaying a recording: every commit is folded again with today's updates, and every hash compared. */
import { createReadStream } from 'node:fs';
import { messageOf, TorilError } from '../../errors.ts';
import type { RecordedCommit, RecordedJob, RecordingHeader } from '../recording/recording.ts';
import { RecordingReader } from '../recording/reader.ts';
import { foldJob, isApplied } from './commit.ts';
import { differenceBetween } from './difference.ts';
import { KeyReplay } from './key.ts';
import type {
  Difference,
  KeyReport,
  KnownValue,
  CommittedValue,
  LiveVerdict,
  ReplayReport,
} from './report.ts';
import type { AnyUpdate } from '../../jobs/update.ts';
import { UpdateRegistry } from '../../jobs/update-registry.ts';

/** Bytes per read. */
const PIECE_BYTES = 256 * 1024;
/** Keys whose difference is shown with its values; of more, only the place is told. */
const DIFFERENCES_SHOWN = 20;
/** What is wrong with a cell, not with its server. */
const UNREADABLE: ReadonlySet<string> = new Set([
  'FOREIGN_VALUE',
  'ENVELOPE_NEWER',
  'ENVELOPE_DAMAGED',
]);
/** Cells that are read at the same time. */
const LIVE_AT_ONCE = 100;

export interface ReplayOptions {
  /** Only this key. */
  readonly key?: string | undefined;
  /**
   * The updates as they were when the history was made. They tell which job of a commit is the first
   * to differ, and what its value was, where the recording has only the hash of many jobs' work.
   */
  readonly former?: readonly AnyUpdate[] | undefined;
  /** Reads a cell as it is now; undefined: memcached has none. With it, last values are compared. */
  readonly live?: ((key: string) => Promise<CommittedValue | undefined>) | undefined;
  /** Told now and then how many commits were read. */
  readonly onProgress?: ((commits: number) => void) | undefined;
}

/**
 * Folds every key from its beginning, or from its first checkpoint. What it keeps in memory is the
 * last value of each key, nothing that grows with the number of commits. Updates that act on the
 * outside world (`strict`) are not run.
 *
 * @param recording a file's path, or its pieces (or lines with their newlines)
 * @throws TorilError BAD_FILE, RECORDING_DAMAGED, RECORDING_NEWER, RECORDING_MASKED, NOTHING_RECORDED
 *   (no such key), INVALID_OPTIONS, DUPLICATE_UPDATE, whatever `live` throws. Whatever differs is in the report, not thrown.
 */
export async function replay(
  recording: string | AsyncIterable<Buffer | string> | Iterable<Buffer | string>,
  updates: readonly AnyUpdate[],
  options: ReplayOptions = {},
): Promise<ReplayReport> {
  const name = typeof recording === 'string' ? recording : 'the recording';
  const replaying = new Replay(new RecordingReader(name), updates, options);
  try {
    const pieces = typeof recording === 'string' ? piecesOf(recording) : recording;
    for await (const piece of pieces) await replaying.read(piece);
  } catch (cause) {
    if (typeof (cause as NodeJS.ErrnoException).syscall !== 'string') throw cause;
    throw new TorilError('BAD_FILE', `${name} cannot be read: ${messageOf(cause)}.`, { cause });
  }
  return replaying.report(name);
}

function piecesOf(file: string): AsyncIterable<Buffer> {
  return createReadStream(file, { highWaterMark: PIECE_BYTES }) as AsyncIterable<Buffer>;
}

class Replay {
  readonly #reader: RecordingReader;
  readonly #registry: UpdateRegistry;
  readonly #former: UpdateRegistry | undefined;
  readonly #options: ReplayOptions;
  readonly #keys = new Map<string, KeyReplay>();
  readonly #unknown = new Set<string>();

  constructor(reader: RecordingReader, updates: readonly AnyUpdate[], options: ReplayOptions) {
    this.#reader = reader;
    this.#registry = new UpdateRegistry(updates);
    this.#former = options.former && new UpdateRegistry(options.former);
    this.#options = options;
  }

  async read(piece: Buffer | string): Promise<void> {
    const reader = this.#reader;
    for (const commit of reader.read(piece)) {
      if (reader.commits === 1) refuseMasked(reader.header);
      const pending = this.#next(commit);
      if (pending !== undefined) await pending;
    }
    this.#options.onProgress?.(reader.commits);
  }

  async report(name: string): Promise<ReplayReport> {
    const { jobs, commits } = this.#reader.end();
    const { header } = this.#reader;
    const { key } = this.#options;
    refuseMasked(header);
    if (key !== undefined && this.#keys.size === 0) {
      throw new TorilError(
        'NOTHING_RECORDED',
        `${name} has no commit of the key ${JSON.stringify(key)}.`,
      );
    }
    const keys: KeyReport[] = [];
    let shown = 0;
    for (const [each, replayed] of this.#keys) {
      const { difference } = replayed;
      if (difference !== undefined) shown += 1;
      const told = difference && (await this.#told(difference, shown <= DIFFERENCES_SHOWN));
      keys.push(reportOf(each, replayed, told));
    }
    const all = this.#options.live === undefined ? keys : await this.#compareLive(keys);
    const checked = keys.reduce((sum, { checked: more }) => sum + more, 0);
    const seen = keys.reduce((sum, { commits: more }) => sum + more, 0);
    return {
      recording: header as RecordingHeader,
      agrees: checked > 0 && all.every(isWell),
      complete: checked === seen,
      commits: key === undefined ? commits : seen,
      checked,
      jobs,
      unknownUpdates: [...this.#unknown],
      keys: all,
    };
  }

  #next(commit: RecordedCommit): void | Promise<void> {
    const { key } = commit;
    if (this.#options.key !== undefined && key !== this.#options.key) return;
    let replayed = this.#keys.get(key);
    if (replayed === undefined) {
      replayed = new KeyReplay(this.#registry, this.#unknown);
      this.#keys.set(key, replayed);
    }
    return replayed.next(commit, this.#reader.commits + 1);
  }

  async #told(difference: Difference, inFull: boolean): Promise<Difference> {
    if (!inFull) return difference;
    const exact =
      this.#former === undefined
        ? difference
        : await pinpointed(difference, this.#registry, this.#former);
    const { expected, actual } = exact;
    if (expected === undefined || actual === undefined) return exact;
    return { ...exact, diff: differenceBetween(expected.json, actual.json) };
  }

  async #compareLive(keys: readonly KeyReport[]): Promise<KeyReport[]> {
    const compared: KeyReport[] = [];
    for (let from = 0; from < keys.length; from += LIVE_AT_ONCE) {
      const some = keys.slice(from, from + LIVE_AT_ONCE);
      compared.push(
        ...(await Promise.all(
          some.map(async (report) => ({ ...report, live: await this.#liveVerdict(report) })),
        )),
      );
    }
    return compared;
  }

  async #liveVerdict({ key, last }: KeyReport): Promise<LiveVerdict> {
    if (last === undefined) return { kind: 'unknown' };
    let live: CommittedValue | undefined;
    try {
      live = await this.#options.live?.(key);
    } catch (cause) {
      if (!(cause instanceof TorilError) || !UNREADABLE.has(cause.code)) throw cause;
      return { kind: 'unreadable', message: cause.message };
    }
    if (live === undefined) return last.json === undefined ? { kind: 'same' } : { kind: 'missing' };
    if (live.token > last.token) return { kind: 'newer' };
    if (live.token < last.token) return { kind: 'older' };
    if (live.json === last.json) return { kind: 'same' };
    return { kind: 'differs', diff: differenceBetween(last.json, live.json) };
  }
}

function refuseMasked(header: RecordingHeader | undefined): void {
  if (header?.replayable !== false) return;
  throw new TorilError(
    'RECORDING_MASKED',
    'the recording was masked, so its hashes are those of values that its data do not give. Record it again with --mask and --updates: then the values are made anew from the masked data.',
  );
}

function reportOf(key: string, replayed: KeyReplay, difference: Difference | undefined): KeyReport {
  const { start, commits, checked, gaps, gapsCount, last } = replayed;
  let verdict: KeyReport['verdict'] = checked > 0 ? 'agrees' : 'unchecked';
  if (replayed.meetsUnknown) verdict = 'unknown-update';
  if (difference !== undefined) verdict = 'differs';
  return { key, verdict, start, commits, checked, gaps, gapsCount, difference, last };
}

function isWell({ verdict, live }: KeyReport): boolean {
  return (
    (verdict === 'agrees' || verdict === 'unchecked') &&
    live?.kind !== 'differs' &&
    live?.kind !== 'unreadable'
  );
}

/** Folds the commit once more, job by job, with both sets of updates, to find the first job that differs. */
async function pinpointed(
  difference: Difference,
  registry: UpdateRegistry,
  former: UpdateRegistry,
): Promise<Difference> {
  const { commit, before, watermarkBefore } = difference;
  let expected: KnownValue = before;
  let actual: KnownValue = before;
  for (const job of commit.jobs.filter((one) => isApplied(one, watermarkBefore))) {
    const then = await after(job, commit, former, expected);
    if (then === undefined) return difference; // not the updates that made this history
    const now = await after(job, commit, registry, actual);
    const comparedAt = { line: difference.line, token: difference.token };
    if (now === undefined || now.json !== then.json) {
      return {
        ...difference,
        jobs: [job],
        before: expected,
        comparedAt,
        expected: then,
        actual: now,
      };
    }
    expected = then;
    actual = now;
  }
  return difference;
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
