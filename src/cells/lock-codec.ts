/** Cells that belong to no queue: what a lock's user reads and writes under its lease. */
import { TorilError } from '../errors.ts';
import { jsonTextOf } from '../updates/values/json-value.ts';
import type { DrawnToken } from '../lock/lock.ts';
import type { CellCodec, EncodeContext } from '../lock/strict/cell-codec.ts';
import type { Item, NewItem } from '../memcached/server.ts';
import {
  CELL_FLAGS,
  decodeItem,
  encodeEnvelope,
  type Envelope,
  NONE_NAMED,
  PLACEHOLDER_ITEM,
} from './envelope.ts';

/**
 * The same envelope as a queue's cells have, so that any reader reads both. Its base is 0 and it
 * names no queue: a queue that meets it takes it for the beginning of the key's chain.
 */
export const lockCodec: CellCodec = {
  decode(item: Item, drawn: DrawnToken): unknown {
    const content = decodeItem(item);
    switch (content.kind) {
      case 'missing':
        return undefined;
      case 'foreign':
        throw new TorilError(
          'FOREIGN_VALUE',
          'memcached holds a value under this key that Toril did not write. Delete it or use another key.',
        );
      case 'unreadable':
        throw content.cause;
      case 'envelope': {
        const { queue, value } = content.envelope;
        if (queue === '') {
          checkToken(content.envelope, drawn);
          return value;
        }
        throw new TorilError(
          'CELL_OF_ANOTHER_QUEUE',
          `the key belongs to the queue "${queue}": a lock's write would break its chain. Enqueue an update instead.`,
        );
      }
    }
  },
  encode(value: unknown, { key, token, dataSet }: EncodeContext): NewItem {
    const valueJson = jsonTextOf(value, (problem) => notJson(key, problem));
    const bytes = encodeEnvelope({
      valueJson,
      token,
      base: 0,
      watermark: 0,
      queue: '',
      dataSet: dataSet.id,
      decisions: NONE_NAMED,
      expireMs: 0,
    });
    return { value: bytes, flags: CELL_FLAGS, ttlSeconds: 0 };
  },
  placeholder: () => PLACEHOLDER_ITEM,
};

/**
 * Tokens of one data set grow. A data set that is younger than the value may stand in the place of the one that
 * wrote it, which was emptied: a lock keeps nothing there but its counter, so that nothing is lost.
 */
function checkToken(envelope: Envelope, { token, dataSet }: DrawnToken): void {
  if (envelope.dataSet !== dataSet.id && envelope.token > dataSet.madeAt) {
    throw new TorilError(
      'CELL_OF_ANOTHER_REDIS',
      `the value was written under a lock whose tokens come from another Redis data set (${envelope.dataSet || 'without a name'}) than this one's (${dataSet.id}), and at the same time: their order means nothing. Open locks on the same values with one Redis, and one name.`,
    );
  }
  if (envelope.token < token) return;
  throw new TorilError(
    'REDIS_WENT_BACK',
    `the fencing token ${token} is not above that of the value, ${envelope.token}: Redis has lost acknowledged writes, and its clock is behind (a replica that was promoted, an old dump). Set its clock right, or wait until it is past that token.`,
  );
}

function notJson(key: string, problem: string): TorilError {
  return new TorilError(
    'VALUE_NOT_JSON',
    `the value written to "${key}" is not what JSON can hold: ${problem}. Write plain objects, arrays, strings, finite numbers, booleans and null.`,
  );
}
