/** A part of a recording that is a recording itself, and can be replayed. */
import { hash } from 'node:crypto';
import { TorilError } from '../../errors.ts';
import {
  asLines,
  commitsOf,
  eachCommit,
  nameOf,
  type RecordedLines,
  type RecordingInput,
  readableAgain,
} from '../recording/input.ts';
import { RecordingReader } from '../recording/reader.ts';
import { CommitLines } from '../recording/joint-lines.ts';
import {
  type RecordedCommit,
  type RecordingHeader,
  SINGLE_KEY_FORMAT,
} from '../recording/recording.ts';
import { begins, isKnown, Sources, valueOnly } from './sources.ts';
import { RecordingWriter } from './write-again.ts';

/** What is kept: all that every given one allows. */
export interface SliceOptions {
  readonly keys?: readonly string[] | undefined;
  /** Ids: the commits that have them. */
  readonly jobs?: readonly string[] | undefined;
  /** Commits acknowledged since then, milliseconds since 1970, */
  readonly since?: number | undefined;
  /** and before then. */
  readonly until?: number | undefined;
  /** The share of the keys that is kept, always the same ones. */
  readonly sample?: number | undefined;
}

/**
 * The lines of the slice, without their newlines. Of each key it has the commits that are wanted and those
 * between them, and before them what is needed to begin: from the last one whose value is known. A joint commit is kept
 * with all its lines, and what they need to begin. The recording is read twice (with joint commits three times), so that no
 * commit is kept in memory; a stream is kept as it comes.
 * @throws TorilError as `replay`; NOTHING_RECORDED if nothing is left; INVALID_OPTIONS
 */
export function slice(recording: RecordingInput, options: SliceOptions): RecordedLines {
  const headed: Headed = (header, isWhole) => (isWhole ? header : { ...header, part: true });
  return asLines(linesOf(recording, options, headed));
}

/** The same as if only that key had been recorded. */
export function sliceOfKey(recording: RecordingInput, key: string): RecordedLines {
  return asLines(linesOf(recording, { keys: [key] }, (header) => ({ ...header, key })));
}

type Headed = (header: RecordingHeader, isWhole: boolean) => RecordingHeader;

async function* linesOf(
  recording: RecordingInput,
  options: SliceOptions,
  headed: Headed,
): AsyncGenerator<string, void, undefined> {
  checkOptions(options);
  const name = nameOf(recording);
  const source = await readableAgain(recording);
  const { keys, isWhole } = await partsOf(source, name, options);
  const has = ({ key }: RecordedCommit, at: number): boolean => keys.get(key)?.has(at) === true;
  const needed = await neededBy(source, name, has);
  const reader = new RecordingReader(name);
  const writer = new RecordingWriter();
  let hasHeader = false;
  for await (const commit of eachCommit(source, reader)) {
    const header = reader.header as RecordingHeader;
    if (!hasHeader) yield writer.header(headed(header, isWhole));
    hasHeader = true;
    const at = reader.commits;
    if (has(commit, at) || needed.lines.has(at)) yield writer.commit(commit);
    else if (needed.values.has(at)) yield writer.commit(valueOnly(commit));
  }
  yield writer.end(reader.end());
}

/** What joint commits of the slice need besides. The file is read once more if it may have some. */
async function neededBy(
  recording: RecordingInput,
  name: string,
  has: (commit: RecordedCommit, at: number) => boolean,
): Promise<Sources> {
  const reader = new RecordingReader(name);
  const sources = new Sources();
  // Places are counted from the first commit, which is on the second line.
  const lines = new CommitLines({
    single: (commit, at) => sources.single(commit, at),
    joint: (joint) =>
      sources.joint(
        joint,
        joint.parts.some((part, at) => has(part, joint.line + at)),
      ),
  });
  for await (const commit of eachCommit(recording, reader)) {
    if (reader.header?.format === SINGLE_KEY_FORMAT) break;
    await lines.next(commit, reader.commits);
  }
  await lines.end();
  return sources;
}

interface Parts {
  readonly keys: ReadonlyMap<string, KeyPart>;
  /** No commit is left out. */
  readonly isWhole: boolean;
}

