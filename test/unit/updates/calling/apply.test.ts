import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../../src/base/clock.ts';
import {
  type AnyUpdate,
  DELETE_CELL,
  defineUpdate,
  type UpdateContext,
} from '../../../../src/index.ts';
import { type AppliedUpdate, applyUpdate } from '../../../../src/updates/calling/apply.ts';
import { errorOf } from '../../../../src/updates/calling/thrown.ts';

const facts = { key: 'k', jobId: '7', token: 99, sequence: 1_700_000_000_000_123, attempt: 2 };

interface Parts {
  readonly apply: (value: number, data: unknown, context: UpdateContext) => unknown;
  readonly [other: string]: unknown;
}
const update = (parts: Parts): AnyUpdate =>
  defineUpdate({ name: 'u', key: () => 'k', initial: () => 1, ...parts } as never);

async function run(parts: Parts, value?: unknown, lease?: AbortSignal): Promise<AppliedUpdate> {
  const signal = lease ?? new AbortController().signal;
  return applyUpdate(update(parts), value, {}, facts, { lost: () => signal, clock: systemClock });
}

describe('applying an update', () => {
  it('is synchronous as long as the update is', () => {
    const both = update({ apply: (n) => n + 1, result: (n: number) => n });
    const signal = (): AbortSignal => new AbortController().signal;
    const applied = applyUpdate(both, 5, {}, facts, { lost: signal, clock: systemClock });
    expect(applied).toEqual({ value: 6, result: '6' });
  });

  it('begins with the initial value of its key, or fails', async () => {
    expect(await run({ apply: (n) => n + 1 })).toEqual({ value: 2, result: '' });
    await expect(run({ apply: (n) => n, initial: undefined })).rejects.toMatchObject({
      code: 'UPDATE_RETURNED_NOTHING',
      message: expect.stringMatching(/no "initial"/),
    });
  });

  it('can delete the cell', async () => {
    expect(await run({ apply: () => DELETE_CELL }, 5)).toEqual({ value: undefined, result: '' });
    expect(await run({ apply: async () => DELETE_CELL }, 5)).toMatchObject({ value: undefined });
  });

  it('tells the update all that it may depend on', async () => {
    let told: UpdateContext | undefined;
    await run({ apply: (n, _data, context) => ((told = context), n) });
    expect(told).toMatchObject({ ...facts, now: 1_700_000_000_000 });
    expect(told?.signal.aborted).toBe(false);
  });

  it('gives chance from a generator that repeats itself for the same job', async () => {
    const draws: number[] = [];
    const drawing: Parts = {
      apply: (n, _data, context) => {
        draws.push(context.random(), context.random());
        return n;
      },
    };
    await run(drawing);
    await run(drawing);
    expect(draws.slice(0, 2)).toEqual(draws.slice(2));
    expect(draws[0]).not.toBe(draws[1]);
  });

  it.each([
    [() => undefined, 'UPDATE_RETURNED_NOTHING'],
    [async () => undefined, 'UPDATE_RETURNED_NOTHING'],
    [() => new Date(), 'UPDATE_NOT_JSON'],
    [async () => Number.NaN, 'UPDATE_NOT_JSON'],
    [() => new Promise(() => {}), 'UPDATE_TIMED_OUT'],
  ])('fails with a code if what it returns is no value', async (apply, code) => {
    await expect(run({ apply, timeoutMs: 20 })).rejects.toMatchObject({ code });
  });

  it('refuses a result that is no JSON', async () => {
    const parts = { apply: (n: number) => n, result: () => new Map() };
    await expect(run(parts)).rejects.toMatchObject({ code: 'UPDATE_NOT_JSON' });
  });

  it('aborts the signal when the lease is lost, and when its time is up', async () => {
    const lease = new AbortController();
    const reasons: unknown[] = [];
    const listening: Parts = {
      timeoutMs: 30,
      apply: (_n, _data, { signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            reasons.push(signal.reason);
            reject(signal.reason as Error);
          });
        }),
    };
    const losing = run(listening, 1, lease.signal);
    lease.abort(new Error('the lease is lost'));
    await expect(losing).rejects.toThrow('the lease is lost');
    await expect(run(listening, 1)).rejects.toMatchObject({ code: 'UPDATE_TIMED_OUT' });
    expect(reasons).toHaveLength(2);
  });

  it('leaves nothing at the signal of a lease that outlives it', async () => {
    const { signal } = new AbortController();
    for (let i = 0; i < 5; i++) await run({ apply: async (n) => n }, 1, signal);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('what was thrown', () => {
  it('stays as it is if it is an Error, and becomes one if not', () => {
    const error = new RangeError('no');
    expect(errorOf(error, 'u')).toBe(error);
    expect(errorOf('words', 'u')).toMatchObject({ code: 'UPDATE_THREW', cause: 'words' });
    expect(errorOf(null, 'u').message).toContain('threw null');
    expect(errorOf(Object.create(null), 'u')).toMatchObject({ code: 'UPDATE_THREW' });
    expect(errorOf(Symbol('s'), 'u')).toMatchObject({ code: 'UPDATE_THREW' });
    const odd = Object.assign(new Error(), { message: { toString: null } });
    expect(errorOf(odd, 'u')).toMatchObject({ code: 'UPDATE_THREW', cause: odd });
  });
});
