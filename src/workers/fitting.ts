/** Folding no more than memcached can store in one item. */
import type { Standing } from '../cells/believe.ts';
import { encodeEnvelope } from '../cells/envelope.ts';
import { TorilError } from '../errors.ts';
import type { Origin } from '../history/history.ts';
import type { LaneEntry, Taken } from '../jobs/lanes.ts';
import type { Batch, FoldRules, FoldStart } from './batch.ts';
import { fold } from './fold.ts';
import { envelopeOrigin } from './history-notes.ts';
import type { KeyMemory } from './key-memory.ts';
import { jsonOf } from './workpiece.ts';

/** Bytes that memcached adds to an item (header, CAS, slab rounding), generously. */
const ITEM_OVERHEAD_BYTES = 512;
/** Bytes that a new value leaves free, so that there is always room to say that the next job failed, */
const RESERVED_BYTES = 4096;
/** but not more than this share of a small item. */
const RESERVED_SHARE = 0.25;
const NOTHING: Buffer = Buffer.alloc(0);

/** A batch and what will be stored of it. */
export interface FittingBatch {
  readonly batch: Batch;
  /** The envelope; empty if there is nothing to commit. */
  readonly bytes: Buffer;
  /** Undefined: deleted. */
  readonly valueJson: string | undefined;
  readonly expireMs: number;
  readonly origin: Origin;
}

export interface Fit {
  readonly key: string;
  /** The queue's qualified name. */
  readonly queue: string;
  /** Bytes of the server's largest item. */
  readonly itemSizeMax: number;
  readonly memory: KeyMemory;
}

/** Folds as many jobs as give an envelope that fits; a job that does not fit alone fails for good. */
export function foldToFit(
  start: FoldStart,
  taken: Taken,
  standing: Standing,
  rules: FoldRules,
  fit: Fit,
): FittingBatch | Promise<FittingBatch> {
  return foldSome(taken.entries);

  function foldSome(entries: readonly LaneEntry[]): FittingBatch | Promise<FittingBatch> {
    const batch = fold(start, entries, rules);
    return batch instanceof Promise
      ? batch.then((folded) => fitOrFewer(folded, entries))
      : fitOrFewer(batch, entries);
  }

  function fitOrFewer(
    batch: Batch,
    entries: readonly LaneEntry[],
  ): FittingBatch | Promise<FittingBatch> {
    const { origin } = start;
    const expireMs = batch.expireMs ?? timeLeftMs(taken, standing);
    const isNothing =
      (batch.decided === 0 && batch.stop.kind !== 'held') || batch.stop.kind === 'lost';
    if (isNothing) return { batch, expireMs, bytes: NOTHING, valueJson: undefined, origin };
    const valueJson = jsonOf(batch.value);
    const bytes = encodeEnvelope({
      valueJson,
      watermark: batch.watermark,
      token: taken.token,
      base: taken.copy.token,
      queue: fit.queue,
      dataSet: taken.dataSet.id,
      decisions: batch.decisions,
      expireMs,
      origin: envelopeOrigin(origin, taken.copy.token),
    });
    const bytesMax = envelopeBytesMax(fit, batch.applied > 0);
    if (bytes.length <= bytesMax) return { batch, expireMs, bytes, valueJson, origin };
    if (batch.decided > 1) return foldSome(entries.slice(0, Math.ceil(batch.decided / 2)));
    const error = tooLarge(fit.key, bytes.length, bytesMax);
    if (batch.applied === 0) throw error;
    fit.memory.note(entries[0]?.jobId ?? '', { tooLarge: error });
    return foldSome(entries);
  }
}

/** Jobs that failed give the value no more time. 1: its time is over, and memcached is a little late. */
function timeLeftMs({ expiresInMs }: Taken, standing: Standing): number {
  const expires = standing.kind === 'clean' && standing.envelope.expireMs > 0;
  return expires ? Math.max(1, expiresInMs) : expiresInMs;
}

function envelopeBytesMax({ itemSizeMax, memory }: Fit, hasNewValue: boolean): number {
  const bytesMax = Math.min(itemSizeMax - ITEM_OVERHEAD_BYTES, memory.itemBytesMax);
  return (
    bytesMax - (hasNewValue ? Math.min(RESERVED_BYTES, Math.floor(bytesMax * RESERVED_SHARE)) : 0)
  );
}

function tooLarge(key: string, bytes: number, bytesMax: number): TorilError {
  return new TorilError(
    'VALUE_TOO_LARGE',
    `the new value of "${key}" takes ${bytes} bytes, and ${bytesMax} fit into an item of this memcached. The value stays as it was. Keep less under one key, or start memcached with a larger -I.`,
  );
}
