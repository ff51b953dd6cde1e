/** toril/testing: the assertions pass where they should, and find what is planted. */
import { describe, expect, test, vi } from 'vitest';
import { defineUpdate } from '../../../src/updates/update.ts';
import type { Cas, NewItem, Outcome } from '../../../src/memcached/server.ts';
import {
  createTestBed,
  expectExactlyOnce,
  ExpectationError,
  expectInOrder,
  expectSequentialFold,
  expectValue,
  type TorilMatchers,
  torilMatchers,
  VacuousExpectationError,
} from '../../../src/testing.ts';
import { TestBed } from '../../../src/testing/bed.ts';
import { BedStore } from '../../../src/testing/journal/bed-store.ts';
import { jsonDifference } from '../../../src/testing/assertions/json-difference.ts';

declare module 'vitest' {
  interface Matchers<T> extends TorilMatchers<T> {}
}
expect.extend(torilMatchers);

interface Note {
  readonly key: string;
  readonly text: string;
}

const append = defineUpdate({
  name: 'append',
  key: ({ key }: Note) => key,
  initial: (): string => '',
  apply: (text: string, note: Note) => text + note.text,
  result: (text) => text?.length,
});

async function bedOf(texts: string): Promise<TestBed> {
  const bed = createTestBed({ updates: [append] });
  for (const text of texts) await bed.enqueue(append, { key: 'k', text });
  return bed;
}

describe('a good run', () => {
  // Each key's report once read all events of the bed: 160 ms for 2,000 keys, 2,900 ms for 8,000.
  test('takes four times as long to check for four times the keys, not sixteen times', async () => {
    const checkedMs = async (keys: number): Promise<number> => {
      const bed = createTestBed({ updates: [append] });
      for (let at = 0; at < keys; at++) await bed.enqueue(append, { key: `k${at}`, text: 'a' });
      await bed.drain();
      const startedMs = performance.now();
      expectInOrder(bed);
      return performance.now() - startedMs;
    };
    // The first one compiles, and on a busy machine one of them waits.
    const fastestMs = async (keys: number): Promise<number> =>
      Math.min(await checkedMs(keys), await checkedMs(keys));
    const [few, many] = [await fastestMs(2_000), await fastestMs(8_000)];
    expect(many).toBeLessThan(Math.max(few, 20) * 8);
  });

  test('passes everything, as functions and as matchers', async () => {
    const bed = await bedOf('abc');
    await bed.enqueue(append, { key: 'other', text: 'x' });
    await bed.drain();
    for (const key of ['k', undefined]) {
      expectInOrder(bed, key);
      await expectSequentialFold(bed, key);
      expect(bed).toBeInOrder(key);
      await expect(bed).toMatchSequentialFold(key);
    }
    expectExactlyOnce(bed);
    expectExactlyOnce(bed, ['1', { id: '2' }]);
    expectValue(bed, 'k', 'abc');
    expect(bed).toBeExactlyOnce();
    expect(bed).toHoldValue('k', 'abc');
    expect(bed).not.toHoldValue('k', 'cba');
  });
});

describe('the value', () => {
  test('is told with the place of the difference', async () => {
    const bed = await bedOf('abc');
    await bed.drain();
    const failing = (): void => expectValue(bed, 'k', 'abd');
    expect(failing).toThrow('the value of "k": found "abc", expected "abd".');
    expect(failing).toThrow(ExpectationError);
    expect(() => expect(bed).toHoldValue('k', 'abd')).toThrow('found "abc", expected "abd"');
  });

  test('is told with what still waits, and with what memcached has lost', async () => {
    const bed = await bedOf('abc');
    expect(() => expectValue(bed, 'k', 'abc')).toThrow('found nothing, expected "abc". 3 of its');
    await bed.drain();
    bed.fault.evictCell('k');
    expect(() => expectValue(bed, 'k', 'abc')).toThrow('its durable copy is "abc"');
  });

  test.each([
    [1, 1, undefined],
    [{ a: 1, b: 2 }, { b: 2, a: 1 }, undefined],
    [{ a: 1 }, { a: 1, b: undefined }, undefined],
    [-0, 0, undefined],
    [[1, 2], [1, 3], '[1]'],
    [[1], [1, 2], '[1]'],
    [{ a: [{ b: 1 }] }, { a: [{ b: 2 }] }, '.a[0].b'],
    [{}, [], ''],
    [null, {}, ''],
    ['1', 1, ''],
  ])('%j and %j differ at %j', (actual, expected, path) => {
    expect(jsonDifference(actual, expected)?.path).toBe(path);
  });
});

