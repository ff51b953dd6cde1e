/** `npm run transfers` in small. */
import { expect, test } from 'vitest';
import { seededFraction } from '../../src/base/random.ts';
import { redisUrl, startMemcached } from '../support/servers.ts';
import { wrongWith } from './accounts.ts';
import { randomTransfers, statesOf } from './ledger.ts';
import { transfersRun } from './run.ts';

/** Milliseconds: it takes some seconds, and two minutes where 30 other processes want the two cores. */
const DEADLINE_MS = 280_000;

test(
  'transfers keep the sum and the order in every snapshot, whatever is killed, frozen and restarted',
  async () => {
    const memcached = [await startMemcached(), await startMemcached()];
    try {
      const end = await transfersRun({
        ...{ redis: redisUrl(), memcached, transfers: 3_000, accounts: 30, workers: 2 },
        ...{ concurrency: 32, kills: 1, freezes: 1, restarts: 1, deadlineMs: DEADLINE_MS },
        ...{ fraction: seededFraction('small'), say: () => undefined },
      });
      expect(end.faults).toEqual(['kill', 'restart', 'freeze']);
      expect(end.snapshots).toBeGreaterThan(3);
    } finally {
      for (const server of memcached) await server.stop();
    }
  },
  DEADLINE_MS + 20_000,
);

test('what is wrong is found: a transfer that is half applied, twice or in another order', () => {
  const keys = ['a', 'b', 'c'];
  const transfers = randomTransfers(20, keys, seededFraction('audit'));
  const states = statesOf(transfers, keys);
  const seen = new Map(keys.map((key) => [key, states.get(key)?.at(-1) as never]));
  expect(wrongWith(seen, states)).toEqual([]);
  expect(wrongWith(new Map([...seen, ['a', states.get('a')?.at(-2) as never]]), states)).toEqual([
    expect.stringContaining('the sum is'),
  ]);
  const swapped = statesOf([...transfers.slice(0, 18), ...transfers.slice(18).toReversed()], keys);
  const inOtherOrder = new Map(keys.map((key) => [key, swapped.get(key)?.at(-1) as never]));
  expect(wrongWith(inOtherOrder, states)).not.toEqual([]);
  const twice = statesOf([...transfers, transfers[19] as never], keys);
  const appliedTwice = new Map(keys.map((key) => [key, twice.get(key)?.at(-1) as never]));
  expect(wrongWith(appliedTwice, states)).not.toEqual([]);
});
