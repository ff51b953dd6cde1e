import { beforeEach, expect, test } from 'vitest';
import { ACCOUNTS, deposits, transfers } from '../../examples/bank/traffic.ts';
import {
  account,
  type Account,
  deposit,
  standingOrder,
  statement,
  transfer,
} from '../../examples/bank/updates.ts';
import type { TrafficJob } from '../../examples/traffic-lines.ts';
import type { AnyUpdate } from '../../src/index.ts';
import { removeItem } from '../support/items.ts';
import { type Stage, stage } from '../support/workers.ts';
import { findings } from './examples.ts';

const updates: readonly AnyUpdate[] = [deposit, transfer];

/** Examples name their keys as applications do: other runs may have left cells there. */
beforeEach(async () => {
  for (const id of ACCOUNTS) await removeItem(account.key(id));
});

/** By arithmetic that knows nothing of updates: the balances, and how many transfers were not covered. */
function books(): { readonly cents: Record<string, number>; readonly refused: number } {
  const cents: Record<string, number> = {};
  let refused = 0;
  for (const { data } of [...deposits(), ...transfers()]) {
    const { from, to, cents: amount } = data as { from?: string; to: string; cents: number };
    if (from !== undefined && amount > (cents[from] ?? 0)) {
      refused += 1;
      continue;
    }
    if (from !== undefined) cents[from] = (cents[from] ?? 0) - amount;
    cents[to] = (cents[to] ?? 0) + amount;
  }
  return { cents, refused };
}

const bulkOf = (jobs: readonly TrafficJob[]): { name: string; data: unknown }[] =>
  jobs.map(({ name, data }) => ({ name, data }));

async function balances(here: Stage): Promise<Record<string, number | undefined>> {
  const found = await here.cells.getMany<Account>(ACCOUNTS.map(account.key));
  return Object.fromEntries(ACCOUNTS.map((id) => [id, found.get(account.key(id))?.cents]));
}

test('two workers make transfers; every statement meanwhile has all the money', async () => {
  const here = stage({ updates });
  await Promise.all([here.worker({ concurrency: 4 }), here.worker({ concurrency: 4 })]);
  await here.finished(await here.queue.addBulk(bulkOf(deposits())));
  const { totalCents } = await statement(here.queue, ACCOUNTS);
  expect(totalCents).toBe(6_000);
  const jobs = await here.queue.addBulk(bulkOf(transfers()));
  let isDone = false;
  const finishing = here.finished(jobs).finally(() => (isDone = true));
  const totals: number[] = [];
  while (!isDone) totals.push((await statement(here.queue, ACCOUNTS)).totalCents);
  const finished = await finishing;
  expect([...new Set(totals)]).toEqual([totalCents]);
  const { cents, refused } = books();
  expect(await balances(here)).toEqual(cents);
  const failures = finished.flatMap(({ failedReason }) => failedReason ?? []);
  expect(failures).toHaveLength(refused);
  expect(refused).toBeGreaterThan(0);
  expect(failures.every((why) => why.endsWith('cents are not enough'))).toBe(true);
});

test('a standing order is carried out until the account is empty, on both accounts alike', async () => {
  const here = stage({ updates });
  await here.worker();
  await here.finished([await here.queue.enqueue(deposit, { to: 'ada', cents: 250 })]);
  await standingOrder(here.queue, 'rent', { from: 'ada', to: 'shop', cents: 100 }, 50);
  await expect
    .poll(async () => (await here.queue.getFailed()).length, { timeout: 20_000 })
    .toBeGreaterThan(0);
  await here.queue.removeJobScheduler('rent');
  expect(await balances(here)).toEqual({ ada: 50, shop: 200 });
  const { accounts } = await statement(here.queue, ACCOUNTS);
  const idsOf = (id: string): (string | undefined)[] =>
    accounts.get(account.key(id))?.value?.lines.map((line) => line.id) ?? [];
  expect(idsOf('ada').slice(1)).toEqual(idsOf('shop'));
  expect(accounts.get(account.key('ada'))?.token).toBe(accounts.get(account.key('shop'))?.token);
});

test('its updates depend on nothing else', async () => {
  expect(await findings(updates, [...deposits(), ...transfers()])).toEqual([]);
});
