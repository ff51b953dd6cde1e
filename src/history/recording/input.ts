/** What a recording can be read from. */
import { createReadStream } from 'node:fs';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { messageOf, TorilError } from '../../errors.ts';
import type { RecordingReader } from './reader.ts';
import type { RecordedCommit, RecordingHeader } from './recording.ts';

/**
 * A file's path or URL; its text, its bytes, or its pieces (a stream, lines with their newlines), compressed with
 * gzip or not; or what `record(queue)` gives.
 */
export type RecordingInput =
  | string
  | URL
  | Buffer
  | AsyncIterable<Buffer | string>
  | Iterable<Buffer | string>;

/** Bytes per read. */
const PIECE_BYTES = 256 * 1024;
const GZIP_MAGIC = Buffer.from([0x1f, 0x8b]);
/** How every line begins, and no file's name. */
const LINE_OPEN = '{"chain":"';
/** What `record` gives: lines without their newlines. */
const ARE_LINES: unique symbol = Symbol('lines of a recording');

export type RecordedLines = AsyncGenerator<string, void, undefined> & {
  readonly [ARE_LINES]?: true;
};

export function asLines(lines: AsyncGenerator<string, void, undefined>): RecordedLines {
  return Object.assign(lines, { [ARE_LINES]: true } as const);
}

/** For messages. */
export function nameOf(recording: RecordingInput): string {
  const isNamed = typeof recording === 'string' && !recording.startsWith(LINE_OPEN);
  return isNamed || recording instanceof URL ? String(recording) : 'the recording';
}

/**
 * Calls `take` with every commit, in order, and reads the recording to its end.
 * @param take a promise is waited for before the next one
 * @throws TorilError BAD_FILE, RECORDING_DAMAGED, RECORDING_NEWER, RECORDING_MASKED
 */
export async function commitsOf(
  recording: RecordingInput,
  reader: RecordingReader,
  take: (commit: RecordedCommit) => void | Promise<void>,
  onProgress?: (commits: number) => void,
): Promise<void> {
  for await (const piece of readable(recording)) {
    for (const commit of reader.read(piece)) {
      if (reader.commits === 1) refuseMasked(reader.header);
      const pending = take(commit);
      if (pending !== undefined) await pending;
    }
    onProgress?.(reader.commits);
  }
  atEnd(reader);
}

/** The same, for who asks for the next one. Slower: each commit is waited for. */
export async function* eachCommit(
  recording: RecordingInput,
  reader: RecordingReader,
): AsyncGenerator<RecordedCommit, void, undefined> {
  for await (const piece of readable(recording)) {
    for (const commit of reader.read(piece)) {
      if (reader.commits === 1) refuseMasked(reader.header);
      yield commit;
    }
  }
  atEnd(reader);
}

function atEnd(reader: RecordingReader): void {
  reader.end();
  refuseMasked(reader.header);
}

/** What goes wrong here is wrong with the recording, and not with what is done with its commits. */
async function* readable(recording: RecordingInput): AsyncGenerator<Buffer | string> {
  try {
    yield* await unzipped(piecesOf(recording));
  } catch (cause) {
    const name = nameOf(recording);
    if (isOfGzip(cause)) {
      throw new TorilError(
        'RECORDING_DAMAGED',
        `${name} is cut off or damaged: it cannot be decompressed (${messageOf(cause)}). Record it again, or take it from a backup.`,
        { cause },
      );
    }
    if (typeof (cause as NodeJS.ErrnoException).syscall !== 'string') throw cause;
    throw new TorilError('BAD_FILE', `${name} cannot be read: ${messageOf(cause)}.`, { cause });
  }
}

function piecesOf(
  recording: RecordingInput,
): AsyncIterable<Buffer | string> | Iterable<Buffer | string> {
  if (Buffer.isBuffer(recording)) return [recording];
  if (typeof recording === 'string' && recording.startsWith(LINE_OPEN)) return [recording];
  if (!isReadable(recording)) {
    throw new TorilError(
      'INVALID_OPTIONS',
      `a recording is a file's path or URL, its text or bytes, a stream, lines, or what record(queue) gives, not ${recording === null ? 'null' : `a value of type ${typeof recording}`}.`,
    );
  }
  if (typeof recording === 'object' && ARE_LINES in recording) {
    return withNewlines(recording as RecordedLines);
  }
  if (typeof recording !== 'string' && !(recording instanceof URL)) return recording;
  return createReadStream(recording, { highWaterMark: PIECE_BYTES }) as AsyncIterable<Buffer>;
}

/** Pieces that can be read again each time they are asked for. */
const COMES_ANEW: unique symbol = Symbol('pieces of a recording that can be read again');

/** @param lines without their newlines */
export function linesAnew(lines: () => AsyncIterable<string>): RecordingInput {
  const pieces = { [Symbol.asyncIterator]: () => withNewlines(lines()) };
  return Object.assign(pieces, { [COMES_ANEW]: true } as const);
}

/** The same for who reads it more than once: what comes only once is kept, as it came. */
export async function readableAgain(recording: RecordingInput): Promise<RecordingInput> {
  const isOnce =
    typeof recording === 'object' &&
    !(COMES_ANEW in recording) &&
    !(recording instanceof URL) &&
    !Buffer.isBuffer(recording) &&
    !Array.isArray(recording);
  if (!isOnce) return recording;
  const pieces: Buffer[] = [];
  for await (const piece of piecesOf(recording)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

function isReadable(recording: unknown): boolean {
  if (typeof recording === 'string' || recording instanceof URL) return true;
  if (typeof recording !== 'object' || recording === null) return false;
  return Symbol.asyncIterator in recording || Symbol.iterator in recording;
}

async function* withNewlines(lines: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const line of lines) yield `${line}\n`;
}

/** The pieces themselves, if they are not compressed. */
async function unzipped(
  pieces: AsyncIterable<Buffer | string> | Iterable<Buffer | string>,
): Promise<AsyncIterable<Buffer | string>> {
  const source =
    Symbol.asyncIterator in pieces ? pieces[Symbol.asyncIterator]() : pieces[Symbol.iterator]();
  let first: IteratorResult<Buffer | string> | undefined = await source.next();
  const isZipped =
    first.done !== true &&
    Buffer.isBuffer(first.value) &&
    first.value.subarray(0, 2).equals(GZIP_MAGIC);
  const whole: AsyncIterableIterator<Buffer | string> = {
    async next() {
      const next = first ?? source.next();
      first = undefined;
      return next;
    },
    async return() {
      await source.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]: () => whole,
  };
  if (!isZipped) return whole;
  const zipped = Readable.from(whole, { objectMode: false, highWaterMark: PIECE_BYTES });
  const gunzip = createGunzip({ chunkSize: PIECE_BYTES });
  // What goes wrong on the way, whoever reads from it is told.
  pipeline(zipped, gunzip, () => {});
  return gunzip as AsyncIterable<Buffer>;
}

function isOfGzip(cause: unknown): boolean {
  const { code } = cause as NodeJS.ErrnoException;
  return typeof code === 'string' && code.startsWith('Z_');
}

function refuseMasked(header: RecordingHeader | undefined): void {
  if (header?.replayable !== false) return;
  throw new TorilError(
    'RECORDING_MASKED',
    'the recording was masked, so its hashes are those of values that its data do not give. Record it again with --mask and --updates: then the values are recomputed from the masked data.',
  );
}
