/** What every engine of src/jobs/lanes.ts must do. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { History } from '../../src/history/history.ts';
import type { Acknowledgement, Lanes, Taken, TakeRequest } from '../../src/jobs/lanes.ts';
import type { LaneViews } from '../../src/jobs/reports/lane-views.ts';

/** What BullMQ's job hash says, as far as lanes look at it. */
export interface JobFacts {
  readonly name: string;
  readonly data: string;
  readonly attemptsMade: number;
  readonly stalls: number;
  readonly finished: 'no' | 'completed' | 'failed';
  readonly failedReason: string;
  /** How it left its lane; empty: it has not. */
  readonly outcome: string;
  /** Its process gave it back, as TorilBackend.snooze does, since it was last to be applied alone. */
  /** Attempts made when it was last snoozed, as TorilBackend.snooze notes it. */
  readonly snoozedAtAttempt: number;
  /** Delayed until then: milliseconds since 1970; 0: not delayed. */
  readonly dueMs: number;
}

/** One queue with two clients, and BullMQ's part in it played by the suite. */
export interface Stage {
  readonly lanes: Lanes;
  /** Another client of the same queue. */
  readonly other: Lanes;
  readonly views: LaneViews;
  readonly history: History;
  /** A job hash, without a lane entry. */
  addJob(jobId: string, facts?: Partial<JobFacts>): Promise<void>;
  /** A job hash, and its lane entry in the same step, as an add does it. */
  addToLane(jobId: string): Promise<void>;
  /** What happens to it later. */
  changeJob(jobId: string, facts: Partial<JobFacts>): Promise<void>;
  /** Without asking anybody. */
  removeJob(jobId: string): Promise<void>;
  /** Redis goes back to before it entered its lane, and knows nothing else less than now. */
  forgetEntry(jobId: string): Promise<void>;
  /** As TorilBackend.remove, which may say no. */
  mayRemove(jobId: string): Promise<boolean>;
  pauseQueue(): Promise<void>;
  /** Ids of the jobs that BullMQ holds back as delayed, by due time. */
  delayed(): Promise<string[]>;
  /** The server's time may be another one than ours; this one passes for it, too. */
  sleep(ms: number): Promise<void>;
  close(): Promise<void>;
}

const KEY = 'cell:1';
const GENEROUS = { jobsMax: 100, dataMax: 1_000_000 };

export function taking(changes: Partial<TakeRequest> = {}): TakeRequest {
  return { key: KEY, cell: undefined, arrivals: [], ...GENEROUS, ...changes };
}

export function committing(changes: Partial<Acknowledgement>): Acknowledgement {
  return {
    key: KEY,
    dataSet: '',
    base: 0,
    token: 0,
    watermark: 0,
    decided: 100,
    value: { json: '1' },
    expireMs: 0,
    decisions: new Map(),
    paceMs: 0,
    ...changes,
  };
}

