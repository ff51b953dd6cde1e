/** The history of transactions: what workers record of them is enough to make every value again. */
import { UnrecoverableError } from 'bullmq';
import { describe, expect, it } from 'vitest';
import {
  type AnyUpdate,
  DELETE_CELL,
  defineTransaction,
  defineUpdate,
  record,
  replay,
} from '../../src/index.ts';
import { itemOf, writeItem } from '../support/items.ts';
import { eventually } from '../support/memcached.ts';
import { commitsOf, expectReplayable, recorded } from '../support/stage-history.ts';
import { stage } from '../support/workers.ts';

interface Account {
  cents: number;
  readonly log: string[];
}
interface Move {
  readonly from: string;
  readonly to: string;
  readonly cents: number;
}

const initial = (): Account => ({ cents: 100, log: [] });
const keys = ({ from, to }: Move): [string, string] => [from, to];
const moved = (
  [from, to]: readonly [Account, Account],
  cents: number,
  note: string,
): [Account, Account] => {
  if (from.cents < cents) throw new UnrecoverableError('no cover');
  return [
    { cents: from.cents - cents, log: [...from.log, note] },
    { cents: to.cents + cents, log: [...to.log, note] },
  ];
};
const transfer = defineTransaction({
  ...{ name: 'transfer', keys, initial },
  apply: (accounts, { cents }, { random, jobId }) =>
    moved(accounts, cents, `${jobId} ${random().toFixed(3)}`),
  result: ([from]) => from?.cents,
});
const deposit = defineUpdate({
  ...{ name: 'deposit', initial },
  key: ({ to }: { to: string; cents: number }) => to,
  // Changes what it was given, which a transaction may have made.
  apply(account: Account, { cents }, { jobId }) {
    account.cents += cents;
    account.log.push(jobId);
    return account;
  },
});
const updates: AnyUpdate[] = [transfer, deposit];
const RECORDING = {
  history: 'on',
  historyValueMax: 40,
  checkpointEvery: 5,
  concurrency: 16,
} as const;