describe('exactly once', () => {
  test('is not yet, while jobs wait', async () => {
    const bed = await bedOf('ab');
    expect(() => expectExactlyOnce(bed)).toThrow(
      /job 1 is waiting, but it was not applied \(it is not done yet: await bed.drain\(\)\)\n.*job 2/,
    );
  });

  test('holds without failed jobs, but not if one of them is named', async () => {
    const bed = await bedOf('ab');
    bed.fault.failNext('1', 'broken');
    await bed.drain();
    expectExactlyOnce(bed);
    expectExactlyOnce(bed, ['2']);
    expect(() => expectExactlyOnce(bed, ['1'])).toThrow('job 1 failed: broken');
    expect(() => expect(bed).toBeExactlyOnce(['1'])).toThrow('job 1 failed: broken');
    expect(() => expectExactlyOnce(bed, ['99'])).toThrow('no job 99');
  });

  test('finds a job that was applied twice, one that failed and was applied, and a wrong result', async () => {
    const bed = await bedOf('abc');
    bed.fault.failNext('2', 'broken');
    await bed.drain();
    const entry = (jobId: string) => ({ ...LANE_ENTRY, jobId, sequence: jobId === '3' ? 2 : 1 });
    bed.journal.taken({ ...TAKEN, entries: [entry('1'), entry('2')] });
    bed.journal.acknowledged({ ...COMMIT, watermark: 1 }, bed.now);
    expect(() => expectExactlyOnce(bed)).toThrow(
      /- job 1 was applied 2 times\n {2}- job 2 failed, but it was applied/,
    );
    const other = await bedOf('a');
    await other.drain();
    other.fault.duplicate('1');
    const record = other.journal.commits('k')[0]?.applied[0] as { result: string };
    record.result = '7';
    expect(() => expectExactlyOnce(other, ['1'])).not.toThrow(); // it waits: nothing is reported
    await other.drain();
    expect(() => expectExactlyOnce(other)).toThrow('the result of job 1: found 1, expected 7');
  });
});

const LANE_ENTRY = {
  name: 'append',
  data: '{"key":"k","text":"x"}',
  attemptsMade: 0,
  stalls: 0,
  finished: 'no',
  failedReason: '',
  directive: '',
} as const;
const NO_COPY = { token: 0, watermark: 0, value: 'deleted', cascadeTo: 0 } as const;
const TAKEN = {
  token: 9e15,
  copy: NO_COPY,
  length: 2,
  decided: new Map(),
  headDueInMs: 0,
  restricted: false,
  sinceCheckpoint: 0,
} as unknown as Omit<Parameters<TestBed['journal']['taken']>[0], 'entries'>;
const COMMIT = {
  key: 'k',
  dataSet: 'memory',
  base: 0,
  token: 9e15,
  watermark: 0,
  decided: 1,
  value: 'deleted',
  expireMs: 0,
  decisions: new Map(),
  paceMs: 0,
  history: undefined,
} as const;

describe('order', () => {
  test('finds a job that was passed over, and one that came too late', async () => {
    const bed = createTestBed({ updates: [append] });
    const late = await bed.enqueue(append, { key: 'k', text: 'a' }, { delay: 1_000 });
    await bed.enqueue(append, { key: 'k', text: 'b' });
    await bed.runUntilIdle();
    expectInOrder(bed); // a delayed job enters its lane when it is due
    const place = bed.journal.place(late.id);
    if (place !== undefined) place.isInPlace = true;
    expect(() => expectInOrder(bed, 'k')).toThrow(
      'the jobs of "k" were not applied in order: job 2 was applied before job 1, which is delayed.',
    );
    await bed.drain();
    expect(() => expect(bed).toBeInOrder()).toThrow('job 1 was applied after job 2');
  });
});

/** Takes the commit's guard away: it is written whatever the cell's CAS is. */
class CarelessStore extends BedStore {
  override replace(name: string, item: NewItem, cas: Cas): Outcome<Cas> {
    return super.replace(name, item, name === 'k' ? (this.peek(name)?.cas ?? cas) : cas);
  }
}

