/** Folding no more than memcached can store in one item. */
import { andThen } from '../../base/promises.ts';
import { encodeEnvelope, NONE_NAMED } from '../../cells/envelope.ts';
import { encodeSequences } from '../../cells/sequences.ts';
import { TorilError } from '../../errors.ts';
import type { Taken } from '../../jobs/lanes.ts';
import type { LaneEntry } from '../../jobs/lane.ts';
import type { Batch, FittingBatch, FoldStart, FoldTurn } from './batch.ts';
import { fold } from './fold.ts';
import { envelopeOrigin } from './history-notes.ts';
import { jsonOf } from './replayable-value.ts';

/** Bytes that memcached adds to an item (header, CAS, slab rounding), generously. */
const ITEM_OVERHEAD_BYTES = 512;
/** Bytes that a new value leaves free, so that there is always room to say that the next job failed, */
const RESERVED_BYTES = 4096;
/** but not more than this share of a small item. */
const RESERVED_SHARE = 0.25;
const NOTHING: Buffer = Buffer.alloc(0);

/** An error: nothing of the lane can be stored, whatever its jobs do. */
export type Fitting = FittingBatch | TorilError;

/**
 * Folds as many jobs as give an envelope that fits. A job that does not fit alone fails for good, unless the
 * value would not fit without it, either: then memcached has come back with smaller items, nobody's job is
 * to blame, and the error says so.
 */
export function foldToFit(
  turn: FoldTurn,
  taken: Taken,
  start: FoldStart,
): Fitting | Promise<Fitting> {
  const { key, context, memory } = turn;
  return foldSome(taken.entries);

  function foldSome(entries: readonly LaneEntry[]): Fitting | Promise<Fitting> {
    return andThen(fold(turn, start, entries), (batch) => fitOrFewer(batch, entries));
  }

  function fitOrFewer(batch: Batch, entries: readonly LaneEntry[]): Fitting | Promise<Fitting> {
    const { origin } = start;
    const expireMs = batch.expireMs ?? start.expireMs;
    const isNothing =
      (batch.decided === 0 && batch.stop.kind !== 'held') || batch.stop.kind === 'lost';
    if (isNothing) return { batch, expireMs, bytes: NOTHING, valueJson: undefined, origin };
    const valueJson = jsonOf(batch.value);
    const bytes = encodeEnvelope({
      valueJson,
      watermark: batch.watermark,
      token: taken.token,
      base: taken.copy.token,
      queue: context.queue,
      dataSet: taken.dataSet.id,
      jobs: encodeSequences(entries.slice(0, batch.decided).map(({ sequence }) => sequence)),
      late: lateOf(entries, batch),
      decisions: batch.decisions,
      expireMs,
      origin: envelopeOrigin(origin, taken.copy.token),
    });
    const bytesMax = envelopeBytesMax(turn, batch.applied > 0);
    if (bytes.length <= bytesMax) return { batch, expireMs, bytes, valueJson, origin };
    if (batch.decided > 1) return foldSome(entries.slice(0, Math.ceil(batch.decided / 2)));
    const jobId = entries[0]?.jobId ?? '';
    if (batch.applied === 0) {
      memory.forgetTooLarge(jobId); // with larger items it may yet be applied
      return itemsTooSmall(key, bytes.length, bytesMax);
    }
    const cause = unchangedTooLarge(turn, taken, start);
    if (cause !== undefined) return cause;
    memory.note(jobId, { tooLarge: whatIsTooLarge(key, batch, bytes.length, bytesMax) });
    return foldSome(entries);
  }
}

/** Which of the jobs that a batch has decided entered late; undefined: none, nearly always. */
export function lateOf(
  entries: readonly LaneEntry[],
  { decided }: Pick<Batch, 'decided'>,
): ReadonlyMap<string, number> | undefined {
  let late: Map<string, number> | undefined;
  for (let at = 0; at < decided; at++) {
    const entry = entries[at] as LaneEntry;
    if (entry.late === true) (late ??= new Map()).set(entry.jobId, entry.sequence);
  }
  return late;
}

/** Why the value that a fold starts from could not be stored even as it is; undefined: it could. */
export function unchangedTooLarge(
  turn: FoldTurn,
  { token, copy, dataSet }: Taken,
  { fresh, watermark, origin }: FoldStart,
): TorilError | undefined {
  const bytes = encodeEnvelope({
    ...{ valueJson: jsonOf(fresh()), watermark, token, base: copy.token },
    ...{ queue: turn.context.queue, dataSet: dataSet.id, decisions: NONE_NAMED, expireMs: 0 },
    origin: envelopeOrigin(origin, copy.token),
  });
  const bytesMax = envelopeBytesMax(turn, false);
  return bytes.length > bytesMax ? itemsTooSmall(turn.key, bytes.length, bytesMax) : undefined;
}

function envelopeBytesMax({ server, lease, memory }: FoldTurn, hasNewValue: boolean): number {
  const bytesMax = itemBytesMax(server, memory.itemBytesMax(lease.connection.epoch));
  return hasNewValue ? newValueBytesMax(bytesMax) : bytesMax;
}

/** Bytes that an envelope may have at a server. @param refusedMax that an item may have, as far as the server has shown */
export function itemBytesMax(
  { facts }: FoldTurn['server'],
  refusedMax: number = Number.POSITIVE_INFINITY,
): number {
  const itemSizeMax = facts?.itemSizeMax ?? Number.POSITIVE_INFINITY;
  return Math.min(itemSizeMax - ITEM_OVERHEAD_BYTES, refusedMax);
}

/** The same for one with a new value, which leaves some room. */
export function newValueBytesMax(bytesMax: number): number {
  return bytesMax - Math.min(RESERVED_BYTES, Math.floor(bytesMax * RESERVED_SHARE));
}

/** The value, or what the only job of the batch has written beside it. */
function whatIsTooLarge(key: string, batch: Batch, bytes: number, bytesMax: number): TorilError {
  const resultBytes = Buffer.byteLength(JSON.stringify(Object.fromEntries(batch.decisions)));
  const valueBytes = bytes - resultBytes;
  return valueBytes <= bytesMax
    ? resultTooLarge(key, resultBytes, valueBytes, bytesMax)
    : tooLarge(key, valueBytes, bytesMax);
}

function resultTooLarge(key: string, bytes: number, value: number, bytesMax: number): TorilError {
  return new TorilError(
    'RESULT_TOO_LARGE',
    `the result of the update takes ${bytes} bytes, and beside the value of "${key}", which takes ${value}, there is room for ${bytesMax - value}: both travel in one item of this memcached. The value stays as it was. Return less, or where it can be found, or start memcached with a larger -I.`,
  );
}

export function tooLarge(key: string, bytes: number, bytesMax: number): TorilError {
  return new TorilError(
    'VALUE_TOO_LARGE',
    `the new value of "${key}" takes ${bytes} bytes, and ${bytesMax} fit into an item of this memcached. The value stays as it was. Keep less under one key, or start memcached with a larger -I.`,
  );
}

export function itemsTooSmall(key: string, bytes: number, bytesMax: number): TorilError {
  return new TorilError(
    'VALUE_TOO_LARGE',
    `the value that "${key}" has takes ${bytes} bytes as it is, and only ${bytesMax} fit into an item of this memcached: it was started with smaller items than before. Its jobs wait. Start memcached with a larger -I.`,
  );
}