describe('a recording of transactions', () => {
  it('replays to the cells, among many accounts on two servers and by two workers', async () => {
    const here = stage({ updates });
    const names = Array.from({ length: 8 }, (_, at) => here.key(at));
    const name = (at: number): string => names[at % 8] as string;
    const jobs = await here.queue.enqueueBulk(
      Array.from({ length: 240 }, (_, at) =>
        at % 4 === 3
          ? { update: deposit, data: { to: name(at * 5), cents: 3 } }
          : { update: transfer, data: { from: name(at), to: name(at + 1 + (at % 7)), cents: 9 } },
      ),
    );
    await here.worker(RECORDING);
    await here.worker(RECORDING);
    await here.finished(jobs);
    const report = await expectReplayable(here);
    expect(report.jobs).toBe(240);
    const commits = await commitsOf(here);
    const joint = commits.filter(({ keys: all }) => all !== undefined);
    expect(joint.length).toBeGreaterThan(5);
    // Each in one piece, and long values not each time.
    for (const head of joint) {
      const at = commits.indexOf(head);
      const lines = commits.slice(at, at + (head.keys?.length ?? 0));
      expect(lines.map(({ key }) => key)).toEqual(head.keys);
      expect(new Set(lines.map(({ token }) => token)).size).toBe(1);
    }
    expect(commits.some(({ value }) => value === undefined)).toBe(true);
    const one = await replay(await recorded(here), updates, { key: name(3) });
    expect(one).toMatchObject({ verdict: 'agrees', keys: [{ key: name(3) }] });
    const cut = await replay(record(here.queue, { key: name(3) }), updates);
    expect(cut).toMatchObject({ verdict: 'agrees', recording: { key: name(3), format: 2 } });
    const [whole, part] = [one, cut].map(({ keys: all }) => all.find(({ key }) => key === name(3)));
    expect(part?.last).toEqual(whole?.last);
    // Masked, and made anew: other amounts, and the same notes.
    const mask = { data: (data: unknown) => ({ ...(data as object), cents: 1 }) };
    const masked = await replay(record(here.queue, { mask, updates }), updates);
    expect(masked).toMatchObject({ verdict: 'agrees', recording: { masked: true } });
    expect(masked.results).toMatchObject({ differ: 0, notRecorded: 0 });
    expect(masked.keys.find(({ key }) => key === name(3))?.last).not.toEqual(whole?.last);
    const ofKey = record(here.queue, { key: name(3), mask, updates });
    const maskedCut = await replay(ofKey, updates);
    expect(maskedCut).toMatchObject({
      verdict: 'agrees',
      recording: { masked: true, replayable: true, key: name(3) },
    });
    expect(maskedCut.keys.find(({ key }) => key === name(3))?.last).toEqual(
      masked.keys.find(({ key }) => key === name(3))?.last,
    );
    await expect(replay(record(here.queue, { key: 'nobody' }), updates)).rejects.toMatchObject({
      code: 'NOTHING_RECORDED',
    });
  });

  it('shows a transaction that was changed', async () => {
    const here = stage({ updates });
    await here.worker(RECORDING);
    const [a, b, c] = [here.key('a'), here.key('b'), here.key('c')];
    await here.finished([
      await here.queue.enqueue(transfer, { from: a, to: b, cents: 30 }),
      await here.queue.enqueue(transfer, { from: b, to: c, cents: 130 }),
    ]);
    const dear: AnyUpdate = {
      ...transfer,
      apply: (accounts: [Account, Account], data: Move, context) =>
        transfer.apply(accounts, { ...data, cents: data.cents - 1 }, context),
    };
    const report = await replay(await recorded(here), [dear, deposit], { former: updates });
    expect(report.verdict).toBe('differs');
    expect(
      report.keys.map(({ key, difference }) => [key, difference?.jobs.map(({ id }) => id)]),
    ).toEqual(
      expect.arrayContaining([
        [a, ['1']],
        [b, ['1']],
        [c, ['2']],
      ]),
    );
  });

  it('has what became of jobs that failed, were skipped, dropped or cascaded', async () => {
    const flaky = { ...{ keys, initial }, result: () => 'done' };
    const apply = (
      accounts: readonly [Account, Account],
      { cents }: Move,
      { jobId, attempt }: { jobId: string; attempt: number },
    ): [Account, Account] => {
      if (cents === 13 && attempt === 1) throw new Error('not yet');
      return moved(accounts, cents, jobId);
    };
    const skipping = defineTransaction({ ...flaky, name: 'skipping', apply, onFailure: 'skip' });
    const holding = defineTransaction({ ...flaky, name: 'holding', apply, onExhausted: 'hold' });
    const cascading = defineTransaction({
      ...flaky,
      name: 'cascading',
      apply,
      onExhausted: 'cascade',
    });
    const here = stage({ updates: [...updates, skipping, holding, cascading] });
    const [a, b, c, d] = [here.key('a'), here.key('b'), here.key('c'), here.key('d')];
    const jobs = [
      await here.queue.enqueue(
        skipping,
        { from: a, to: b, cents: 13 },
        { attempts: 2, backoff: 100 },
      ),
      await here.queue.enqueue(transfer, { from: b, to: a, cents: 500 }), // no cover
      await here.queue.enqueue(transfer, { from: b, to: a, cents: 5 }),
      await here.queue.enqueue(cascading, { from: c, to: d, cents: 13 }),
      await here.queue.enqueue(transfer, { from: d, to: c, cents: 5 }),
    ];
    await here.worker(RECORDING);
    await here.finished(jobs);
    const held = await here.queue.enqueue(holding, { from: a, to: d, cents: 13 });
    const behind = await here.queue.enqueue(transfer, { from: d, to: b, cents: 1 });
    await here.finished([held]);
    await here.queue.lane(d).drop(held.id as string);
    await here.finished([behind]);
    const outcomes = (await commitsOf(here)).flatMap((commit) =>
      commit.jobs.map(({ id, outcome }) =>
        outcome?.kind === 'failed'
          ? `${id} ${outcome.code}`
          : `${id} ${outcome?.kind ?? 'applied'}`,
      ),
    );
    const ended = [
      '1 withdrawn',
      '1 applied',
      '2 UnrecoverableError',
      '4 Error',
      '5 JOB_CASCADED',
      '6 JOB_DROPPED',
    ];
    expect(outcomes).toEqual(expect.arrayContaining([...ended, '3 applied', '7 applied']));
    const report = await expectReplayable(here);
    expect(report.failures).toMatchObject({
      ...{ failed: 4, failAgain: 2, succeedNow: 0 },
      untried: { dropped: 1, cascaded: 1 },
    });
  });

  it('goes on from a deleted value, an adopted one, and one that has expired', async () => {
    const close = defineTransaction({
      ...{ name: 'close', keys, initial },
      apply: ([from, to]) => [DELETE_CELL, { cents: from.cents + to.cents, log: [] }],
    });
    const brief = defineTransaction({
      ...{ name: 'brief', keys, initial, expireSeconds: 1 },
      apply: (accounts, { cents }, { jobId }) => moved(accounts, cents, jobId),
    });
    const adopting = defineTransaction({
      ...{ name: 'adopting', keys, initial },
      adopt: (foreign) => ({ cents: Number(foreign.toString()), log: ['adopted'] }),
      apply: (accounts, { cents }, { jobId }) => moved(accounts, cents, jobId),
    });
    const here = stage({ updates: [...updates, close, brief, adopting] });
    await here.worker(RECORDING);
    const [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map(here.key) as [
      string,
      string,
      string,
      string,
      string,
    ];
    const go = async (
      update: AnyUpdate,
      from: string,
      to: string,
      cents: number,
    ): Promise<void> => {
      const [done] = await here.finished([
        await here.queue.enqueue(update as typeof transfer, { from, to, cents }),
      ]);
      expect(done?.failedReason).toBeUndefined();
    };
    await go(transfer, a, b, 10);
    await go(close, a, b, 0);
    await go(transfer, a, b, 10);
    await writeItem(c, '777');
    await go(adopting, c, a, 7);
    await go(brief, d, e, 10);
    // In memcached, which counts whole seconds, it may be gone before Redis says so.
    await eventually('its value is gone', async () => {
      const [cell, copies] = [await here.cells.read(d), await here.queue.snapshot([d])];
      return cell === undefined && copies.get(d)?.value === undefined;
    });
    await go(transfer, d, e, 1);
    const commits = await commitsOf(here);
    expect(commits.map(({ origin }) => (typeof origin === 'object' ? 'adopted' : origin))).toEqual(
      expect.arrayContaining(['nothing', 'adopted', undefined]),
    );
    await expectReplayable(here);
    const ofD = commits.filter(({ key }) => key === d);
    expect(ofD.map(({ origin }) => origin)).toEqual(['nothing', 'nothing']); // anew, once it had expired
  });

  // A worker puts the stale cell right before it commits: it writes that there is no value.
  it('goes on where memcached has brought an old value back of one that has expired', async () => {
    const brief = defineTransaction({
      ...{ name: 'brief', keys, initial, expireSeconds: 3 },
      apply: (accounts, { cents }, { jobId }) => moved(accounts, cents, jobId),
    });
    const fleeting = defineUpdate({
      ...{ name: 'fleeting', initial, expireSeconds: 3 },
      key: ({ to }: { to: string; cents: number }) => to,
      apply: (account: Account, { cents }) => ({ ...account, cents: account.cents + cents }),
    });
    const here = stage({ updates: [...updates, brief, fleeting] });
    await here.worker(RECORDING);
    const all = ['a', 'b', 'c'].map(here.key);
    const [from, to, alone] = all as [string, string, string];
    const go = async (): Promise<void> => {
      const done = await here.finished([
        await here.queue.enqueue(brief, { from, to, cents: 1 }),
        await here.queue.enqueue(fleeting, { to: alone, cents: 1 }),
      ]);
      expect(done.map(({ failedReason }) => failedReason)).toEqual([undefined, undefined]);
    };
    await go();
    const old = await Promise.all(all.map(itemOf));
    await go();
    await eventually('their values are gone', async () => {
      const [cells, copies] = [await here.cells.getMany(all), await here.queue.snapshot(all)];
      return cells.size === 0 && all.every((key) => copies.get(key)?.value === undefined);
    });
    for (const [at, { value, flags }] of old.entries())
      await writeItem(all[at] as string, value.toString(), flags);
    await go();
    await expectReplayable(here);
    const origins = (await commitsOf(here)).slice(-3).map(({ origin }) => origin);
    expect(origins).toEqual(['nothing', 'nothing', 'nothing']);
  });
});