async function partsOf(
  recording: RecordingInput,
  name: string,
  options: SliceOptions,
): Promise<Parts> {
  const { sample = 1 } = options;
  const reader = new RecordingReader(name);
  const keys = new Map<string, KeyPart>();
  const isWanted = wanting(options);
  const wantedKeys = options.keys && new Set(options.keys);
  const unseen = { key: new Set(options.keys), job: new Set(options.jobs) };
  let isWhole = true;
  await commitsOf(recording, reader, (commit) => {
    const { key, jobs } = commit;
    unseen.key.delete(key);
    if (unseen.job.size > 0) for (const { id } of jobs) unseen.job.delete(id);
    if (wantedKeys?.has(key) === false || !isSampled(key, sample)) {
      isWhole = false;
      return;
    }
    let part = keys.get(key);
    if (part === undefined) keys.set(key, (part = new KeyPart()));
    part.next(commit, reader.commits, isWanted(commit));
  });
  for (const [what, [missing]] of Object.entries(unseen)) {
    if (missing === undefined) continue;
    throw new TorilError('NOTHING_RECORDED', `${name} has no ${what} ${JSON.stringify(missing)}.`);
  }
  const parts = [...keys.values()];
  if (!parts.some(({ last }) => last > 0)) {
    throw new TorilError(
      'NOTHING_RECORDED',
      `${name} has nothing that all the given options allow.`,
    );
  }
  return { keys, isWhole: isWhole && parts.every((part) => part.isWhole) };
}

const OPTIONS: Readonly<Record<keyof SliceOptions, 'list' | 'time' | 'share'>> = {
  ...({ keys: 'list', jobs: 'list', since: 'time', until: 'time', sample: 'share' } as const),
};

/** What is misspelt or of another type would leave nothing out. */
function checkOptions(options: SliceOptions): void {
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(OPTIONS, name)) refuse(`slice has no option ${name}`);
    if (value === undefined) continue;
    const kind = OPTIONS[name as keyof SliceOptions];
    if (kind === 'list') {
      const isList = Array.isArray(value) && value.every((one) => typeof one === 'string');
      if (!isList || value.length === 0)
        refuse(`${name} must be a list of texts, and not be empty`);
    } else if (kind === 'time' && !Number.isFinite(value)) {
      refuse(`${name} must be a time in milliseconds since 1970`);
    } else if (kind === 'share' && !(typeof value === 'number' && value > 0 && value <= 1)) {
      refuse(`sample must be above 0 and at most 1, not ${value}`);
    }
  }
  const { since = -Infinity, until = Infinity } = options;
  if (since >= until) refuse('since must be before until: nothing is between them');
}

function refuse(what: string): never {
  throw new TorilError('INVALID_OPTIONS', `${what}.`);
}

/** Of a key, always the same answer. */
export function isSampled(key: string, share: number): boolean {
  if (share === 1) return true;
  return Number.parseInt(hash('sha1', key, 'hex').slice(0, 8), 16) / 2 ** 32 < share;
}

/** Which commits of a key are kept, by their places in the recording, counted from 1. */
class KeyPart {
  #first = 0;
  /** 0: none is wanted. */
  last = 0;
  /** Of the key's own commits, wanted or not. */
  #firstOwn = 0;
  #lastOwn = 0;

  get isWhole(): boolean {
    return this.#first === this.#firstOwn && this.last === this.#lastOwn;
  }

  next(commit: RecordedCommit, at: number, isWanted: boolean): void {
    if (this.#firstOwn === 0) this.#firstOwn = at;
    this.#lastOwn = at;
    if (isWanted) {
      if (this.#first === 0 || (this.last === 0 && begins(commit))) this.#first = at;
      this.last = at;
      return;
    }
    // It is folded from the beginning that comes last before the first wanted one, or behind a known value.
    const isStart = this.#first === 0 || begins(commit) || isKnown(commit);
    if (this.last === 0 && isStart) this.#first = at;
  }

  has(at: number): boolean {
    return at >= this.#first && at <= this.last;
  }
}

function wanting({ jobs, since, until }: SliceOptions): (commit: RecordedCommit) => boolean {
  const ids = jobs && new Set(jobs);
  return ({ id, jobs: own }) => {
    const ms = Number(id.split('-')[0]);
    if (since !== undefined && ms < since) return false;
    if (until !== undefined && ms >= until) return false;
    return ids === undefined || own.some((job) => ids.has(job.id));
  };
}
