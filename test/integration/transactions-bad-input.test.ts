/** What a transaction may get wrong, or meet: each time an error or a wait with a code and the key's name, and nothing half-applied. */
import { FlowProducer, type Job } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  type AnyUpdate,
  defineTransaction,
  defineUpdate,
  type TorilError,
  Worker,
} from '../../src/index.ts';
import { removeItem, writeItem } from '../support/items.ts';
import { startMemcached } from '../support/servers.ts';
import { nextEvent, quickly, type Stage, stage } from '../support/workers.ts';

interface Move {
  readonly keys: readonly string[];
}

/** Adds 1 to all keys, and appends what `more` says. */
function moving(more: object = {}): AnyUpdate {
  return defineTransaction({
    name: 'move',
    keys: ({ keys }: Move) => keys,
    initial: () => 0,
    apply: (values) => values.map((value) => value + 1),
    ...more,
  });
}
const add = defineUpdate({
  name: 'add',
  key: ({ key }: { key: string }) => key,
  initial: () => 0,
  apply: (value: number) => value + 1,
});
const fail = defineUpdate({
  name: 'fail',
  key: ({ key }: { key: string }) => key,
  initial: () => 0,
  onExhausted: 'hold',
  apply: (): number => {
    throw new Error('on purpose');
  },
});
const move = moving();

const valuesOf = (here: Stage, ...keys: string[]): Promise<unknown[]> =>
  Promise.all(keys.map((key) => here.cells.get(key)));
const codeOf = (thrown: TorilError): string => `${thrown.code}: ${thrown.message}`;
const lengthsOf = (here: Stage, ...keys: string[]): Promise<number[]> =>
  Promise.all(keys.map(async (key) => (await here.queue.lane(key).report()).length));

describe('keys that a transaction cannot have', () => {
  it('are refused when it is enqueued, alone, among others, and by a scheduler', async () => {
    const here = stage({ updates: [move, add] });
    const nine = Array.from({ length: 9 }, (_, at) => here.key(at));
    const [a, b] = [here.key('a'), here.key('b')];
    const bad: readonly (readonly [unknown, RegExp])[] = [
      [[], /^INVALID_KEY: .*"move".* there are 0 of them, and a transaction has 2 to 8/],
      [[a], /^INVALID_KEY: .* there are 1 of them/],
      [nine, /^INVALID_KEY: .* there are 9 of them/],
      [[a, b, a], /^INVALID_KEY: .*"test-[^"]*-a" is there twice/],
      [[a, ''], /^INVALID_KEY: .*keys\[1\]: the key is empty/],
      [[a, 'toril:x'], /^INVALID_KEY: .*"toril:x"/],
      [[a, 7], /^INVALID_KEY: .*of type number/],
      ['ab', /^INVALID_KEY: .*must return a list/],
    ];
    for (const [keys, said] of bad) {
      const data = { keys } as never;
      expect(await here.queue.enqueue(move, data).catch(codeOf)).toMatch(said);
      const bulk = [
        { update: add, data: { key: a } },
        { update: move, data },
      ];
      const refused = await here.queue.enqueueBulk(bulk).catch(codeOf);
      expect(refused).toMatch(said);
      expect(refused).toMatch(/^INVALID_KEY: jobs\[1\] of 2: /);
      const scheduled = here.queue.upsertJobScheduler('s', { every: 1e6 }, { name: 'move', data });
      expect(await scheduled.catch(codeOf)).toMatch(said);
    }
    expect(await here.queue.getJobCountByTypes('wait', 'delayed')).toBe(0);
    expect(await lengthsOf(here, a, b, ...nine)).toEqual(Array.from({ length: 11 }, () => 0));
  });

  it('fail a job that was enqueued by somebody who does not look', async () => {
    const here = stage({ updates: [move] });
    await here.worker();
    const [a, b] = [here.key('a'), here.key('b')];
    const plain = here.plainQueue();
    const jobs = await plain.addBulk(
      [[a], [a, a], []].map((keys) => ({ name: 'move', data: { keys } })),
    );
    const good = await plain.add('move', { keys: [a, b] });
    const flows = new FlowProducer({ connection: { url: here.redisUrl } });
    onTestFinished(() => flows.close());
    const flow = (keys: readonly string[], more: object = {}) => ({
      ...{ name: 'move', queueName: here.name, data: { keys }, ...more },
    });
    const { job: parent, children } = await flows.add(
      flow([a, b], { children: [flow([b], { opts: { ignoreDependencyOnFailure: true } })] }),
    );
    const child = children?.[0]?.job as Job;
    const finished = await here.finished([...jobs, good, child, parent]);
    expect(finished.map(({ failedReason }) => failedReason ?? '')).toEqual([
      expect.stringContaining('there are 1 of them'),
      expect.stringContaining('is there twice'),
      expect.stringContaining('there are 0 of them'),
      '',
      expect.stringContaining('there are 1 of them'),
      '',
    ]);
    expect(await valuesOf(here, a, b)).toEqual([2, 2]);
  });

  it('of another number than when it was enqueued fail it; as many others are told, and not touched', async () => {
    const here = stage({ updates: [move] });
    const [a, b, c] = [here.key('a'), here.key('b'), here.key('c')];
    const first = await here.queue.enqueue(move, { keys: [a, b] });
    const more = await here.worker({ updates: [moving({ keys: () => [a, b, c] })] });
    const [failed] = await here.finished([first]);
    expect(failed?.failedReason).toMatch(/"move" names 3 keys for job \d+,.* lanes of 2/);
    await more.close();
    const second = await here.queue.enqueue(move, { keys: [a, b] });
    const other = here.startWorker({ updates: [moving({ keys: () => [a, c] })] });
    expect(await nextEvent(other, 'keyChanged')).toMatchObject({
      ...{ key: `${a}, ${b}`, otherKey: `${a}, ${c}`, code: 'KEY_CHANGED' },
    });
    await here.finished([second]);
    expect(await valuesOf(here, a, b, c)).toEqual([1, 1, undefined]);
  });
});