describe('a commit that is late', () => {
  const run = async (store: typeof BedStore): Promise<TestBed> => {
    const settings = { updates: [append], workers: 2, concurrency: 30, leaseMs: 2_000 };
    const bed = new TestBed(settings, (options) => new store(options));
    await bed.enqueue(append, { key: 'k', text: 'a' });
    await bed.drain();
    await bed.enqueue(append, { key: 'k', text: 'b' });
    bed.fault.freezeWorker(undefined, 'before-commit');
    await bed.advance(5_000);
    await bed.enqueue(append, { key: 'k', text: 'c' });
    await bed.advance(40_000);
    bed.fault.thawWorker();
    await bed.drain();
    return bed;
  };

  test('changes nothing', async () => {
    const bed = await run(BedStore);
    expect(bed.events.map(({ type }) => type)).toContain('commitRefused');
    expectValue(bed, 'k', 'abc');
    expectInOrder(bed);
    expectExactlyOnce(bed);
    await expectSequentialFold(bed);
  });

  test('is found out if memcached does not compare its CAS', async () => {
    const bed = await run(CarelessStore);
    expect(() => expectInOrder(bed)).toThrow('readers of "k" saw its value go back');
    expect(() => expectExactlyOnce(bed)).toThrow('job 3 was in the value of "k" and then was not');
  });
});

describe('a sequential fold', () => {
  const runs = async (apply: (value: number, data: Note) => number): Promise<TestBed> => {
    const planted = defineUpdate({
      name: 'planted',
      key: ({ key }: Note) => key,
      initial: () => 0,
      apply,
    });
    const bed = createTestBed({ updates: [planted], batchJobsMax: 2 });
    for (let job = 0; job < 4; job++) await bed.enqueue(planted, { key: 'k', text: '' });
    bed.fault.failNext('4', 'broken');
    await bed.drain();
    return bed;
  };

  let calls = 0;
  test.each([
    ['chance', (value: number) => value + Math.random()],
    ['the clock', (value: number) => value + performance.now()],
    ['what it did before', (value: number) => value + ++calls],
  ])('finds an update that depends on %s', async (_what, apply) => {
    const bed = await runs(apply);
    await expect(expectSequentialFold(bed, 'k')).rejects.toThrow(
      /the value of "k" is not what its 3 jobs make of it.* job.* 1 \("planted"\)/,
    );
    await expect(expect(bed).toMatchSequentialFold()).rejects.toThrow('the first difference');
  });

  test('passes an honest one', async () => {
    await expectSequentialFold(await runs((value) => value * 2 + 1));
  });

  test('finds an update that keeps a value and changes it later', async () => {
    let kept: string[] = [];
    const hoarding = defineUpdate({
      name: 'hoarding',
      key: ({ key }: Note) => key,
      initial: (): string[] => [],
      apply: (list, { text }: Note) => {
        kept.push(text);
        kept = list;
        return [...list, text];
      },
    });
    const bed = createTestBed({ updates: [hoarding] });
    for (const text of 'abc') await bed.enqueue(hoarding, { key: 'k', text });
    await bed.drain();
    await expectSequentialFold(bed); // harmless as it is: each gets its own list
    expectValue(bed, 'k', ['a', 'b', 'c']);
  });

  test('does not call strict updates again', async () => {
    let calls = 0;
    const strict = defineUpdate({
      name: 'strict',
      key: ({ key }: Note) => key,
      initial: () => 0,
      apply: (value: number) => value + Math.sign(++calls),
      strict: true,
    });
    const bed = createTestBed({ updates: [strict] });
    await bed.enqueue(strict, { key: 'k', text: '' });
    await bed.drain();
    await expect(expectSequentialFold(bed)).rejects.toThrow('its update is strict');
    expect([calls, bed.value('k')]).toEqual([1, 1]);
  });

  test('finds an update that throws when it is called again', async () => {
    const seen = new Set<string>();
    const once = defineUpdate({
      name: 'once',
      key: ({ key }: Note) => key,
      initial: () => 0,
      apply: (value: number, _data: Note, { jobId }) => {
        if (seen.has(jobId)) throw new Error('seen before');
        seen.add(jobId);
        return value + 1;
      },
    });
    const bed = createTestBed({ updates: [once] });
    await bed.enqueue(once, { key: 'k', text: '' });
    await bed.drain();
    await expect(expectSequentialFold(bed)).rejects.toThrow('now it throws: seen before');
  });

  test('knows of random(), now, results, deletion and expiry', async () => {
    const lucky = defineUpdate({
      name: 'lucky',
      key: ({ key }: Note) => key,
      initial: () => [] as number[],
      apply: (list, _data: Note, context) => [
        ...list,
        context.random(),
        context.now,
        context.sequence,
      ],
      expireSeconds: 30,
    });
    const bed = createTestBed({ updates: [lucky] });
    await bed.enqueue(lucky, { key: 'k', text: '' });
    await bed.advance(60_000);
    expectValue(bed, 'k', undefined);
    await expectSequentialFold(bed);
    await bed.enqueue(lucky, { key: 'k', text: '' });
    await bed.drain();
    expect(bed.value('k')).toHaveLength(3);
    await expectSequentialFold(bed);
  });
});

