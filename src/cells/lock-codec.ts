/** Cells that belong to no queue: what a lock's user reads and writes under its lease. */
import { TorilError } from '../errors.ts';
import { jsonTextOf } from '../json-value.ts';
import type { CellCodec, EncodeContext } from '../lock/with-lease.ts';
import type { Item, NewItem } from '../memcached/server.ts';
import { CELL_FLAGS, decodeItem, encodeEnvelope, PLACEHOLDER_ITEM } from './envelope.ts';

/**
 * The same envelope as a queue's cells have, so that any reader reads both. Its base is 0 and it
 * names no queue: a queue that meets it takes it for the beginning of the key's chain.
 */
export const lockCodec: CellCodec = {
  decode(item: Item): unknown {
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
        if (queue === '') return value;
        throw new TorilError(
          'CELL_OF_ANOTHER_QUEUE',
          `the key belongs to the queue "${queue}": a lock's write would break its chain. Enqueue an update instead.`,
        );
      }
    }
  },
  encode(value: unknown, { key, token }: EncodeContext): NewItem {
    const valueJson = jsonTextOf(value, (problem) => notJson(key, problem));
    const bytes = encodeEnvelope({
      valueJson,
      token,
      base: 0,
      watermark: 0,
      queue: '',
      dataSet: '',
      decisions: new Map(),
      expireMs: 0,
    });
    return { value: bytes, flags: CELL_FLAGS, ttlSeconds: 0 };
  },
  placeholder: () => PLACEHOLDER_ITEM,
};

function notJson(key: string, problem: string): TorilError {
  return new TorilError(
    'VALUE_NOT_JSON',
    `the value written to "${key}" is not what JSON can hold: ${problem}. Write plain objects, arrays, strings, finite numbers, booleans and null.`,
  );
}