it('keys that a transaction names in another order by now come in that order, with their values', async () => {
  interface Take {
    readonly from: string;
    readonly to: string;
  }
  const then = moving({ name: 'take', keys: ({ from, to }: Take) => [from, to] });
  const now = defineTransaction({
    name: 'take',
    keys: ({ from, to }: Take) => [to, from],
    initial: () => 10,
    apply: ([to, from]) => [to + 1, from - 1],
    result: ([to], _data, { keys }) => [keys[0], to],
  });
  const here = stage({ updates: [then] });
  const [from, to] = [here.key('from'), here.key('to')];
  const job = await here.queue.enqueue(then, { from, to });
  const worker = await here.worker({ updates: [now], verifyUpdates: true });
  const [done] = await here.finished([job]);
  expect(done?.returnvalue).toEqual([to, 11]);
  expect(await valuesOf(here, from, to)).toEqual([9, 11]);
  expect(worker.counts.keyChanged ?? 0).toBe(0);
});

describe('what a transaction returned', () => {
  it.each<[string, (values: readonly number[], key: string) => unknown, RegExp]>([
    ['too few', ([a]) => [a], /"move" did not return a list of 2 values/],
    ['too many', ([a, b]) => [a, b, a], /did not return a list of 2 values/],
    ['nothing', () => undefined, /did not return a list of 2 values/],
    ['nothing for one key', ([a]) => [a, undefined], /returned undefined for "test-[^"]*-b"/],
    [
      'what JSON cannot hold',
      ([a]) => [a, { of: new Map() }],
      /transaction "move" returned for "test-[^"]*-b" what JSON cannot hold: a Map at "of"/,
    ],
  ])('%s fails it, and changes no key', async (_what, apply, said) => {
    const here = stage({ updates: [moving({ apply }), add] });
    const [a, b] = [here.key('a'), here.key('b')];
    const jobs = await here.queue.enqueueBulk([
      { update: add, data: { key: a } },
      { update: here.updates[0] as AnyUpdate, data: { keys: [a, b] } },
      { update: add, data: { key: b } },
    ]);
    await here.worker();
    const [, failed] = await here.finished(jobs);
    expect(failed?.failedReason).toMatch(said);
    expect(await valuesOf(here, a, b)).toEqual([1, 1]);
  });

  it('what JSON cannot hold is named by its key if values are immutable, and as "initial"', async () => {
    const kept = moving({
      name: 'kept',
      immutable: true,
      apply: ([a]: readonly number[]) => [a, new Map()],
    });
    const begun = moving({
      name: 'begun',
      initial: (_: string, place: number) => [0, new Date()][place],
    });
    const here = stage({ updates: [kept, begun] });
    const keys = [here.key('a'), here.key('b')];
    await here.worker();
    const jobs = [
      await here.queue.enqueue(kept, { keys }),
      await here.queue.enqueue(begun, { keys }),
    ];
    const reasons = (await here.finished(jobs)).map(({ failedReason }) => failedReason);
    expect(reasons[0]).toContain(`"kept" returned for "${keys[1]}" what JSON cannot hold: a Map`);
    expect(reasons[1]).toContain(`returned as "initial" of "${keys[1]}" what JSON cannot hold`);
    expect(await valuesOf(here, ...keys)).toEqual([undefined, undefined]);
  });

  it('one value that is too large fails it, by its key', async () => {
    const apply = ([a = 0]: readonly number[]): unknown => [a + 1, 'x'.repeat(2_000_000)];
    const here = stage({ updates: [moving({ apply }), add] });
    const [a, b] = [here.key('a'), here.key('b')];
    await here.worker();
    const job = await here.queue.enqueue(here.updates[0] as AnyUpdate, { keys: [a, b] });
    const after = await here.queue.enqueue(add, { key: a });
    const [failed] = await here.finished([job, after]);
    expect(failed?.failedReason).toContain(`"${b}" takes 2000`);
    expect(failed?.attemptsMade).toBe(1);
    expect(await valuesOf(here, a, b)).toEqual([1, undefined]);
  });
});

