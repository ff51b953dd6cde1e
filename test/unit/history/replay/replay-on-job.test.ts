/** `onJob` of a replay: each job with the value before and after it. */
import { expect, test } from 'vitest';
import { record } from '../../../../src/history/record.ts';
import type { ReplayedJob } from '../../../../src/history/replay/jobs/replayed-job.ts';
import { replay } from '../../../../src/history/replay/replay.ts';
import { createTestBed } from '../../../../src/testing.ts';
import { type AnyUpdate, defineUpdate } from '../../../../src/updates/update.ts';

interface Draft {
  readonly key: string;
  readonly cents: number;
}
interface Balance {
  cents: number;
}

/** Changes what it is given, also before it refuses. */
function withdraw(settings: Partial<AnyUpdate> = {}, floor = 0): AnyUpdate {
  const update = defineUpdate({
    name: 'withdraw',
    key: ({ key }: Draft) => key,
    initial: (): Balance => ({ cents: 100 }),
    apply: (balance: Balance, { cents }: Draft) => {
      balance.cents -= cents;
      if (balance.cents < floor) throw new Error(`not below ${floor}`);
      return balance;
    },
    result: (balance) => balance?.cents,
  });
  return { ...update, ...settings };
}

const asynchronous = (update: AnyUpdate): AnyUpdate => ({
  ...update,
  apply: async (...args: Parameters<AnyUpdate['apply']>) => {
    await Promise.resolve();
    return update.apply(...args) as unknown;
  },
});

async function recorded(update: AnyUpdate, drafts: readonly Draft[]): Promise<string> {
  const bed = createTestBed({ updates: [update] });
  for (const draft of drafts) await bed.enqueue(update, draft);
  await bed.drain();
  let text = '';
  for await (const line of record(bed.queue)) text += `${line}\n`;
  return text;
}

const DRAFTS = [30, 500, 20].map((cents) => ({ key: 'k', cents }));

async function seen(text: string, now: AnyUpdate): Promise<ReplayedJob[]> {
  const jobs: ReplayedJob[] = [];
  await replay(text, [now], { onJob: (job) => void jobs.push(job) });
  return jobs;
}

test.each([
  ['synchronous', withdraw()],
  ['asynchronous', asynchronous(withdraw())],
])('values are those of the moment, though %s updates change what they get', async (_, now) => {
  const jobs = await seen(await recorded(withdraw(), DRAFTS), now);
  expect(jobs).toMatchObject([
    { key: 'k', line: 2, job: { id: '1' }, before: undefined, after: { cents: 70 }, result: 70 },
    {
      ...{ job: { id: '2', outcome: { kind: 'failed' } }, before: { cents: 70 } },
      ...{ after: { cents: 70 }, result: undefined, failure: { message: 'not below 0' } },
    },
    { job: { id: '3' }, before: { cents: 70 }, after: { cents: 50 }, result: 50 },
  ]);
  for (const { failure, job } of jobs) expect(failure === undefined).toBe(job.id !== '2');
});

test('what one does with its values harms nobody', async () => {
  const report = await replay(await recorded(withdraw(), DRAFTS), [withdraw()], {
    onJob: ({ before, after }) => {
      for (const value of [before, after]) if (value !== undefined) (value as Balance).cents = 1e6;
    },
  });
  expect(report).toMatchObject({ agrees: true, checked: report.commits });
});

test('a job that fails today is told, and the key goes no further', async () => {
  const jobs = await seen(await recorded(withdraw(), DRAFTS), withdraw({}, 60));
  expect(jobs.map(({ job, failure }) => [job.id, failure?.message])).toEqual([
    ['1', undefined],
    ['2', 'not below 60'],
    ['3', 'not below 60'],
  ]);
  expect(jobs.at(-1)).toMatchObject({ before: { cents: 70 }, after: { cents: 70 } });
});

test('is waited for, and what it throws ends the replay', async () => {
  const text = await recorded(withdraw(), DRAFTS);
  const order: string[] = [];
  await replay(text, [withdraw()], {
    onJob: async ({ job }) => {
      order.push(`${job.id} begins`);
      await new Promise((resolve) => setImmediate(resolve));
      order.push(`${job.id} ends`);
    },
  });
  expect(order).toEqual(['1', '2', '3'].flatMap((id) => [`${id} begins`, `${id} ends`]));
  const refusing = replay(text, [withdraw()], {
    onJob: ({ job }) => {
      if (job.id === '3') throw new RangeError('three');
    },
  });
  await expect(refusing).rejects.toThrow(new RangeError('three'));
});

test('is not told of what cannot be run', async () => {
  const strict = withdraw({ strict: true });
  expect(await seen(await recorded(strict, DRAFTS), strict)).toEqual([]);
});
