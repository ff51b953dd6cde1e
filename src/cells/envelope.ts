/**
 * The envelope: what a cell's memcached item holds. JSON, so that any reader in any language can
 * take `.value`. Pure: bytes in, meaning out.
 */
import { TorilError, messageOf } from '../errors.ts';
import type { Item, NewItem } from '../memcached/server.ts';

/**
 * Marks an item as an envelope of Toril ("TO"); any other flags make it a foreign value. Clients of other
 * languages take the low bits for the type of the value (php-memcached 16 of them, pylibmc 5): zero is plain text.
 */
export const CELL_FLAGS = 0x544f_0000;
const FORMAT_VERSION = 1;

/**
 * A new field: into `Written`, `encodeEnvelope` and `decodeItem`. While it is not optional, the compiler names what makes
 * an envelope; else: fold/fitting.ts (a batch), joint/fold-run.ts (several keys), turn/putting-right.ts (from the copy). Three
 * places take one apart without being asked by the compiler: turn/acknowledge.ts (a predecessor's commit),
 * fold/history-notes.ts (the history of it) and workers/trust/trust.ts (an operator's word). docs/design.md lists the fields.
 */
interface EnvelopeHeader {
  /** The highest sequence that the cell has applied. */
  readonly watermark: number;
  /** The commit's own token. */
  readonly token: number;
  /** The token of the acknowledged commit on which it was built; 0: the first. */
  readonly base: number;
  /** The queue whose lane the cell belongs to ("bull:orders"); empty for a lock without a queue. */
  readonly queue: string;
  /** The id of the Redis data set whose token it bears. */
  readonly dataSet: string;
  /** Encoded decisions of the commit's own jobs, where they must be named; by job id. */
  readonly decisions: ReadonlyMap<string, string>;
  /** Which jobs it decided (sequences.ts); undefined: the one whose sequence is the watermark. */
  readonly jobs?: string | undefined;
  /** Those that entered late (lanes.ts), by id, with their sequences; undefined: none. */
  readonly late?: ReadonlyMap<string, number> | undefined;
  /** The value's lifetime in milliseconds, set by this commit; 0: for ever. */
  readonly expireMs: number;
  /** All keys of the commit, if it has several: for readers. Undefined: one. */
  readonly keys?: readonly string[] | undefined;
  /** Where its fold began, if not with the value of its base: for the history of the one who acknowledges it. */
  readonly origin?: 'nothing' | 'adopted' | undefined;
}

/** Decisions of a commit none of whose jobs must be named. */
export const NONE_NAMED: ReadonlyMap<string, string> = new Map();

/** An envelope to be written. The value comes as JSON: it was encoded once, and goes in as it is. */
export interface NewEnvelope extends EnvelopeHeader {
  /** Undefined: deleted (a tombstone). */
  readonly valueJson: string | undefined;
}

/** An envelope that was read. */
export interface Envelope extends EnvelopeHeader {
  /** Undefined: deleted (a tombstone), or a placeholder that never had a value. */
  readonly value: unknown;
}

/** What the strict path puts where no cell is, so that there is something to compare a CAS with. */
export const PLACEHOLDER_ITEM: NewItem = {
  value: Buffer.from(`{"toril":${FORMAT_VERSION},"placeholder":true}`),
  flags: CELL_FLAGS,
  ttlSeconds: 3600,
};

interface Written {
  readonly toril: number;
  readonly value?: unknown;
  readonly watermark: number;
  readonly token: number;
  readonly base: number;
  readonly queue?: string;
  readonly dataSet?: string;
  readonly decisions?: Record<string, string>;
  readonly jobs?: string;
  /** How far each is below the watermark, by job id. */
  readonly late?: Record<string, number>;
  readonly expireMs?: number;
  readonly origin?: 'nothing' | 'adopted';
  readonly keys?: readonly string[];
  readonly placeholder?: boolean;
}