describe('a transaction waits', () => {
  it('for a key that somebody else has written, until the value is gone or is adopted', async () => {
    const here = stage({ updates: [move, add] });
    const [a, b] = [here.key('a'), here.key('b')];
    await writeItem(b, '40');
    const worker = here.startWorker();
    const held = nextEvent(worker, 'laneHeld');
    const job = await here.queue.enqueue(move, { keys: [a, b] });
    expect(await held).toMatchObject({
      ...{ key: b, code: 'FOREIGN_VALUE', reason: expect.stringContaining(`"${b}"`) },
    });
    expect(await here.cells.get(a)).toBeUndefined();
    expect(await job.getState()).not.toBe('failed');
    const adopt = (foreign: Buffer): number => Number(foreign.toString());
    await worker.close();
    await here.worker({ updates: [moving({ adopt }), add] });
    await here.finished([job]);
    expect(await valuesOf(here, a, b)).toEqual([1, 41]);
  });

  it('for a key that another queue has, which its event names', async () => {
    const [here, other] = [stage({ updates: [move, add] }), stage({ updates: [add] })];
    const [a, b] = [here.key('a'), here.key('b')];
    await other.worker();
    await other.finished([await other.queue.enqueue(add, { key: b })]);
    const held = nextEvent(here.startWorker(), 'laneHeld');
    const job = await here.queue.enqueue(move, { keys: [a, b] });
    expect(await held).toMatchObject({
      ...{ key: b, code: 'CELL_OF_ANOTHER_QUEUE', reason: expect.stringContaining(other.name) },
    });
    expect(await job.getState()).not.toBe('failed');
    expect(await valuesOf(here, a, b)).toEqual([undefined, 1]);
  });

  it('for a key that is held, which its event names; once that goes on, so does it', async () => {
    const here = stage({ updates: [move, add, fail] });
    const [a, b, c] = [here.key('a'), here.key('b'), here.key('c')];
    const worker = await here.worker({ concurrency: 4 });
    const waits = nextEvent(worker, 'laneWaits');
    const first = await here.queue.enqueue(fail, { key: b });
    const job = await here.queue.enqueue(move, { keys: [a, b] });
    expect(await waits).toEqual({ key: a, jobId: job.id, forKey: b });
    const others = await here.queue.enqueueBulk([
      { update: add, data: { key: a } },
      { update: add, data: { key: c } },
    ]);
    await here.finished([others[1] as Job]); // of no business of theirs
    expect(await valuesOf(here, a, b, c)).toEqual([undefined, undefined, 1]);
    await here.finished([first]);
    await here.queue.lane(b).drop();
    await here.finished([job, others[0] as Job]);
    expect(await valuesOf(here, a, b)).toEqual([2, 1]);
  });

  it('for a server of one of its keys; the others are not touched, and no attempt is charged', async () => {
    const [one, two] = await Promise.all([startMemcached(), startMemcached()]);
    onTestFinished(async () => {
      await Promise.all([one.stop(), two.stop()]);
    });
    const here = stage({
      updates: [move, add],
      memcached: quickly([one.address, two.address]),
    });
    const worker = await here.worker({ concurrency: 4 });
    const keys = Array.from({ length: 12 }, (_, at) => here.key(at));
    const data = keys.map((key) => ({ update: add, data: { key } }));
    await here.finished(await here.queue.enqueueBulk(data));
    const isThere = await Promise.all(keys.map((key) => removeItem(key, one.address)));
    const [a, b] = [keys[isThere.indexOf(true)] as string, keys[isThere.indexOf(false)] as string];
    two.freeze();
    const unavailable = nextEvent(worker, 'unavailable');
    const job = await here.queue.enqueue(move, { keys: [a, b] }, { attempts: 1 });
    const { key, cause } = await unavailable;
    expect(cause.code).toMatch(/^MEMCACHED_/);
    expect([key, cause.message].join()).toContain(b);
    const told = await here.queue.snapshot([a, b]);
    expect([told.get(a)?.value, told.get(b)?.value]).toEqual([1, 1]);
    two.thaw();
    const [done] = await here.finished([job]);
    expect(done?.failedReason).toBeUndefined();
    expect(await valuesOf(here, a, b)).toEqual([2, 2]);
  });
});

