import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { traffic } from '../../examples/ledger/traffic.ts';
import { type Account, deposit, interest, withdraw } from '../../examples/ledger/updates.ts';
import { type AnyUpdate, replay } from '../../src/index.ts';
import { inMemory, valuesOf } from '../support/replaying.ts';
import { fileOf, findings, replayed, run } from './examples.ts';

const updates: readonly AnyUpdate[] = [deposit, withdraw, interest];
const RECORDING = fileOf('ledger', 'recording.jsonl');

/** The balances, by arithmetic that knows nothing of updates. */
function balances(): Record<string, number> {
  const cents: Record<string, number> = {};
  for (const { name, data } of traffic()) {
    const {
      account,
      cents: amount = 0,
      basisPoints = 0,
    } = data as {
      account: string;
      cents?: number;
      basisPoints?: number;
    };
    const before = cents[account] ?? 0;
    if (name === 'deposit') cents[account] = before + amount;
    else if (name === 'interest')
      cents[account] = before + Math.round((before * basisPoints) / 10_000);
    else if (amount <= before) cents[account] = before - amount;
  }
  return cents;
}

test('two workers keep the books, and refuse what is not covered', async () => {
  const ran = await run(updates, traffic());
  for (const [account, cents] of Object.entries(balances())) {
    expect(await ran.here.cells.get<Account>(`account:${account}`)).toMatchObject({ cents });
  }
  expect(ran.failures.length).toBeGreaterThan(0);
  expect(ran.failures.every((why) => why.endsWith('cents are not enough'))).toBe(true);
  const values = await replayed(ran, updates);
  for (const key of values.keys()) expect(values.get(key)).toEqual(await ran.here.cells.get(key));
});

test('its recording replays to the same balances, and so on the in-memory engines', async () => {
  for (const values of [
    await valuesOf(RECORDING, updates),
    await inMemory(RECORDING, updates, { batchJobsMax: 4 }),
  ]) {
    const cents = [...values].map(([key, value]) => [
      key.replace('account:', ''),
      (value as Account).cents,
    ]);
    expect(Object.fromEntries(cents)).toEqual(balances());
  }
});

test('its recording catches a change of the rules', async () => {
  const stingy = {
    ...interest,
    apply: (account: Account, data: never, context: never) => {
      const { cents, ...rest } = interest.apply(account, data, context) as Account;
      return { ...rest, cents: cents - 1 };
    },
  };
  const report = await replay(RECORDING, [deposit, withdraw, stingy], { former: updates });
  expect(report.agrees).toBe(false);
  for (const { difference } of report.keys) {
    expect(difference?.jobs.map(({ update }) => update)).toEqual(['interest']);
  }
});

test('its updates depend on nothing else', async () => {
  expect(await findings(updates, traffic())).toEqual([]);
  expect(readFileSync(RECORDING, 'utf8').length).toBeLessThan(50_000);
});
