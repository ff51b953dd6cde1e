import { describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { Gather } from '../../../src/base/gather.ts';

/** A server that answers when it is told to. */
function stage(options: { atMost: number; callsMax?: number }) {
  const calls: { requests: readonly number[]; answer(): void; fail(): void }[] = [];
  let soon: (() => void)[] = [];
  const clock = { ...systemClock, soon: (callback: () => void) => void soon.push(callback) };
  const gather = new Gather<number, string>(clock, options, (requests) => {
    return new Promise((resolve, reject) => {
      const answer = (): void => resolve(requests.map(String));
      calls.push({ requests, answer, fail: () => reject(new Error('lost')) });
    });
  });
  const momentOver = (): void => {
    const due = soon;
    soon = [];
    for (const callback of due) callback();
  };
  return { gather, calls, momentOver, asked: () => calls.map(({ requests }) => requests) };
}

describe('a gather', () => {
  test('serves all calls of one moment together', async () => {
    const { gather, calls, momentOver, asked } = stage({ atMost: 10 });
    const replies = Promise.all([gather.call(1), gather.call(2)]);
    expect(asked()).toEqual([]);
    momentOver();
    expect(asked()).toEqual([[1, 2]]);
    calls[0]?.answer();
    expect(await replies).toEqual(['1', '2']);
  });

  test('makes no call larger than it may be', () => {
    const { gather, momentOver, asked } = stage({ atMost: 2 });
    for (let n = 1; n <= 5; n++) void gather.call(n);
    momentOver();
    expect(asked()).toEqual([[1, 2], [3, 4], [5]]);
  });

  test('keeps so many calls under way, and serves who waits when one has ended', async () => {
    const { gather, calls, momentOver, asked } = stage({ atMost: 2, callsMax: 1 });
    const first = gather.call(1);
    momentOver();
    const [second, third, fourth] = [gather.call(2), gather.call(3), gather.call(4)];
    momentOver();
    expect(asked()).toEqual([[1]]);
    calls[0]?.answer();
    await first;
    expect(asked()).toEqual([[1], [2, 3]]);
    calls[1]?.answer();
    expect(await Promise.all([second, third])).toEqual(['2', '3']);
    expect(asked()).toEqual([[1], [2, 3], [4]]);
    calls[2]?.answer();
    expect(await fourth).toBe('4');
  });

  test('keeps to other options from the next call on', async () => {
    const { gather, calls, momentOver, asked } = stage({ atMost: 1, callsMax: 2 });
    for (let n = 1; n <= 6; n++) void gather.call(n);
    momentOver();
    gather.change({ atMost: 3, callsMax: 1 });
    calls[0]?.answer();
    await Promise.resolve();
    expect(asked()).toEqual([[1], [2]]);
    calls[1]?.answer();
    await vi.waitFor(() => expect(asked()).toEqual([[1], [2], [3, 4, 5]]));
  });

  test('a call that failed fails those that it served, and lets the others go on', async () => {
    const { gather, calls, momentOver, asked } = stage({ atMost: 1, callsMax: 1 });
    const first = gather.call(1);
    const second = gather.call(2);
    momentOver();
    calls[0]?.fail();
    await expect(first).rejects.toThrow('lost');
    expect(asked()).toEqual([[1], [2]]);
    calls[1]?.answer();
    expect(await second).toBe('2');
  });
});