describe('onBlocked: { failAfterMs }', () => {
  it('fails a transaction that has waited for so long, in all its lanes, by name', async () => {
    const patient = moving({ name: 'patient' });
    const impatient = moving({ onBlocked: { failAfterMs: 150 } });
    const here = stage({ updates: [impatient, patient, add, fail] });
    const [a, b, c] = [here.key('a'), here.key('b'), here.key('c')];
    await here.worker({ concurrency: 8 });
    await here.finished([await here.queue.enqueue(fail, { key: b })]);
    const [first, second, after] = await here.queue.enqueueBulk([
      { update: impatient, data: { keys: [a, b] } },
      { update: patient, data: { keys: [c, b] } },
      { update: add, data: { key: a } },
    ]);
    const [failed] = await here.finished([first as Job, after as Job]);
    expect(failed?.failedReason).toMatch(
      new RegExp(`waited at "${a}" for \\d+ ms for the jobs before it at "${b}"`),
    );
    expect(failed?.failedReason).toContain('onBlocked');
    expect(await (second as Job).getState()).not.toBe('failed');
    expect(await valuesOf(here, a, b, c)).toEqual([1, undefined, undefined]);
    expect(await lengthsOf(here, a, b, c)).toEqual([0, 2, 1]);
    await here.queue.lane(b).drop();
    await here.finished([second as Job]);
    expect(await valuesOf(here, a, b, c)).toEqual([1, 1, 1]);
  });

  it('counts on while the queue is paused, and fails it then only if others are still before it', async () => {
    const impatient = moving({ onBlocked: { failAfterMs: 300 } });
    const here = stage({ updates: [impatient, fail] });
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(here.key) as [string, string, string, string];
    const worker = await here.worker({ concurrency: 8 });
    const holding = [b, d].map((key) => ({ update: fail, data: { key } }));
    await here.finished(await here.queue.enqueueBulk(holding));
    const wait = async (keys: readonly string[]): Promise<Job> => {
      const waits = nextEvent(worker, 'laneWaits');
      const job = await here.queue.enqueue(impatient, { keys });
      await waits;
      return job;
    };
    const jobs = [await wait([a, b]), await wait([c, d])];
    await here.queue.pause();
    await here.queue.lane(d).drop();
    await new Promise((resolve) => setTimeout(resolve, 400)); // longer than they may wait
    await here.queue.resume();
    const reasons = (await here.finished(jobs)).map(({ failedReason }) => failedReason);
    expect(reasons).toEqual([expect.stringContaining('onBlocked'), undefined]);
    expect(await valuesOf(here, a, c)).toEqual([undefined, 1]);
  });

  it('does not count while it waits behind others in the same lanes, and may be retried', async () => {
    let isOpen = false;
    const impatient = moving({ onBlocked: { failAfterMs: 100 } });
    const slow = moving({
      name: 'slow',
      apply: async (values: readonly number[]) => {
        await new Promise((resolve) => setTimeout(resolve, 400));
        if (!isOpen) throw new Error('not yet');
        return values.map((value) => value + 1);
      },
    });
    const here = stage({ updates: [impatient, slow] });
    const [a, b] = [here.key('a'), here.key('b')];
    const jobs = await here.queue.enqueueBulk([
      { update: slow, data: { keys: [a, b] } },
      { update: impatient, data: { keys: [b, a] } },
    ]);
    await here.worker({ concurrency: 4 });
    const [failed, done] = await here.finished(jobs);
    expect(failed?.failedReason).toBe('not yet');
    expect(done?.failedReason).toBeUndefined();
    isOpen = true;
    await failed?.retry();
    await here.finished(jobs);
    await expect.poll(() => valuesOf(here, a, b), { timeout: 10_000 }).toEqual([2, 2]);
  });
});

it('a worker with transactions keeps copies', () => {
  const options = { connection: {}, memcached: 'localhost', updates: [move], durableCopies: false };
  expect(() => new Worker('bad-input', options)).toThrow(
    /durableCopies cannot be false in a worker with transactions/,
  );
});

it.each<[string, object, RegExp]>([
  ['a key', { key: () => 'a' }, /"move" has keys, so it cannot have a key/],
  ['no keys', { keys: undefined }, /keys of "move" must be a function of the data/],
  ['strictness', { strict: true }, /"move" cannot be strict/],
  ['no function', { initial: 0 }, /initial of "move" must be a function, not number/],
  [
    'another onBlocked',
    { onBlocked: 'fail' },
    /onBlocked of "move" must be "wait" or \{ failAfterMs \}/,
  ],
  ['no time to wait', { onBlocked: { failAfterMs: 0 } }, /a number from 1 to 2592000000/],
])('is refused with %s', (_what, more, said) => {
  expect(() => moving(more)).toThrow(said);
});
