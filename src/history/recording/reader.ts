/** Reading a recording: no line is believed before its chain was checked. */
import { TorilError } from '../../errors.ts';
import { LineSplitter } from './line-splitter.ts';
import {
  ChainReader,
  type RecordedCommit,
  RECORDING_FORMAT,
  type RecordingEnd,
  type RecordingHeader,
  type RecordingLine,
} from './recording.ts';

const GZIP_MAGIC = Buffer.from([0x1f, 0x8b]);
/** Bytes of a line that has no end: more than a commit can have. */
const LINE_MAX = 2 ** 28;

type NumberedLine = RecordingLine & { readonly n: number };

/** Turns pieces of a file into its commits, in order. Every error names the place. */
export class RecordingReader {
  readonly #name: string;
  readonly #splitter = new LineSplitter();
  readonly #chain = new ChainReader();
  /** Lines read. */
  #lines = 0;
  #jobs = 0;
  /** Of the line of the last commit. */
  lineCharacters = 0;
  #header: RecordingHeader | undefined;
  #end: RecordingEnd | undefined;

  /** @param name of the file, for messages */
  constructor(name: string) {
    this.#name = name;
  }

  /** Undefined until its line was read. */
  get header(): RecordingHeader | undefined {
    return this.#header;
  }

  get commits(): number {
    return Math.max(0, this.#lines - (this.#end === undefined ? 1 : 2));
  }

  /**
   * The commits that end in this piece.
   * @throws TorilError BAD_FILE, RECORDING_DAMAGED, RECORDING_NEWER
   */
  *read(piece: Buffer | string): Generator<RecordedCommit, void, undefined> {
    const splitter = this.#splitter;
    if (this.#lines === 0 && splitter.restBytes === 0) this.#refuseGzip(piece);
    splitter.add(piece);
    for (let line = splitter.next(); line !== undefined; line = splitter.next()) {
      const commit = this.#line(line);
      if (commit !== undefined) yield commit;
    }
    if (splitter.restBytes > LINE_MAX) throw this.#damaged('it has no end');
  }

  /** @throws TorilError BAD_FILE, RECORDING_DAMAGED if the file ends where it should not */
  end(): RecordingEnd {
    if (this.#header === undefined) {
      throw this.#noRecording(
        this.#splitter.restBytes === 0 ? 'it is empty' : 'it has no whole line',
      );
    }
    if (this.#splitter.restBytes > 0) throw this.#damaged('it is cut off');
    if (this.#end === undefined) {
      throw damaged(`${this.#name} is cut off behind line ${this.#lines}: it has no end.`);
    }
    return this.#end;
  }

  #line(line: string): RecordedCommit | undefined {
    if (this.#end !== undefined) throw this.#damaged('it comes behind the end of the recording');
    if (!this.#chain.accepts(line)) throw this.#explained(line);
    const parsed = JSON.parse(line) as NumberedLine;
    this.#lines += 1;
    this.lineCharacters = line.length;
    if ('commit' in parsed) {
      this.#jobs += parsed.commit.jobs.length;
      return parsed.commit;
    }
    if ('recording' in parsed) this.#begin(parsed.recording);
    else this.#finish(parsed.end);
    return undefined;
  }

  #begin(header: RecordingHeader): void {
    this.#header = header;
    if (header.format <= RECORDING_FORMAT) return;
    throw new TorilError(
      'RECORDING_NEWER',
      `${this.#name} was recorded in format ${header.format} by Toril ${header.toril}, and this version reads up to ${RECORDING_FORMAT}. Update Toril.`,
    );
  }

  #finish(end: RecordingEnd): void {
    this.#end = end;
    const { commits, jobs } = end;
    if (commits === this.commits && jobs === this.#jobs) return;
    throw damaged(
      `the end of ${this.#name} speaks of ${commits} commits and ${jobs} jobs, but it has ${this.commits} and ${this.#jobs}.`,
    );
  }

  #refuseGzip(piece: Buffer | string): void {
    if (!Buffer.isBuffer(piece) || !piece.subarray(0, 2).equals(GZIP_MAGIC)) return;
    throw new TorilError('BAD_FILE', `${this.#name} is compressed. Say "gunzip" to it first.`);
  }

  /** Why a line is not the one that was written there. */
  #explained(line: string): TorilError {
    let number: unknown;
    let format: unknown;
    let toril: unknown;
    try {
      const parsed = JSON.parse(line) as Partial<NumberedLine> & {
        recording?: { format?: number; toril?: string };
      };
      number = parsed?.n;
      ({ format, toril } = parsed?.recording ?? {});
    } catch {
      // It says nothing of itself.
    }
    const isFirst = this.#lines === 0;
    // Another format may chain its lines otherwise, too.
    if (isFirst && typeof format === 'number' && format > RECORDING_FORMAT) {
      this.#begin({ format, toril: String(toril) } as RecordingHeader);
    }
    if (isFirst && number !== 0) return this.#noRecording('its first line is no header');
    if (line.endsWith('\r')) {
      return this.#damaged('line endings were changed to those of Windows; keep the file as it is');
    }
    if (typeof number === 'number' && number !== this.#lines) {
      return this.#damaged(
        `here should be line ${this.#lines + 1} of what was recorded, but it is line ${number + 1}: lines were dropped, added or moved`,
      );
    }
    return this.#damaged(
      'it is not what was recorded behind the lines before it: it, or its chain, was changed',
    );
  }

  #damaged(why: string): TorilError {
    return damaged(`line ${this.#lines + 1} of ${this.#name}: ${why}.`);
  }

  #noRecording(why: string): TorilError {
    return new TorilError(
      'BAD_FILE',
      `${this.#name} is no recording of Toril: ${why}. Make one with "toril record".`,
    );
  }
}

function damaged(what: string): TorilError {
  return new TorilError('RECORDING_DAMAGED', `${what} Record it again, or take it from a backup.`);
}