export function encodeEnvelope(envelope: NewEnvelope): Buffer {
  const { valueJson, watermark, token, base, queue, dataSet } = envelope;
  const { jobs, late, decisions, expireMs, origin, keys } = envelope;
  let text = `{"toril":${FORMAT_VERSION},"token":${token},"base":${base},"watermark":${watermark}`;
  if (queue !== '') text += `,"queue":${JSON.stringify(queue)}`;
  if (dataSet !== '') text += `,"dataSet":${JSON.stringify(dataSet)}`;
  if (jobs !== undefined) text += `,"jobs":"${jobs}"`;
  if (late !== undefined) text += `,"late":${JSON.stringify(shifted(late, watermark))}`;
  if (expireMs > 0) text += `,"expireMs":${expireMs}`;
  if (origin !== undefined) text += `,"origin":"${origin}"`;
  if (keys !== undefined) text += `,"keys":${JSON.stringify(keys)}`;
  if (decisions.size > 0) text += `,"decisions":${JSON.stringify(Object.fromEntries(decisions))}`;
  if (valueJson !== undefined) text += `,"value":${valueJson}`;
  return Buffer.from(`${text}}`);
}

/** Sequences as distances from the watermark, or back. */
function shifted(late: Iterable<[string, number]>, watermark: number): Record<string, number> {
  return Object.fromEntries(Array.from(late, ([jobId, at]) => [jobId, watermark - at]));
}

/** A tombstone's life; the copy that knows of the deletion lives longer. */
const TOMBSTONE_SECONDS = 60;

/** The item of a cell. */
export function cellItem(envelope: NewEnvelope, isCopied = false): NewItem {
  return cellItemOf(encodeEnvelope(envelope), envelope, isCopied);
}

export function cellItemOf(
  bytes: Buffer,
  { valueJson, expireMs }: Pick<NewEnvelope, 'valueJson' | 'expireMs'>,
  isCopied: boolean,
  isLast = false,
): NewItem {
  const ttlSeconds = valueJson === undefined ? TOMBSTONE_SECONDS : Math.ceil(expireMs / 1000);
  return { value: bytes, flags: CELL_FLAGS, ttlSeconds, isCopied, isLast };
}

/** What was found under a cell's name. `missing`: also for a placeholder. */
export type CellContent =
  | { readonly kind: 'missing' }
  | { readonly kind: 'envelope'; readonly envelope: Envelope }
  | { readonly kind: 'foreign'; readonly bytes: Buffer }
  | { readonly kind: 'unreadable'; readonly cause: TorilError };

/** Never throws: what cannot be read is content, too, and the caller must decide what it means. */
export function decodeItem(item: Item): CellContent {
  if (item.flags !== CELL_FLAGS) return { kind: 'foreign', bytes: item.value };
  let written: Written;
  try {
    written = JSON.parse(item.value.toString()) as Written;
  } catch (cause) {
    return unreadable(`it is not JSON (${messageOf(cause)})`);
  }
  if (typeof written?.toril !== 'number') return unreadable('it has no format version');
  if (written.toril > FORMAT_VERSION)
    return { kind: 'unreadable', cause: newerEnvelope(written.toril) };
  if (written.placeholder === true) return { kind: 'missing' };
  const { token, base, watermark } = written;
  if (![token, base, watermark].every((number) => Number.isSafeInteger(number) && number >= 0)) {
    return unreadable('token, base or watermark is not a whole number');
  }
  return {
    kind: 'envelope',
    envelope: {
      value: written.value,
      watermark,
      token,
      base,
      queue: written.queue ?? '',
      dataSet: written.dataSet ?? '',
      jobs: written.jobs,
      late:
        written.late && new Map(Object.entries(shifted(Object.entries(written.late), watermark))),
      decisions: written.decisions ? new Map(Object.entries(written.decisions)) : NONE_NAMED,
      expireMs: written.expireMs ?? 0,
      origin: written.origin,
      keys: written.keys,
    },
  };
}

function unreadable(why: string): CellContent {
  return {
    kind: 'unreadable',
    cause: new TorilError(
      'ENVELOPE_DAMAGED',
      `the cell carries the mark of Toril, but ${why}. Somebody changed it by other means; say "toril lane KEY --trust copy" to restore it from Redis.`,
    ),
  };
}

function newerEnvelope(version: number): TorilError {
  return new TorilError(
    'ENVELOPE_NEWER',
    `the cell was written in format ${version}, and this version of Toril reads up to ${FORMAT_VERSION}. Update Toril in this process.`,
  );
}
