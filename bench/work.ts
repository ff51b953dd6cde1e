/**
 * The work that every system does: append the job's number to a per-key value in memcached. The
 * value keeps a count, the last few numbers and a hash chained over all of them, so it stays small,
 * yet two values are equal only if the same numbers were appended in the same order.
 */

/** A replacement of `length` characters at `at` by `insert`, for the large document. */
export interface Edit {
  readonly at: number;
  readonly length: number;
  readonly insert: string;
}

/** A job's data. */
export interface Work {
  readonly key: string;
  readonly i: number;
  /** Monotonic milliseconds at which it was due, if its latency counts. */
  readonly at?: number;
  /** Milliseconds that the change takes, for the slow key. */
  readonly pauseMs?: number;
  readonly edit?: Edit;
}

export interface Value {
  readonly count: number;
  /** A whole number below 2^53, chained over everything that was appended. */
  readonly hash: number;
  readonly recent: readonly number[];
  readonly text?: string;
}

const RECENT_MAX = 16;
const EDIT_LENGTH = 16;
const FULL_WORD = 2 ** 32;
/** 53 bits less the lower 32. */
const HIGH_MASK = 0x1fffff;

export function emptyValue(documentBytes = 0): Value {
  const empty = { count: 0, hash: 0, recent: [] };
  return documentBytes === 0 ? empty : { ...empty, text: documentText(documentBytes) };
}

/** Does not change the value it was given. */
export function append(value: Value, { i, edit }: Work): Value {
  const recent = [...value.recent.slice(1 - RECENT_MAX), i];
  const appended = { count: value.count + 1, hash: chainHash(value.hash, i), recent };
  if (value.text === undefined) return appended;
  return { ...appended, text: edit === undefined ? value.text : edited(value.text, edit) };
}

export function edited(text: string, { at, length, insert }: Edit): string {
  return text.slice(0, at) + insert + text.slice(at + length);
}

/** Never 0, which stands for the empty chain. */
export function chainHash(hash: number, i: number): number {
  const low = mixed((hash >>> 0) ^ Math.imul(i + 1, 0x9e3779b1));
  const high = mixed(Math.floor(hash / FULL_WORD) ^ Math.imul(i + 1, 0x85ebca6b) ^ low);
  return (high & HIGH_MASK) * FULL_WORD + low || 1;
}

/** The finalizer of MurmurHash3. */
function mixed(word: number): number {
  let bits = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

/** What one run enqueues: job i changes key number i modulo `keys`. */
export interface Plan {
  /** Unique to the run: its queue's name. */
  readonly run: string;
  /** Of its keys. Default: the run's name. */
  readonly prefix?: string;
  readonly jobs: number;
  readonly keys: number;
  readonly pauseMs?: number;
  /** Characters of the document that each key holds; 0: none. */
  readonly documentBytes?: number;
}

export function keyAt({ run, prefix = run }: Plan, index: number): string {
  return `${prefix}:${index}`;
}

export function workAt(plan: Plan, i: number): Work {
  const { keys, pauseMs, documentBytes = 0 } = plan;
  return {
    key: keyAt(plan, i % keys),
    i,
    ...(pauseMs !== undefined && { pauseMs }),
    ...(documentBytes > 0 && { edit: editAt(i, documentBytes) }),
  };
}

/** The same for the same number, spread over the whole document, overlapping now and then. */
function editAt(i: number, documentBytes: number): Edit {
  const at = mixed(i + 1) % Math.max(1, documentBytes - EDIT_LENGTH);
  return { at, length: EDIT_LENGTH, insert: String(i).padStart(EDIT_LENGTH, '~') };
}

function documentText(bytes: number): string {
  const words: string[] = [];
  for (let i = 0, length = 0; length < bytes; i++) {
    const word = `${mixed(i).toString(36)} `;
    words.push(word);
    length += word.length;
  }
  return words.join('').slice(0, bytes);
}
