/**
 * A recording: a queue's history as a file, in JSON Lines, one header, one line per commit, one end
 * (docs/replay.md, docs/recording.schema.json). Each line carries a hash over itself and all lines
 * before it, so that a file which was cut off, changed or put together from pieces is refused, with the place.
 */
import { hash } from 'node:crypto';
import type { JobOutcome } from '../../updates/outcome.ts';

/** 2: there may be joint commits. Others are written in format 1 still, which older versions read. */
export const RECORDING_FORMAT = 2;
export const SINGLE_KEY_FORMAT = 1;
/** Stands for the hash of a value that a mask hides. */
export const WITHHELD_HASH = '';

/** The first line. */
export interface RecordingHeader {
  readonly format: number;
  /** Version of the Toril that wrote the file. */
  readonly toril: string;
  /** The queue's qualified name ("bull:orders"). */
  readonly queue: string;
  /** When it was recorded: ISO 8601. */
  readonly recordedAt: string;
  /** Only this key's commits; null: those of all keys. */
  readonly key: string | null;
  /** Only commits acknowledged since then: ISO 8601; null: all that the history had. */
  readonly since: string | null;
  /** Keys or commits were left out afterwards (`slice`, `shrink`): what is said of all keys together is not known. */
  readonly part?: true;
  /** Data and values went through a user's function. */
  readonly masked: boolean;
  /**
   * False: the hashes are those of values that were never made from the data in the file. A masked
   * file is replayable only if its values and hashes were recomputed when it was recorded.
   */
  readonly replayable: boolean;
}

export interface RecordedJob {
  readonly id: string;
  /** Missing: the job had been removed before its commit was acknowledged. */
  readonly update?: string;
  readonly sequence: number;
  readonly attempt: number;
  /** Of a joint job: its keys, in its user's order. */
  readonly keys?: readonly string[];
  /** Missing: applied. */
  readonly outcome?: RecordedOutcome;
  /** Missing with `update`, if it was no JSON, or if the job failed and would not with its masked data. */
  readonly data?: unknown;
  /** What its `result()` returned. Missing: nothing, or it was not recorded (RecordingEnd, `results`). */
  readonly result?: unknown;
  /** Instead of a long result: `resultHash` of its JSON. */
  readonly resultHash?: string;
}

/** How a job left its lane, if it was not applied: outcome.ts. */
export type RecordedOutcome =
  | Pick<Extract<JobOutcome, { kind: 'failed' }>, 'kind' | 'code' | 'message' | 'cascades'>
  | { readonly kind: 'moved' }
  | { readonly kind: 'withdrawn' };

/** One line: one commit, or one key of a joint commit. These lines stand one behind the other, and have the same token. */
export interface RecordedCommit {
  /** In the history: milliseconds since 1970, a dash and a number. */
  readonly id: string;
  readonly key: string;
  readonly token: number;
  readonly base: number;
  readonly watermark: number;
  /** Where the fold began; missing: with the value of its base. See history.ts. */
  readonly origin?: 'nothing' | 'unknown' | { readonly adopted: unknown };
  readonly jobs: readonly RecordedJob[];
  /** history.ts, `valueHash`; or WITHHELD_HASH. */
  readonly hash: string;
  /** The value, where it was recorded in full. */
  readonly value?: unknown;
  /** It was acknowledged by its author's successor. */
  readonly recovered?: true;
  /** Of a joint commit: all its keys, in the order of their lines, of which this is the first and has the jobs; */
  readonly keys?: readonly string[];
  /** or the `id` of that one. */
  readonly head?: string;
}

/** The last line. */
export interface RecordingEnd {
  readonly commits: number;
  readonly jobs: number;
  readonly keys: number;
  /** The results of all jobs that had one are recorded. Not so if it is masked and not replayable, or if a worker was too old. */
  readonly results?: true;
  /** Lines behind which commits may be missing: the history was trimmed while it was being recorded. */
  readonly torn?: readonly number[];
}

export type RecordingLine =
  | { readonly recording: RecordingHeader }
  | { readonly commit: RecordedCommit }
  | { readonly end: RecordingEnd };

/** Every line begins `{"chain":"0123456789abcdef",`; the chain goes over the rest of it. */
const CHAIN_DIGITS = 16;
const CHAIN_OPEN = '{"chain":"';
const CHAIN_CLOSE = '",';
const REST_AT = CHAIN_OPEN.length + CHAIN_DIGITS + CHAIN_CLOSE.length;

/** The chain of a line: the first 64 bits of SHA-256 over the chain of the line before it and its own rest. */
function chained(before: string, rest: string): string {
  return hash('sha256', before + rest, 'hex').slice(0, CHAIN_DIGITS);
}

/** Makes lines of a recording, one after the other. */
export class ChainWriter {
  #chain = '';
  #number = 0;

  line(content: RecordingLine): string {
    const rest = `"n":${this.#number},${JSON.stringify(content).slice(1)}`;
    this.#chain = chained(this.#chain, rest);
    this.#number += 1;
    return CHAIN_OPEN + this.#chain + CHAIN_CLOSE + rest;
  }
}

/** Whether the next line is the one that was written there. */
export class ChainReader {
  #chain = '';

  accepts(line: string): boolean {
    const chain = chained(this.#chain, line.slice(REST_AT));
    if (!line.startsWith(CHAIN_OPEN + chain + CHAIN_CLOSE)) return false;
    this.#chain = chain;
    return true;
  }
}
