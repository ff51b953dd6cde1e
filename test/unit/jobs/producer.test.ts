/** Calls that are carried out once, against a Redis that answers as the test says. */
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { systemRandom } from '../../../src/base/random.ts';
import { Producer, type ProducerSite } from '../../../src/jobs/bullmq/adding/producer.ts';

const WITHIN_MS = 400;

interface Copy {
  readonly producer: string;
  readonly number: number;
  readonly after: number;
  readonly lastMs: number;
  answer(text: unknown): void;
  fail(message: string): void;
}

function stage(site: Partial<ProducerSite> = {}) {
  const copies: Copy[] = [];
  const waiting: ((copy: Copy) => void)[] = [];
  const producer = new Producer({
    ...{ clock: systemClock, random: systemRandom, withinMs: WITHIN_MS },
    ready: () => Promise.resolve(),
    isClosed: () => false,
    run: (id, args) =>
      new Promise((resolve, reject) => {
        const [number, after, lastMs] = args as [number, number, number];
        const fail = (message: string): void => reject(new Error(message));
        const copy = { producer: id, number, after, lastMs, answer: resolve, fail };
        const next = waiting.shift();
        if (next === undefined) copies.push(copy);
        else next(copy);
      }),
    ...site,
  });
  return {
    call: () => producer.call(systemClock.monotonicMs(), []),
    /** The next copy that arrives. */
    copy: (): Promise<Copy> => {
      const copy = copies.shift();
      return copy === undefined ? new Promise((take) => waiting.push(take)) : Promise.resolve(copy);
    },
  };
}

describe('a call', () => {
  test('is valid for less long than its caller waits', async () => {
    const { call, copy } = stage();
    const startedMs = systemClock.wallMs();
    const answer = call();
    const { lastMs, answer: say } = await copy();
    say('[]');
    await answer;
    expect(lastMs).toBeLessThan(startedMs + WITHIN_MS - 20);
    expect(lastMs).toBeGreaterThan(startedMs + WITHIN_MS / 2);
  });

  test('is not sent by a client that is ready only when its caller has heard that nothing is added', async () => {
    let isReady = (): void => undefined;
    const ready = new Promise<void>((resolve) => (isReady = resolve));
    let sent = 0;
    const run = (): Promise<unknown> => {
      sent++;
      return Promise.resolve('[]');
    };
    const { call } = stage({ withinMs: 50, ready: () => ready, run });
    await expect(call()).rejects.toMatchObject({ code: 'REDIS_FAILED' });
    isReady();
    await ready;
    await new Promise(setImmediate);
    expect(sent).toBe(0);
  });

  test('is sent again under its number until it is answered', async () => {
    const { call, copy } = stage();
    const answer = call();
    const first = await copy();
    first.fail('Connection is closed.');
    const second = await copy();
    second.fail('LOADING Redis is loading the dataset in memory');
    const third = await copy();
    third.answer('["1"]');
    expect(await answer).toBe('["1"]');
    expect([second.number, third.number]).toEqual([first.number, first.number]);
    expect(new Set([first, second, third].map(({ producer }) => producer)).size).toBe(1);
  });

  test('that Redis refuses at once has not been carried out', async () => {
    const { call, copy } = stage();
    const answer = call();
    (await copy()).fail('OOM command not allowed when used memory > maxmemory.');
    await expect(answer).rejects.toMatchObject({
      code: 'REDIS_FAILED',
      cause: { message: expect.stringContaining('OOM') },
    });
  });

  test('that is refused when it comes again may have been carried out before', async () => {
    const { call, copy } = stage();
    const answer = call();
    (await copy()).fail('read ECONNRESET');
    (await copy()).fail('OOM command not allowed when used memory > maxmemory.');
    (await copy()).answer('["7"]');
    expect(await answer).toBe('["7"]');
  });

  test('that a client without a queue did not send has not been carried out', async () => {
    const { call, copy } = stage();
    const answer = call();
    (await copy()).fail("Stream isn't writeable and enableOfflineQueue options is false");
    await expect(answer).rejects.toMatchObject({ code: 'REDIS_FAILED' });
  });

  test('without an answer in its time is unknown', async () => {
    const { call, copy } = stage();
    const answer = call();
    void copy();
    await expect(answer).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  });

  test('of a client that was closed is unknown at once', async () => {
    const { call, copy } = stage({ isClosed: () => true });
    const answer = call();
    (await copy()).fail('Connection is closed.');
    await expect(answer).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  });

  test('of a client that never was ready has not been carried out', async () => {
    const { call } = stage({ ready: () => new Promise(() => {}) });
    await expect(call()).rejects.toMatchObject({ code: 'REDIS_FAILED' });
  });

  test('is valid by the clock of Redis', async () => {
    const { call, copy } = stage();
    const answer = call();
    const hour = 3_600_000;
    const redisMs = Date.now() + hour;
    (await copy()).answer(`time ${redisMs}`);
    const again = await copy();
    expect(Math.abs(again.lastMs - redisMs - WITHIN_MS)).toBeLessThan(WITHIN_MS);
    again.answer('[]');
    await answer;
    const next = call();
    const last = await copy();
    expect(last.lastMs).toBeGreaterThan(Date.now() + hour);
    last.answer('[]');
    await next;
  });
});

describe('two calls under way', () => {
  test('keep their order: the second one is sent again when the first has its answer', async () => {
    const { call, copy } = stage();
    const answers = [call(), call()];
    const [first, second] = [await copy(), await copy()];
    expect([first.after, second.after]).toEqual([0, first.number]);
    second.answer('early');
    first.fail('Connection is closed.');
    (await copy()).answer('["1"]');
    const again = await copy();
    expect(again).toMatchObject({ number: second.number, after: 0 });
    again.answer('["2"]');
    expect(await Promise.all(answers)).toEqual(['["1"]', '["2"]']);
  });

  test('do not wait for a call that was answered', async () => {
    const { call, copy } = stage();
    const first = call();
    (await copy()).answer('[]');
    await first;
    await Promise.resolve();
    const second = call();
    const sent = await copy();
    expect(sent.after).toBe(0);
    sent.answer('[]');
    await second;
  });

  test('a third one waits for the first, also if the second was refused', async () => {
    const { call, copy } = stage();
    const first = call();
    const second = call();
    const unanswered = await copy();
    (await copy()).fail('OOM no');
    await expect(second).rejects.toMatchObject({ code: 'REDIS_FAILED' });
    const third = call();
    const behind = await copy();
    expect(behind.after).toBeGreaterThan(0);
    behind.answer('early');
    unanswered.answer('["1"]');
    await first;
    const again = await copy();
    expect(again.after).toBe(0);
    again.answer('["3"]');
    expect(await third).toBe('["3"]');
  });
});