export function lanesSuite(engine: string, openStage: () => Promise<Stage>): void {
  describe(engine, () => {
    let stage: Stage;
    let lanes: Lanes;

    beforeEach(async () => {
      stage = await openStage();
      lanes = stage.lanes;
    });
    afterEach(() => stage.close());

    /** Jobs that are in the lane, in this order. */
    const enter = async (...jobIds: string[]): Promise<Taken> => {
      for (const jobId of jobIds) await stage.addJob(jobId);
      return lanes.take(taking({ arrivals: jobIds }));
    };
    const jobsOf = async (key = KEY): Promise<string[]> =>
      (await stage.other.inspect(key, 100)).head.map(({ jobId }) => jobId);
    /** Acknowledges everything taken, built on the copy that was taken. */
    const commit = (taken: Taken, changes: Partial<Acknowledgement> = {}): Acknowledgement =>
      committing({
        dataSet: taken.dataSet.id,
        base: taken.copy.token,
        token: taken.token,
        watermark: taken.entries.at(-1)?.sequence ?? taken.copy.watermark,
        ...changes,
      });
    const locate = async (jobId: string): Promise<string> => {
      const location = await stage.other.locate(KEY, jobId);
      if (location.kind === 'decided') return location.outcome;
      return location.kind === 'waiting' ? `waiting ${location.rank}` : location.kind;
    };

    describe('the lane that a job has entered', () => {
      test('is kept: it enters no other one', async () => {
        await enter('a');
        const elsewhere = await stage.other.take(taking({ key: 'cell:2', arrivals: ['a'] }));
        expect(elsewhere).toMatchObject({ entries: [], length: 0 });
        expect(await jobsOf()).toEqual(['a']);
      });

      test('is that of its new job, if the id is used again; the old entry is dropped', async () => {
        await enter('a', 'b');
        await stage.removeJob('a');
        await stage.addJob('a');
        await stage.other.take(taking({ key: 'cell:2', arrivals: ['a'] }));
        const { entries, length } = await lanes.take(taking());
        expect([entries.map(({ jobId }) => jobId), length]).toEqual([['b'], 1]);
        expect(await jobsOf('cell:2')).toEqual(['a']);
      });
    });

    describe('a job that entered late', () => {
      const lateOf = ({ entries }: Taken): Map<string, number> =>
        new Map(entries.map(({ jobId, sequence }) => [jobId, sequence]));

      test('is told as such by every take, until it has left', async () => {
        const first = await enter('a');
        await lanes.take(taking());
        const again = await stage.other.take(taking());
        const isLate = (taken: Taken): unknown[] => taken.entries.map(({ late }) => late);
        expect([isLate(first), isLate(again)]).toEqual([[true], [true]]);
        expect(again.entries).toEqual(first.entries);
      });

      test('is decided though Redis has forgotten that it entered', async () => {
        const taken = await enter('a', 'b', 'c');
        await stage.forgetEntry('a');
        await stage.forgetEntry('c');
        const decisions = new Map([['c', 'a1']]);
        const decided = { decided: 3, late: lateOf(taken), decisions };
        expect(await lanes.acknowledge(commit(taken, decided))).toEqual({ accepted: true });
        expect([await locate('a'), await locate('b'), await locate('c')]).toEqual(['a', 'a', 'a1']);
        const next = await lanes.take(taking({ arrivals: ['a', 'b', 'c'] }));
        expect([next.entries, next.decided.size]).toEqual([[], 3]);
      });

      test('is decided by whoever was delivered it once more, and entered it anew', async () => {
        const taken = await enter('a', 'b');
        await stage.forgetEntry('a');
        await stage.addJob('new');
        await stage.other.take(taking({ arrivals: ['a', 'new'] }));
        const sequences = taken.entries.map(({ sequence }) => sequence);
        const found = { decided: 2, sequences, late: lateOf(taken) };
        expect(await stage.other.acknowledge(commit(taken, found))).toEqual({ accepted: true });
        expect([await locate('a'), await locate('new')]).toEqual(['a', 'waiting 0']);
      });

      test('is delivered at once if it is held back as delayed', {
        tags: 'imitation',
      }, async () => {
        await stage.addJob('a', { dueMs: 4_000_000_000_000 });
        const taken = await lanes.take(taking({ arrivals: ['a'] }));
        await stage.forgetEntry('a');
        expect(await stage.delayed()).toEqual(['a']);
        await lanes.acknowledge(commit(taken, { decided: 1, late: lateOf(taken) }));
        expect(await stage.delayed()).toEqual([]);
      });

      test('is another one if it has gone to another lane, or does not exist', async () => {
        const taken = await enter('a', 'b');
        await stage.forgetEntry('a');
        await stage.forgetEntry('b');
        await stage.removeJob('b');
        await stage.other.take(taking({ key: 'cell:2', arrivals: ['a'] }));
        const decided = { decided: 2, late: lateOf(taken) };
        const answer = { accepted: true, missing: true };
        expect(await lanes.acknowledge(commit(taken, decided))).toEqual(answer);
        expect([await locate('a'), await locate('b')]).toEqual(['absent', 'absent']);
        expect(await jobsOf('cell:2')).toEqual(['a']);
      });

      test('is another one if it has entered the lane with its add', async () => {
        const taken = await enter('a', 'b');
        await stage.forgetEntry('a');
        await stage.removeJob('a');
        await stage.addToLane('a');
        const decided = { decided: 2, late: lateOf(taken) };
        const answer = { accepted: true, missing: true };
        expect(await lanes.acknowledge(commit(taken, decided))).toEqual(answer);
        expect([await locate('a'), await locate('b')]).toEqual(['waiting 0', 'a']);
      });

      test('that left to enter anew still does', async () => {
        const taken = await enter('a', 'b');
        await stage.forgetEntry('a');
        await stage.other.take(taking({ arrivals: ['a'] }));
        const decisions = new Map([['a', 's']]);
        const decided = { decided: 2, late: lateOf(taken), decisions };
        expect(await lanes.acknowledge(commit(taken, decided))).toEqual({ accepted: true });
        expect([await locate('a'), await locate('b')]).toEqual(['waiting 0', 'a']);
      });
    });

    describe('a batch in hand', () => {
      test('keeps its jobs from being removed until it is acknowledged, and others not', async () => {
        for (const jobId of ['a', 'b', 'c']) await stage.addJob(jobId);
        const arrivals = ['a', 'b', 'c'];
        await lanes.take(taking({ arrivals }));
        const taken = await lanes.take(taking({ jobsMax: 2 }));
        expect(await stage.mayRemove('b')).toBe(false);
        expect(await stage.mayRemove('c')).toBe(true);
        const decisions = new Map([['b', 's']]);
        await lanes.acknowledge(commit(taken, { decisions }));
        expect(await stage.mayRemove('b')).toBe(true);
        expect(await jobsOf()).toEqual([]);
      });

      test('and after, as long as those that it applied are not completed', async () => {
        await lanes.acknowledge(commit(await enter('a')));
        expect(await stage.mayRemove('a')).toBe(false);
        await stage.changeJob('a', { finished: 'completed' });
        expect(await stage.mayRemove('a')).toBe(true);
      });

      test('can be put back, but not by somebody else', async () => {
        const taken = await enter('a', 'b');
        await stage.other.putBack([KEY], taken.token - 1);
        expect(await stage.mayRemove('a')).toBe(false);
        await lanes.putBack([KEY], taken.token);
        expect(await stage.mayRemove('a')).toBe(true);
        expect(await jobsOf()).toEqual(['b']);
      });

      test('of a job that BullMQ has finished keeps nothing', async () => {
        await stage.addJob('a');
        await lanes.take(taking({ arrivals: ['a'] }));
        await stage.changeJob('a', { finished: 'failed', failedReason: 'why' });
        await lanes.take(taking());
        expect(await stage.mayRemove('a')).toBe(true);
      });
    });

    describe('take', () => {
      test('finds a new key empty', async () => {
        const { token, ...rest } = await lanes.take(taking());
        expect(token).toBeGreaterThan(0);
        expect(rest).toEqual({
          copy: { token: 0, watermark: 0, value: 'deleted', cascadeTo: 0 },
          entries: [],
          gone: [],
          length: 0,
          decided: new Map(),
          headDueInMs: 0,
          restricted: false,
          expiresInMs: 0,
          sinceCheckpoint: -1,
          dataSet: { id: expect.stringMatching(/./), madeAt: expect.any(Number) },
        });
      });

      test('draws tokens that grow, whoever asks and for whichever key', async () => {
        const tokens: number[] = [];
        for (const client of [lanes, stage.other, lanes]) {
          tokens.push((await client.take(taking({ key: `k${tokens.length}` }))).token);
        }
        expect(tokens).toEqual([...new Set(tokens)].toSorted((a, b) => a - b));
        expect(tokens.every(Number.isSafeInteger)).toBe(true);
      });

      test('lets delivered jobs enter, in their order, once', async () => {
        const first = await enter('a', 'b');
        expect(first.entries.map(({ jobId }) => jobId)).toEqual(['a', 'b']);
        expect(first.length).toBe(2);
        const [a, b] = first.entries;
        expect(a?.sequence).toBeGreaterThan(first.token);
        expect(b?.sequence).toBeGreaterThan(a?.sequence as number);
        const again = await stage.other.take(taking({ arrivals: ['b', 'a'] }));
        expect(again.entries).toEqual(first.entries);
        expect(again.token).toBeGreaterThan(b?.sequence as number);
      });

      test('lets no job enter that BullMQ does not have', async () => {
        const taken = await lanes.take(taking({ arrivals: ['ghost'] }));
        expect([taken.length, taken.entries, taken.decided]).toEqual([0, [], new Map()]);
      });

      test('lets no job enter that BullMQ has finished meanwhile', async () => {
        await stage.addJob('a', { finished: 'failed', failedReason: 'by somebody else' });
        await stage.addJob('b', { finished: 'completed' });
        const taken = await lanes.take(taking({ arrivals: ['a', 'b'] }));
        expect([taken.length, taken.entries, taken.decided]).toEqual([0, [], new Map()]);
      });

      test('says what BullMQ knows of each job', async () => {
        await stage.addJob('a', { name: 'add', data: '{"by":1}' });
        await stage.addJob('b', { attemptsMade: 2, stalls: 1, failedReason: 'once' });
        await stage.addJob('c');
        await stage.addJob('d');
        await stage.addJob('e', { attemptsMade: 1, failedReason: 'at first' });
        await lanes.take(taking({ arrivals: ['a', 'b', 'c', 'd', 'e'] }));
        await stage.changeJob('c', { finished: 'completed' });
        await stage.changeJob('d', { finished: 'failed', failedReason: 'gone wrong' });
        await stage.changeJob('e', { finished: 'completed', attemptsMade: 2, outcome: 'a' });
        const { entries } = await lanes.take(taking());
        const plain = { attemptsMade: 0, stalls: 0, finished: 'no', failedReason: '' };
        const sequence = expect.any(Number) as number;
        const none = { sequence, late: true, directive: '', name: 'update', data: '{}' };
        expect(entries).toEqual([
          { ...plain, ...none, jobId: 'a', name: 'add', data: '{"by":1}' },
          // Of an earlier attempt: nobody asks why it failed.
          { ...plain, ...none, jobId: 'b', attemptsMade: 2, stalls: 1 },
          { ...plain, ...none, jobId: 'c', finished: 'unapplied' },
          { ...plain, ...none, jobId: 'd', finished: 'failed', failedReason: 'gone wrong' },
          // BullMQ leaves the reason of an earlier attempt where it was.
          {
            ...none,
            jobId: 'e',
            attemptsMade: 2,
            stalls: 0,
            finished: 'completed',
            failedReason: 'at first',
          },
        ]);
      });

      test('takes at most so many jobs', async () => {
        await enter('a', 'b', 'c');
        const taken = await lanes.take(taking({ jobsMax: 2 }));
        expect(taken.entries.map(({ jobId }) => jobId)).toEqual(['a', 'b']);
        expect(taken.length).toBe(3);
      });

      test('takes at most so much data, but one job at least', async () => {
        for (const jobId of ['a', 'b', 'c']) await stage.addJob(jobId, { data: '"0123456789"' });
        await lanes.take(taking({ arrivals: ['a', 'b', 'c'] }));
        const taken = async (dataMax: number): Promise<string[]> =>
          (await lanes.take(taking({ dataMax }))).entries.map(({ jobId }) => jobId);
        expect(await taken(1)).toEqual(['a']);
        expect(await taken(12)).toEqual(['a']);
        expect(await taken(13)).toEqual(['a', 'b']);
        expect(await taken(100)).toEqual(['a', 'b', 'c']);
      });

      test('lets jobs enter beyond what it takes', async () => {
        await enter('a', 'b');
        for (const jobId of ['c', 'd']) await stage.addJob(jobId);
        const taken = await lanes.take(taking({ arrivals: ['c', 'd'], jobsMax: 3 }));
        expect(taken.entries.map(({ jobId }) => jobId)).toEqual(['a', 'b', 'c']);
        expect(taken.length).toBe(4);
        expect(await jobsOf()).toEqual(['a', 'b', 'c', 'd']);
      });

      test('drops entries whose job BullMQ no longer has, and names them', async () => {
        await enter('a', 'b', 'c');
        await stage.removeJob('a');
        await stage.removeJob('c');
        const taken = await lanes.take(taking());
        expect(taken.entries.map(({ jobId }) => jobId)).toEqual(['b']);
        expect(taken.gone).toEqual(['a', 'c']);
        expect((await lanes.take(taking())).gone).toEqual([]);
        expect(taken.length).toBe(1);
        expect(await jobsOf()).toEqual(['b']);
      });

      test('tells arrivals that have left their lane how', async () => {
        const taken = await enter('a', 'b');
        await lanes.acknowledge(commit(taken, { decisions: new Map([['b', 'a{"n":1}']]) }));
        const after = await stage.other.take(taking({ arrivals: ['a', 'b'] }));
        expect(after.decided).toEqual(
          new Map([
            ['a', 'a'],
            ['b', 'a{"n":1}'],
          ]),
        );
        expect(after.length).toBe(0);
      });

      test('says when the head is due, if it failed before', async () => {
        const dueMs = Date.now() + 60_000;
        await stage.addJob('a', { attemptsMade: 1, dueMs });
        await stage.addJob('b', { dueMs });
        expectSoon((await lanes.take(taking({ arrivals: ['a'] }))).headDueInMs, dueMs);
        const key = 'cell:2';
        expect((await lanes.take(taking({ key, arrivals: ['b'] }))).headDueInMs).toBe(0);
      });

      test('says nothing of a head that was snoozed after it had failed', async () => {
        const dueMs = Date.now() + 60_000;
        await stage.addJob('a', { attemptsMade: 1, dueMs, snoozedAtAttempt: 1 });
        expect((await lanes.take(taking({ arrivals: ['a'] }))).headDueInMs).toBe(0);
        await stage.changeJob('a', { attemptsMade: 2 });
        expectSoon((await lanes.take(taking({ arrivals: ['a'] }))).headDueInMs, dueMs);
      });

      test('says that the queue is paused', async () => {
        await stage.pauseQueue();
        expect((await lanes.take(taking())).restricted).toBe(true);
      });

      test('serves many keys of one moment, each for itself', async () => {
        const keys = Array.from({ length: 100 }, (_, index) => `many:${index}`);
        await Promise.all(keys.map((key) => stage.addJob(`job of ${key}`)));
        const all = await Promise.all(
          keys.map((key) => lanes.take(taking({ key, arrivals: [`job of ${key}`] }))),
        );
        expect(all.map(({ entries }) => entries.map(({ jobId }) => jobId))).toEqual(
          keys.map((key) => [`job of ${key}`]),
        );
        expect(new Set(all.map(({ token }) => token)).size).toBe(keys.length);
      });
    });

    describe('the copy', () => {
      const copyFor = async (cell: TakeRequest['cell']): Promise<Taken['copy']> =>
        (await lanes.take(taking({ cell }))).copy;

      test('is the last acknowledged commit', async () => {
        const taken = await enter('a');
        await lanes.acknowledge(commit(taken, { value: { json: '{"n":"ü"}' } }));
        expect(await copyFor(undefined)).toEqual({
          token: taken.token,
          watermark: taken.entries[0]?.sequence,
          value: { json: '{"n":"ü"}' },
          cascadeTo: 0,
        });
      });

      test('comes without its value if the cell can be believed', async () => {
        const { token, dataSet } = await lanes.take(taking());
        await lanes.acknowledge(
          committing({ dataSet: dataSet.id, token, watermark: 1, value: { json: '7' } }),
        );
        expect((await copyFor({ token, base: 0 })).value).toBe('not-sent');
        expect((await copyFor({ token: token + 1, base: token })).value).toBe('not-sent');
        expect((await copyFor({ token: token - 1, base: 0 })).value).toEqual({ json: '7' });
        expect((await copyFor({ token: token + 2, base: token + 1 })).value).toEqual({ json: '7' });
      });

      test('of a new key has no value, whatever the cell says', async () => {
        const none = { token: 0, watermark: 0, value: 'deleted', cascadeTo: 0 };
        expect(await copyFor({ token: 5, base: 0 })).toEqual(none);
        expect(await copyFor({ token: 5, base: 4 })).toEqual(none);
      });

      test.each(['deleted', 'not-kept'] as const)('can be %s', async (value) => {
        const { token, dataSet } = await lanes.take(taking());
        await lanes.acknowledge(committing({ dataSet: dataSet.id, token, watermark: 9, value }));
        expect(await copyFor(undefined)).toEqual({ token, watermark: 9, value, cascadeTo: 0 });
      });

      test('loses its value when that expires, and nothing else', async () => {
        const { token, dataSet } = await lanes.take(taking());
        await lanes.acknowledge(
          committing({ dataSet: dataSet.id, token, watermark: 9, expireMs: 100 }),
        );
        expect((await copyFor(undefined)).value).toEqual({ json: '1' });
        await stage.sleep(150);
        const expired = { token, watermark: 9, value: 'deleted', cascadeTo: 0 };
        expect(await copyFor(undefined)).toEqual(expired);
        expect(await copyFor({ token, base: 0 })).toEqual(expired);
        expect((await lanes.inspect(KEY, 0)).copy).toEqual(expired);
      });

      test('says for how long its value lasts', async () => {
        const lasts = async (): Promise<number> => (await lanes.take(taking())).expiresInMs;
        const { token, dataSet } = await lanes.take(taking());
        await lanes.acknowledge(
          committing({ dataSet: dataSet.id, token, watermark: 9, expireMs: 60_000 }),
        );
        expect(await lasts()).toBeGreaterThan(55_000);
        expect(await lasts()).toBeLessThanOrEqual(60_000);
        const { token: later } = await lanes.take(taking());
        await lanes.acknowledge(
          committing({ dataSet: dataSet.id, base: token, token: later, watermark: 10 }),
        );
        expect(await lasts()).toBe(0);
      });

      test('that did expire does not any more after a commit without an expiry', async () => {
        const first = await lanes.take(taking());
        await lanes.acknowledge(
          committing({
            dataSet: first.dataSet.id,
            token: first.token,
            watermark: 9,
            expireMs: 100,
          }),
        );
        const second = await lanes.take(taking());
        await lanes.acknowledge(
          committing({
            dataSet: first.dataSet.id,
            base: first.token,
            token: second.token,
            value: { json: '2' },
          }),
        );
        await stage.sleep(150);
        expect((await copyFor(undefined)).value).toEqual({ json: '2' });
      });
    });

    describe('acknowledge', () => {
      test('takes out of the lane what is at or below the watermark', async () => {
        const taken = await enter('a', 'b', 'c');
        const watermark = taken.entries[1]?.sequence as number;
        const answer = await lanes.acknowledge(commit(taken, { watermark }));
        expect(answer).toMatchObject({ accepted: true });
        expect(await jobsOf()).toEqual(['c']);
        expect(await Promise.all(['a', 'b', 'c'].map(locate))).toEqual(['a', 'a', 'waiting 0']);
      });

      test('is refused, and does nothing, if the copy is another one', async () => {
        const first = await enter('a');
        const second = await stage.other.take(taking());
        expect((await lanes.acknowledge(commit(first))).accepted).toBe(true);
        await enter('b');
        const late = commit(second, { watermark: Number.MAX_SAFE_INTEGER, value: { json: '9' } });
        expect(await stage.other.acknowledge(late)).toEqual({ accepted: false });
        expect(await jobsOf()).toEqual(['b']);
        const { copy } = await lanes.take(taking());
        expect([copy.token, copy.value]).toEqual([first.token, { json: '1' }]);
      });

      test('of the last commit is accepted again, and does nothing', async () => {
        const taken = await enter('a');
        const acknowledgement = commit(taken, { watermark: Number.MAX_SAFE_INTEGER });
        await lanes.acknowledge(acknowledgement);
        await enter('b');
        const again = await stage.other.acknowledge({ ...acknowledgement, base: 12345 });
        expect(again).toEqual({ accepted: true });
        expect(await jobsOf()).toEqual(['b']);
      });

      test('writes down how each job left', async () => {
        const taken = await enter('a', 'b', 'c', 'd');
        const decisions = new Map([
          ['b', 'a[1,2]'],
          ['c', 'f{"code":"X","message":"no"}'],
          ['elsewhere', 'a'],
        ]);
        await lanes.acknowledge(commit(taken, { decisions }));
        expect(await Promise.all(['a', 'b', 'c', 'd', 'elsewhere'].map(locate))).toEqual([
          'a',
          'a[1,2]',
          'f{"code":"X","message":"no"}',
          'a',
          'absent',
        ]);
      });

      test('moves jobs to the end of the lane, with a new sequence and a clean slate', async () => {
        const taken = await enter('a', 'b', 'c');
        await lanes.direct('b', 'skip');
        await lanes.startAlone('a', 7, [], 9);
        const decisions = new Map([
          ['a', 'm'],
          ['b', 'm'],
        ]);
        const watermark = taken.entries[1]?.sequence as number;
        await lanes.acknowledge(commit(taken, { watermark, decisions }));
        const after = await lanes.take(taking());
        expect(after.entries.map(({ jobId, directive }) => [jobId, directive])).toEqual([
          ['c', ''],
          ['a', ''],
          ['b', ''],
        ]);
        expect(after.entries[1]?.sequence).toBeGreaterThan(taken.entries[2]?.sequence as number);
        expect(await lanes.startAlone('a', 8, [], 9)).toBe(1);
      });

      test('a job is marked to be delivered, unless it has another mark', async () => {
        await enter('a', 'b');
        await lanes.direct('a', 'deliver');
        await lanes.direct('b', 'drop');
        await lanes.direct('b', 'deliver');
        expect(await lanes.direct('none', 'deliver')).toBe(false);
        const marks = (await lanes.take(taking())).entries.map(({ directive }) => directive);
        expect(marks).toEqual(['deliver', 'drop']);
        await lanes.direct('a', 'skip');
        expect((await lanes.take(taking())).entries[0]?.directive).toBe('skip');
      });

      test('marks a job that holds its lane, and lets it stay', async () => {
        const taken = await enter('a', 'b', 'c');
        await stage.changeJob('c', { finished: 'failed', failedReason: 'by BullMQ' });
        const decisions = new Map([
          ['b', 'hwhy "it" failed'],
          ['c', 'h'],
          ['ghost', 'h'],
        ]);
        const watermark = taken.entries[0]?.sequence as number;
        await lanes.acknowledge(commit(taken, { watermark, decisions }));
        const { entries } = await stage.other.take(taking());
        expect(entries).toMatchObject([
          { jobId: 'b', directive: 'held', finished: 'no', failedReason: 'why "it" failed' },
          { jobId: 'c', directive: '', finished: 'failed' },
        ]);
        expect(await locate('b')).toBe('waiting 0');
      });

      test('lets the withdrawn go without an outcome, so that they can enter their lane again', async () => {
        const taken = await enter('a');
        await lanes.acknowledge(commit(taken, { decisions: new Map([['a', 's']]) }));
        expect(await locate('a')).toBe('absent');
        const again = await lanes.take(taking({ arrivals: ['a'] }));
        expect(again.entries.map(({ jobId }) => jobId)).toEqual(['a']);
        expect(again.entries[0]?.sequence).toBeGreaterThan(taken.entries[0]?.sequence as number);
      });

      test('tells if some of its jobs were gone from the lane', async () => {
        const taken = await enter('a', 'b');
        const twoOfThem = commit(taken, { decided: 2 });
        expect((await lanes.acknowledge(twoOfThem)).missing ?? false).toBe(false);
        const again = await enter('c', 'd', 'e');
        await stage.removeJob('d');
        await stage.addJob('d');
        await stage.other.take(taking({ key: 'cell:2', arrivals: ['d'] }));
        await stage.other.take(taking()); // finds that its entry is nobody's
        const three = commit(again, { decided: 3 });
        expect(await lanes.acknowledge(three)).toMatchObject({ accepted: true, missing: true });
      });

      test('leaves a new job alone whose id a former one had, and which has entered another lane', async () => {
        const taken = await enter('a', 'b', 'c');
        for (const jobId of ['a', 'b', 'c']) {
          await stage.removeJob(jobId);
          await stage.addJob(jobId);
        }
        await stage.other.take(taking({ key: 'cell:2', arrivals: ['a', 'b', 'c'] }));
        const watermark = taken.entries[1]?.sequence as number;
        const decisions = new Map([
          ['b', 'f{"code":"X"}'],
          ['c', 'hwhy'],
        ]);
        await lanes.acknowledge(commit(taken, { watermark, decisions }));
        const { entries } = await stage.other.take(taking({ key: 'cell:2' }));
        expect(entries.map(({ jobId, directive }) => [jobId, directive])).toEqual([
          ['a', ''],
          ['b', ''],
          ['c', ''],
        ]);
        for (const jobId of ['a', 'b']) {
          const location = await stage.other.locate('cell:2', jobId);
          expect(location.kind, jobId).toBe('waiting');
        }
      });

      test('tells a job that BullMQ has failed only if it was applied', async () => {
        const taken = await enter('a', 'b', 'c');
        for (const jobId of ['a', 'b', 'c']) {
          await stage.changeJob(jobId, { finished: 'failed', failedReason: 'by BullMQ' });
        }
        const failure = '{"code":"X","message":"no"}';
        const decisions = new Map([
          ['a', `f${failure}`],
          ['b', `c${failure}`],
        ]);
        await lanes.acknowledge(commit(taken, { decisions }));
        expect(await jobsOf()).toEqual([]);
        expect(await Promise.all(['a', 'b', 'c'].map(locate))).toEqual(['absent', 'absent', 'a']);
      });

      test('does not mind that a decided job is gone', async () => {
        const taken = await enter('a', 'b');
        await stage.removeJob('a');
        expect((await lanes.acknowledge(commit(taken))).accepted).toBe(true);
        expect(await locate('a')).toBe('absent');
        expect(await jobsOf()).toEqual([]);
      });

      test('has BullMQ deliver the decided jobs that it holds back as delayed', {
        tags: 'imitation',
      }, async () => {
        const dueMs = Date.now() + 60_000;
        for (const jobId of ['a', 'b', 'c', 'd']) await stage.addJob(jobId, { dueMs });
        await stage.addJob('e');
        const taken = await lanes.take(taking({ arrivals: ['a', 'b', 'c', 'e', 'd'] }));
        const decisions = new Map([
          ['b', 'm'],
          ['c', 's'],
        ]);
        const watermark = taken.entries[3]?.sequence as number;
        await lanes.acknowledge(commit(taken, { watermark, decisions }));
        expect(await stage.delayed()).toEqual(['b', 'c', 'd']);
      });

      test('with a cascade fails what waits now, not what comes later', async () => {
        const taken = await enter('a', 'b', 'c');
        const watermark = taken.entries[0]?.sequence as number;
        const decisions = new Map([['a', 'c{"code":"X","message":"no"}']]);
        await lanes.acknowledge(commit(taken, { watermark, decisions }));
        const later = await enter('d');
        expect(later.copy.cascadeTo).toBe(taken.entries[2]?.sequence);
        await lanes.acknowledge(commit(later));
        expect((await lanes.take(taking())).copy.cascadeTo).toBe(taken.entries[2]?.sequence);
      });

      test('with a cascade in an otherwise empty lane fails nothing', async () => {
        const taken = await enter('a');
        const decisions = new Map([['a', 'c{"code":"X","message":"no"}']]);
        await lanes.acknowledge(commit(taken, { decisions }));
        expect((await enter('b')).copy.cascadeTo).toBe(0);
      });

      test.each([
        ['one job', ['a'], [0]],
        ['one that is not first', ['a', 'b'], [1]],
        ['many', ['a', 'b', 'c'], [0, 1]],
        ['none', ['a'], []],
      ])('of %s is refused if others would leave with it', async (_, jobIds, own) => {
        const taken = await enter(...jobIds, 'later');
        const sequenceOf = (at: number): number => taken.entries[at]?.sequence as number;
        const sequences = own.map(sequenceOf);
        // As if more jobs had got numbers up to its own since: all of them but those that it knows.
        const watermark =
          sequences.length === jobIds.length ? sequenceOf(1) : sequenceOf(jobIds.length - 1);
        const late = commit(taken, { watermark, decided: own.length });
        const wentBack = { accepted: false, wentBack: true };
        expect(await lanes.acknowledge(late)).toEqual(wentBack);
        expect(await lanes.acknowledge({ ...late, sequences })).toEqual(wentBack);
        expect(await jobsOf()).toEqual([...jobIds, 'later']);
        expect((await lanes.inspect(KEY, 0)).copy.token).toBe(0);
      });

      test('does not mind that some of its jobs are gone, however it knows them', async () => {
        for (const known of [true, false]) {
          const taken = await enter('a', 'b', 'c');
          await stage.removeJob('b');
          await lanes.take(taking()); // its entry is dropped
          const sequences = taken.entries.map(({ sequence }) => sequence);
          const late = commit(taken, { decided: 3, ...(known && { sequences }) });
          expect(await lanes.acknowledge(late)).toEqual({ accepted: true, missing: true });
          expect(await jobsOf()).toEqual([]);
          for (const jobId of ['a', 'c']) await stage.removeJob(jobId);
        }
      });

      test('with a token that was never drawn is refused: Redis has forgotten it', async () => {
        const taken = await enter('a');
        const { nextToken } = await lanes.inspect(KEY, 0);
        const late = commit(taken, { token: nextToken + 60_000_000, decided: 1 });
        expect(await lanes.acknowledge(late)).toEqual({ accepted: false, wentBack: true });
        expect(await jobsOf()).toEqual(['a']);
      });

      test('decides many keys of one moment, each for itself', async () => {
        const keys = ['k1', 'k2', 'k3'];
        for (const key of keys) await stage.addJob(`job of ${key}`);
        const taken = await Promise.all(
          keys.map((key) => lanes.take(taking({ key, arrivals: [`job of ${key}`] }))),
        );
        const answers = await Promise.all(
          taken.map((one, index) =>
            lanes.acknowledge(
              commit(one, { key: keys[index] as string, ...(index === 1 && { base: 77 }) }),
            ),
          ),
        );
        expect(answers.map(({ accepted }) => accepted)).toEqual([true, false, true]);
        expect(await Promise.all(keys.map(jobsOf))).toEqual([[], ['job of k2'], []]);
      });
    });

    test('locate says where a job waits and how fast its key is', async () => {
      const taken = await enter('a', 'b', 'c');
      const watermark = taken.entries[0]?.sequence as number;
      await lanes.acknowledge(commit(taken, { watermark, paceMs: 12.3456 }));
      const located = await Promise.all([
        lanes.locate(KEY, 'b'),
        lanes.locate(KEY, 'c'),
        lanes.locate('another key', 'c'),
      ]);
      expect(located).toEqual([
        { kind: 'waiting', rank: 0, paceMs: 12.346 },
        { kind: 'waiting', rank: 1, paceMs: 12.346 },
        { kind: 'absent' },
      ]);
    });

    describe('startAlone', () => {
      test('counts the starts of which a process died', async () => {
        await stage.addJob('a', { stalls: 1 });
        expect(await lanes.startAlone('a', 10, [], 9)).toBe(1);
        await stage.changeJob('a', { stalls: 2 });
        expect(await stage.other.startAlone('a', 20, [], 9)).toBe(2);
        await stage.changeJob('a', { stalls: 3 });
        expect(await lanes.startAlone('a', 30, [], 9)).toBe(3);
        expect(await lanes.startAlone('ghost', 40, [], 9)).toBe(0);
      });

      test('notes none that does not begin, since too many died of others', async () => {
        await stage.addJob('a', { stalls: 1 });
        expect(await lanes.startAlone('a', 10, [], 1)).toBe(1);
        await stage.changeJob('a', { stalls: 2 });
        expect(await stage.other.startAlone('a', 20, [], 1)).toBe(2);
        await stage.changeJob('a', { stalls: 3 }); // its process has ended
        expect(await lanes.startAlone('a', 30, [], 1)).toBe(2);
        await stage.other.noteSurvived('a', [10]); // after all
        expect(await lanes.startAlone('a', 30, [], 1)).toBe(1);
        await stage.changeJob('a', { stalls: 4 });
        expect(await lanes.startAlone('a', 40, [], 1)).toBe(2);
      });

      test('does not count one after which the job has not stalled, or was charged for', async () => {
        await stage.addJob('a', { stalls: 1 });
        expect(await lanes.startAlone('a', 10, [], 9)).toBe(1);
        expect(await lanes.startAlone('a', 20, [], 9)).toBe(1); // its commit was lost
        await stage.changeJob('a', { stalls: 2, attemptsMade: 1 }); // it failed, and died waiting
        expect(await lanes.startAlone('a', 30, [], 9)).toBe(1);
        await stage.changeJob('a', { stalls: 3 });
        expect(await lanes.startAlone('a', 40, [], 9)).toBe(2);
      });

      test('does not count one that its process has lived through: it begins the job again', async () => {
        await stage.addJob('a', { stalls: 1 });
        expect(await lanes.startAlone('a', 10, [], 9)).toBe(1);
        await stage.changeJob('a', { stalls: 2 });
        expect(await lanes.startAlone('a', 20, [10], 9)).toBe(1);
        await stage.changeJob('a', { stalls: 3 });
        expect(await lanes.startAlone('a', 30, [], 9)).toBe(2); // another process: that of 20 has died
      });

      test('or it has given the job back', async () => {
        await stage.addJob('a', { stalls: 1 });
        expect(await lanes.startAlone('a', 10, [], 9)).toBe(1);
        await stage.other.noteSurvived('a', [10]);
        await stage.changeJob('a', { stalls: 2 }); // somebody else died of something else
        expect(await lanes.startAlone('a', 20, [], 9)).toBe(1);
        await stage.changeJob('a', { stalls: 3 });
        expect(await lanes.startAlone('a', 30, [], 9)).toBe(2);
      });

      test('takes one back that its process has lived through, and no other', async () => {
        await stage.addJob('a', { stalls: 1 });
        for (const [at, token] of [10, 20, 30].entries()) {
          await stage.changeJob('a', { stalls: at + 2 });
          expect(await lanes.startAlone('a', token, [], 9)).toBe(at + 1);
        }
        await stage.other.noteSurvived('a', [10]);
        expect(await lanes.startAlone('a', 30, [], 9)).toBe(2); // its answer was lost, and it was sent again
        await stage.changeJob('a', { stalls: 5 });
        expect(await lanes.startAlone('a', 40, [10, 30], 9)).toBe(2);
        await stage.other.noteSurvived('a', [20]);
        expect(await lanes.startAlone('a', 40, [], 9)).toBe(1);
      });

      test('heeds none that arrives too late', async () => {
        await stage.addJob('a', { stalls: 1 });
        await stage.other.noteSurvived('a', [10]);
        expect(await lanes.startAlone('a', 10, [], 9)).toBe(1); // its process lives
        await stage.changeJob('a', { stalls: 2 });
        expect(await lanes.startAlone('a', 20, [], 9)).toBe(1);
        expect(await lanes.startAlone('a', 15, [], 9)).toBe(1);
        await stage.other.noteSurvived('a', [20]);
        await stage.changeJob('a', { stalls: 3 });
        expect(await lanes.startAlone('a', 30, [], 9)).toBe(1);
        await stage.other.noteSurvived('ghost', [30]);
        expect(await lanes.startAlone('ghost', 40, [], 9)).toBe(0);
      });
    });

    describe('the index of lanes', () => {
      const counted = async (): Promise<unknown> => {
        const { keys, held, oldest } = await stage.views.counts();
        return [keys, held, oldest?.jobId];
      };

      test('knows a lane from its first job to its last', async () => {
        expect(await counted()).toEqual([0, 0, undefined]);
        const taken = await enter('a', 'b');
        expect(await counted()).toEqual([1, 0, 'a']);
        await lanes.acknowledge(commit(taken, { watermark: taken.entries[0]?.sequence as number }));
        expect(await counted()).toEqual([1, 0, 'b']);
        await lanes.acknowledge(commit(await lanes.take(taking())));
        expect(await counted()).toEqual([0, 0, undefined]);
      });

      test('knows that BullMQ has failed its first job by itself once it is taken', async () => {
        await enter('a', 'b');
        await stage.changeJob('a', { finished: 'failed' });
        await lanes.take(taking());
        expect(await counted()).toEqual([1, 1, 'a']);
        const request = { state: 'held', order: 'oldest', after: undefined } as const;
        const { lanes: held } = await stage.views.page({ ...request, limit: 9, search: '' });
        expect(held.map(({ key }) => key)).toEqual([KEY]);
      });

      test('puts a lane among the held ones with the commit that says so', async () => {
        const taken = await enter('a', 'b');
        await lanes.acknowledge(
          commit(taken, { watermark: 0, decided: 0, decisions: new Map([['a', 'hno']]) }),
        );
        expect(await counted()).toEqual([1, 1, 'a']);
      });
    });

    test('direct leaves word for the next combiner', async () => {
      await enter('a', 'b');
      expect(await lanes.direct('a', 'skip')).toBe(true);
      expect(await lanes.direct('b', 'drop')).toBe(true);
      expect(await lanes.direct('ghost', 'drop')).toBe(false);
      const { entries } = await stage.other.take(taking());
      expect(entries.map(({ directive }) => directive)).toEqual(['skip', 'drop']);
    });

    test('inspect shows a lane and changes nothing', async () => {
      const taken = await enter('a', 'b', 'c');
      await lanes.acknowledge(
        commit(taken, {
          watermark: taken.entries[0]?.sequence as number,
          value: { json: '[5]' },
          paceMs: 2,
        }),
      );
      const seen = await stage.other.inspect(KEY, 1);
      expect(seen).toEqual({
        copy: {
          token: taken.token,
          watermark: taken.entries[0]?.sequence,
          value: { json: '[5]' },
          cascadeTo: 0,
        },
        length: 2,
        paceMs: 2,
        head: [{ jobId: 'b', sequence: taken.entries[1]?.sequence }],
        dataSet: taken.dataSet,
        nextToken: expect.any(Number),
      });
      const again = await stage.other.inspect(KEY, 1);
      expect({ ...again, nextToken: seen.nextToken }).toEqual(seen);
    });

    test('overwriteCopy sets the copy, whatever it was', async () => {
      const taken = await enter('a', 'b');
      await lanes.acknowledge(commit(taken, { watermark: taken.entries[0]?.sequence as number }));
      const { token, dataSet } = await lanes.take(taking());
      const watermark = taken.entries[1]?.sequence as number;
      await lanes.overwriteCopy(
        committing({ dataSet: dataSet.id, base: 4711, token, watermark, value: { json: '3' } }),
      );
      const { copy, length } = await lanes.take(taking());
      expect(copy).toEqual({ token, watermark, value: { json: '3' }, cascadeTo: 0 });
      expect(length).toBe(0);
    });

    describe('look at', () => {
      const lookAt = async (jobId: string): Promise<string> =>
        (await stage.other.lookAt([{ key: KEY, jobId }]))[0] as string;

      test('says whether a lane still waits for its first job', async () => {
        await enter('a', 'b');
        expect(await lookAt('a')).toBe('stands');
        expect(await lookAt('b')).toBe('moved-on');
        await stage.changeJob('a', { finished: 'failed', failedReason: 'it holds its lane' });
        expect(await lookAt('a')).toBe('stands');
        await stage.removeJob('a');
        expect(await lookAt('a')).toBe('released');
        await lanes.take(taking());
        expect(await lookAt('a')).toBe('moved-on');
        await stage.changeJob('b', { finished: 'completed' });
        expect(await lookAt('b')).toBe('released');
      });

      test('looks at many lanes at once, also at those that are empty', async () => {
        await enter('a');
        const standing = ['none', KEY, 'none'].map((key) => ({ key, jobId: 'a' }));
        expect(await lanes.lookAt(standing)).toEqual(['moved-on', 'stands', 'moved-on']);
      });
    });

    describe('the data set', () => {
      test('has one name for all clients, made by the first that asks, and not before', async () => {
        const [one, other] = await Promise.all([lanes.take(taking()), stage.other.take(taking())]);
        expect(one.dataSet).toEqual(other.dataSet);
        expect(one.dataSet.madeAt).toBeGreaterThan(0);
        expect(one.dataSet.madeAt).toBeLessThanOrEqual(Math.min(one.token, other.token));
        expect((await lanes.take(taking())).dataSet).toEqual(one.dataSet);
        expect((await stage.other.inspect(KEY, 0)).dataSet).toEqual(one.dataSet);
      });

      test('refuses a commit of another one, also the first of a key', async () => {
        const taken = await enter('a');
        expect(await lanes.acknowledge(commit(taken, { dataSet: 'other' }))).toEqual({
          accepted: false,
        });
        expect(await jobsOf()).toEqual(['a']);
        expect((await lanes.inspect(KEY, 0)).copy.token).toBe(0);
        expect((await lanes.acknowledge(commit(taken))).accepted).toBe(true);
      });
    });

    test("overwriteCopy lets jobs stay that are not the commit's own", async () => {
      const { token, entries, dataSet } = await enter('a', 'b', 'c');
      const [a, b, c] = entries.map(({ sequence }) => sequence);
      const copy = { dataSet: dataSet.id, token, watermark: c as number };
      await lanes.overwriteCopy(committing({ ...copy, decided: 1, sequences: [b as number] }));
      expect(await jobsOf()).toEqual(['a', 'c']);
      expect(await locate('b')).toBe('a');
      await stage.other.renumber(KEY, 0);
      const after = await lanes.take(taking());
      expect(after.entries.map(({ jobId }) => jobId)).toEqual(['a', 'c']);
      expect(after.entries[0]?.sequence).toBeGreaterThan(c as number);
      expect(a).toBeLessThan(b as number);
    });

    test('renumber has the counter go on above a number, and leaves jobs alone that are well', async () => {
      const taken = await enter('a');
      const above = taken.token + 3_600_000_000;
      await lanes.renumber(KEY, above);
      const after = await stage.other.take(taking());
      expect(after.token).toBeGreaterThan(above);
      expect(after.entries).toEqual(taken.entries);
      await lanes.renumber(KEY, 5);
      expect((await lanes.take(taking())).token).toBeGreaterThan(after.token);
    });
  });
}

/** In so many milliseconds, give or take what the call took. */
function expectSoon(inMs: number, dueMs: number): void {
  const leftMs = dueMs - Date.now();
  expect(inMs).toBeGreaterThanOrEqual(leftMs - 1);
  expect(inMs).toBeLessThan(leftMs + 5_000);
}
