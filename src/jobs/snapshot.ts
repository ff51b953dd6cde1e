/** Values of several keys as of one moment, for users. Read from the durable copies, which commits of several keys change together. */
import { TorilError } from '../errors.ts';
import { keysOnce } from '../key.ts';
import { type JointLanes, SNAPSHOT_BYTES_MAX } from './joint-lanes.ts';
import type { Copy } from './lane.ts';

const SNAPSHOT_KEYS_MAX = 1_000;

/** The value of a key in a snapshot. */
export interface SnapshotValue<Value> {
  /** Undefined: deleted, or expired. */
  readonly value: Value | undefined;
  /** The fencing token of the last acknowledged commit. Keys of one transaction have the same. */
  readonly token: number;
  /** The sequence of the last job that was decided. */
  readonly watermark: number;
}

/** Throws as `queue.snapshot` says. */
export async function snapshotOf<Value>(
  lanes: Pick<JointLanes, 'snapshot'>,
  wanted: Iterable<string>,
): Promise<Map<string, SnapshotValue<Value>>> {
  const keys = keysOnce('snapshot()', wanted);
  if (keys.length > SNAPSHOT_KEYS_MAX) {
    throw new TorilError(
      'INVALID_OPTIONS',
      `snapshot() was given ${keys.length} keys, and takes ${SNAPSHOT_KEYS_MAX} at most: Redis does nothing else meanwhile.`,
    );
  }
  if (keys.length === 0) return new Map();
  const copies = await lanes.snapshot(keys);
  if (copies.length < keys.length) throw tooLarge(keys.length, copies.length);
  return new Map(
    [...copies.entries()]
      .filter(([, { token }]) => token > 0)
      .map(([at, copy]) => [keys[at] as string, seen<Value>(keys[at] as string, copy)]),
  );
}

function seen<Value>(key: string, { token, watermark, value }: Copy): SnapshotValue<Value> {
  if (typeof value === 'object') {
    return { value: JSON.parse(value.json) as Value, token, watermark };
  }
  if (value === 'deleted') return { value: undefined, token, watermark };
  throw new TorilError(
    'COPY_NOT_KEPT',
    `a snapshot is made of durable copies, and the queue keeps none of "${key}" (durableCopies: false). Read cells instead.`,
  );
}

function tooLarge(keys: number, fit: number): TorilError {
  const mebibytes = SNAPSHOT_BYTES_MAX / 1024 / 1024;
  return new TorilError(
    'VALUE_TOO_LARGE',
    `the values of the ${keys} keys of snapshot() have more than ${mebibytes} MiB together (those of the first ${fit} have less). Ask for fewer keys.`,
  );
}