describe('an assertion that would show nothing', () => {
  const all = (bed: TestBed, key?: string): (() => unknown)[] => [
    () => expectInOrder(bed, key),
    () => expectExactlyOnce(bed),
    () => expectSequentialFold(bed, key),
    () => expect(bed).not.toBeInOrder(key),
    () => expect(bed).not.toBeExactlyOnce(),
    () => expect(bed).not.toMatchSequentialFold(key),
  ];
  const vacuous = async (claim: () => unknown, message: string): Promise<void> => {
    const thrown = await Promise.resolve()
      .then(claim)
      .catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(VacuousExpectationError);
    expect((thrown as Error).message).toContain(message);
  };

  test('is refused on an empty bed', async () => {
    const bed = createTestBed({ updates: [append] });
    for (const claim of all(bed)) await vacuous(claim, 'the test bed has no jobs');
  });

  test('is refused for a key that nobody used', async () => {
    const bed = await bedOf('ab');
    await bed.drain();
    const [inOrder, , fold, notInOrder, , notFold] = all(bed, 'K');
    for (const claim of [inOrder, fold, notInOrder, notFold])
      await vacuous(claim as () => unknown, 'no job has the key "K" (there are "k")');
    await vacuous(() => expectValue(bed, 'K', undefined), 'no job has the key "K"');
    expect(() => expectValue(bed, 'K', 'a')).toThrow('found nothing, expected "a"');
    expect(bed.value('K')).toBeUndefined();
    await vacuous(() => expectExactlyOnce(bed, []), 'the list of jobs is empty');
  });

  test('is refused before anything was done', async () => {
    const bed = await bedOf('ab');
    await vacuous(() => expectInOrder(bed), 'no job is done yet');
    await vacuous(() => expectSequentialFold(bed), 'no job is done yet');
  });

  test('is refused while a fault has not happened, unless that is taken back', async () => {
    const bed = await bedOf('ab');
    bed.fault.crashWorker(1, 'after-acknowledge');
    bed.fault.failNext('99', 'never');
    await bed.runUntilIdle();
    bed.fault.crashWorker(0, 'after-commit');
    bed.fault.crashWorker(1, 'after-commit');
    for (const claim of [...all(bed), () => expectValue(bed, 'k', 'ab')])
      await vacuous(claim, 'a fault has not happened yet (fail job 99; crash worker');
    bed.fault.disarm();
    expect(bed.fault.armed).toEqual([]);
    expectInOrder(bed);
    expectExactlyOnce(bed);
    expectValue(bed, 'k', 'ab');
  });
});

test('order over many keys is looked at once for each job', async () => {
  const bed = createTestBed({ updates: [append] });
  for (let n = 0; n < 6_000; n++) await bed.enqueue(append, { key: `k${n % 3_000}`, text: 'a' });
  await bed.drain();
  // Every look at a key's places counts its jobs: not those of all keys.
  const { places } = bed.journal;
  let seen = 0;
  bed.journal.places = (key) => {
    const found = places.call(bed.journal, key);
    seen += found.length;
    return found;
  };
  const before = process.cpuUsage();
  expectInOrder(bed);
  expect(seen).toBeLessThanOrEqual(3 * 6_000);
  expect(process.cpuUsage(before).user).toBeLessThan(2_000_000); // it took 4.4 s for 8,000 keys of 3 jobs
});

test('a bed does not mind fake timers', async () => {
  vi.useFakeTimers();
  try {
    const bed = await bedOf('abc');
    await bed.drain();
    expect(bed).toHoldValue('k', 'abc');
    await expect(bed).toMatchSequentialFold();
  } finally {
    vi.useRealTimers();
  }
});
