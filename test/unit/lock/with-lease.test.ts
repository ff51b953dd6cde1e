import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UncommittedError } from '../../../src/lock/strict/lease-session.ts';
import type { HeldKey } from '../../../src/lock/strict/held-keys.ts';
import { gate } from '../../support/gate.ts';
import { LEASE_MS, LockWorld } from '../../support/lock-world.ts';

let world: LockWorld;

beforeEach(() => {
  world = new LockWorld();
});
afterEach(() => world.close());

/** In turn. */
function pick<T>(things: readonly T[], n: number): T {
  return things[n % things.length] as T;
}

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => error,
  );
}

const increment = (held: HeldKey<number>): number => {
  const next = (held.value ?? 0) + 1;
  held.write(next);
  return next;
};

describe('a function under a lease', () => {
  it('sees the value, changes it, and hands its result back', async () => {
    const { strict } = world.process();
    expect(await strict.withLease('k', increment)).toBe(1);
    expect(await strict.withLease('k', increment)).toBe(2);
    expect(world.valueOf('k')).toBe(2);
    expect(world.store.names()).toEqual(['k']);
  });

  it('gets a token that grows with each acquisition', async () => {
    const [first, second] = [world.process(), world.process()];
    const tokens: number[] = [];
    for (const { strict } of [first, second, first, second]) {
      tokens.push(await strict.withLease('k', ({ token }) => token));
    }
    expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
    expect(new Set(tokens).size).toBe(4);
  });

  it('leaves nothing behind if it writes nothing', async () => {
    await world.process().strict.withLease('k', ({ value }) => expect(value).toBeUndefined());
    expect(world.store.names()).toEqual([]);
  });

  it('writes nothing if it throws, and its error comes through', async () => {
    const { strict } = world.process();
    await strict.withLease('k', increment);
    const failure = failureOf(
      strict.withLease('k', (held: HeldKey<number>) => {
        held.write(99);
        throw new Error('changed my mind');
      }),
    );
    expect(await failure).toMatchObject({ message: 'changed my mind' });
    expect(world.valueOf('k')).toBe(1);
    expect(world.store.names()).toEqual(['k']);
  });

  it('keeps its lease for as long as it runs', async () => {
    const { opened, open } = gate();
    const running = world.process().strict.withLease('k', async (held: HeldKey<number>) => {
      await opened;
      held.write(1);
    });
    await world.clock.advance(20 * LEASE_MS);
    open();
    await running;
    expect(world.valueOf('k')).toBe(1);
  });

  it('cannot write any more once it has returned', async () => {
    let late: HeldKey<number> | undefined;
    await world.process().strict.withLease('k', (held: HeldKey<number>) => {
      late = held;
    });
    expect(() => late?.write(1)).toThrow(expect.objectContaining({ code: 'LEASE_LOST' }));
  });

  it('excludes those of other processes and of its own', async () => {
    const processes = [world.process(), world.process(), world.process()];
    let inside = 0;
    const runs = Array.from({ length: 30 }, (_, n) =>
      pick(processes, n).strict.withLease('k', async (held: HeldKey<number>) => {
        expect(++inside).toBe(1);
        await new Promise<void>((resolve) => void world.clock.after(3, resolve));
        inside--;
        increment(held);
      }),
    );
    await world.clock.until(Promise.all(runs));
    expect(world.valueOf('k')).toBe(30);
  });

  it('comes to its turn in the order of asking within a process', async () => {
    const { strict } = world.process();
    const order: number[] = [];
    const runs = [0, 1, 2, 3, 4].map((n) => strict.withLease('k', () => void order.push(n)));
    await Promise.all(runs);
    expect(order).toEqual([0, 1, 2, 3, 4]);
  });
});

describe('waiting for a lease', () => {
  it('ends after waitMs', async () => {
    const { opened, open } = gate();
    const holding = world.process().strict.withLease('k', () => opened);
    await world.clock.advance(10);
    const start = world.clock.monotonicMs();
    const failure = failureOf(world.process().strict.withLease('k', increment, { waitMs: 500 }));
    expect(await world.clock.until(failure)).toMatchObject({ code: 'LEASE_TIMED_OUT' });
    expect(world.clock.monotonicMs() - start).toBe(500);
    open();
    await holding;
  });

  it('ends after waitMs behind others of the same process, too', async () => {
    const { strict } = world.process();
    const { opened, open } = gate();
    const holding = strict.withLease('k', () => opened);
    const failure = failureOf(strict.withLease('k', increment, { waitMs: 500 }));
    expect(await world.clock.until(failure)).toMatchObject({ code: 'LEASE_TIMED_OUT' });
    const third = strict.withLease('k', increment);
    open();
    await holding;
    expect(await third).toBe(1);
  });

  it('ends after waitMs on a server that does not answer, and gives back what comes after all', async () => {
    const process = world.process({ requestDeadlineMs: 5000, leaseMs: 60_000 });
    await process.server.connection();
    world.store.stop();
    const failure = failureOf(process.strict.withLease('k', increment, { waitMs: 500 }));
    expect(await world.clock.until(failure)).toMatchObject({ code: 'LEASE_TIMED_OUT' });
    world.store.resume();
    await world.clock.settle();
    expect(world.store.names()).toEqual([]);
  });

  it('says in the end why memcached could not be asked', async () => {
    const process = world.process();
    process.server.down(true);
    const failure = failureOf(process.strict.withLease('k', increment, { waitMs: 5000 }));
    expect(await world.clock.until(failure)).toMatchObject({
      code: 'LEASE_TIMED_OUT',
      cause: { code: 'MEMCACHED_UNREACHABLE' },
    });
  });

  it('outlasts a server that comes back in time', async () => {
    const process = world.process();
    process.server.down(true);
    const running = process.strict.withLease('k', increment);
    await world.clock.advance(5000);
    process.server.down(false);
    expect(await world.clock.until(running)).toBe(1);
  });

  it("ends with the caller's signal, and throws its reason", async () => {
    const { opened, open } = gate();
    const holding = world.process().strict.withLease('k', () => opened);
    await world.clock.advance(10);
    const controller = new AbortController();
    const { signal } = controller;
    const failure = failureOf(world.process().strict.withLease('k', increment, { signal }));
    await world.clock.advance(100);
    controller.abort(new Error('enough'));
    expect(await world.clock.until(failure)).toMatchObject({ message: 'enough' });
    open();
    await holding;
  });

  it('leaves nothing at a signal that outlives it', async () => {
    const { signal } = new AbortController();
    const { strict } = world.process();
    await Promise.all([1, 2].map(() => strict.withLease('k', increment, { signal })));
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('does not begin under a signal that has aborted', async () => {
    const signal = AbortSignal.abort(new Error('never'));
    const failure = failureOf(world.process().strict.withLease('k', increment, { signal }));
    expect(await failure).toMatchObject({ message: 'never' });
    expect(world.store.names()).toEqual([]);
  });

  it('gives the lease away if no token comes for as long as it lasts, and uses none that is late', async () => {
    const [first, second] = [world.process(), world.process()];
    const draw = world.tokens.drawToken.bind(world.tokens);
    const { opened, open } = gate();
    let draws = 0;
    world.tokens.drawToken = () => (draws++ === 0 ? opened.then(draw) : draw());
    const waiting = first.strict.withLease('k', ({ token }) => token);
    await world.clock.advance(10);
    const holding = second.strict.withLease('k', ({ token }) => token);
    await world.clock.advance(LEASE_MS);
    const second1 = await world.clock.until(holding);
    const own = await world.clock.until(waiting);
    open();
    expect(draws).toBe(3);
    expect(own).not.toBe(second1);
    expect((await draw()).token).toBeGreaterThan(Math.max(own, second1));
  });

  it('ends after waitMs while a cell cannot be closed to older holders', async () => {
    const process = world.process({ requestDeadlineMs: 5000, leaseMs: 60_000 });
    const draw = world.tokens.drawToken.bind(world.tokens);
    world.tokens.drawToken = () => {
      world.store.stop();
      return draw();
    };
    const start = world.clock.monotonicMs();
    const failure = failureOf(process.strict.withLease('k', increment, { waitMs: 500 }));
    expect(await world.clock.until(failure)).toMatchObject({ code: 'LEASE_TIMED_OUT' });
    expect(world.clock.monotonicMs() - start).toBe(500);
  });

  it('ends when the locks are closed', async () => {
    const process = world.process();
    world.tokens.drawToken = () => new Promise(() => {});
    const failure = failureOf(process.strict.withLease('k', increment));
    const behind = failureOf(process.strict.withLease('k', increment));
    await world.clock.advance(10);
    await world.clock.until(process.strict.close());
    expect(await failure).toMatchObject({ code: 'CLOSED' });
    expect(await behind).toMatchObject({ code: 'CLOSED' });
    expect(world.store.names()).toEqual([]);
  });

  it('gives the lease back if no token can be had', async () => {
    world.tokens.drawToken = () => Promise.reject(new Error('no Redis'));
    const failure = failureOf(world.process().strict.withLease('k', increment));
    expect(await failure).toMatchObject({ message: 'no Redis' });
    await world.clock.settle();
    expect(world.store.names()).toEqual([]);
  });

  it.each([
    ['', {}, 'INVALID_KEY'],
    [[], {}, 'INVALID_OPTIONS'],
    ['k', { leaseMs: 5 }, 'INVALID_OPTIONS'],
    ['k', { waitMs: -1 }, 'INVALID_OPTIONS'],
    ['k', { waitMs: Number.NaN }, 'INVALID_OPTIONS'],
    ['k', { waitMS: 5 }, 'INVALID_OPTIONS'],
  ])('refuses %j with %j', async (key, options, code) => {
    const { strict } = world.process();
    const failure = failureOf(strict.withLease(key as string, () => {}, options as object));
    expect(await failure).toMatchObject({ code });
  });

  it('refuses options in the place of the function, and waits for nothing', async () => {
    const { strict } = world.process();
    const wrongly = strict.withLease as unknown as (...all: unknown[]) => Promise<unknown>;
    const failure = failureOf(wrongly.call(strict, 'k', { waitMs: 5 }, () => {}));
    expect(await failure).toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringContaining('a key, a function'),
    });
  });

  it('refuses a value that is not a cell, and lets it be', async () => {
    world.store.put('k', Buffer.from('mine'));
    const failure = failureOf(world.process().strict.withLease('k', increment));
    expect(await failure).toMatchObject({ code: 'FOREIGN_VALUE' });
    await world.clock.settle();
    expect(world.store.names()).toEqual(['k']);
    expect(world.store.peek('k')?.value.toString()).toBe('mine');
  });
});

describe('losing the lease while the function runs', () => {
  it('aborts its signal and rejects at once, even if the function never ends', async () => {
    const process = world.process();
    let signal: AbortSignal | undefined;
    const running = process.strict.withLease('k', (held) => {
      signal = held.signal;
      return new Promise<never>(() => {});
    });
    const failure = failureOf(running);
    await world.clock.advance(1);
    process.server.cut();
    const error = await failure;
    expect(error).toBeInstanceOf(UncommittedError);
    expect(error).toMatchObject({ code: 'LEASE_LOST', cause: { code: 'LEASE_LOST' } });
    expect((error as UncommittedError).writes.size).toBe(0);
    expect(signal?.reason).toMatchObject({ code: 'LEASE_LOST' });
  });

  it('writes nothing', async () => {
    const process = world.process();
    const { opened, open } = gate();
    const running = process.strict.withLease('k', async (held: HeldKey<number>) => {
      await opened;
      held.write(1);
    });
    const failure = failureOf(running);
    await world.clock.advance(1);
    world.store.evict('toril:lock:k');
    await world.clock.advance(LEASE_MS);
    open();
    expect(await failure).toMatchObject({ code: 'LEASE_LOST' });
    await world.clock.settle();
    expect(world.valueOf('k')).toBeUndefined();
  });

  it('is noticed before writing, even if no timer has run since', async () => {
    const process = world.process();
    const failure = failureOf(
      process.strict.withLease('k', (held: HeldKey<number>) => {
        held.write(1);
        world.clock.leap(LEASE_MS);
      }),
    );
    expect(await failure).toMatchObject({ code: 'LEASE_LOST' });
    await world.clock.settle();
    expect(world.valueOf('k')).toBeUndefined();
  });

  it('happens when the locks are closed', async () => {
    const process = world.process();
    const running = process.strict.withLease('k', () => new Promise<never>(() => {}));
    const failure = failureOf(running);
    await world.clock.advance(1);
    await process.strict.close();
    expect(await failure).toMatchObject({ code: 'LEASE_LOST' });
    expect(await failureOf(process.strict.withLease('k', increment))).toMatchObject({
      code: 'CLOSED',
    });
  });
});

describe('writing at the end', () => {
  it('says that it is unknown whether the write landed', async () => {
    const process = world.process({ oneWayMs: () => 10 });
    const running = process.strict.withLease('k', increment);
    const failure = failureOf(running);
    await process.server.connection();
    // acquire, close the cell, then the write is on its way
    await world.clock.advance(20 + 20 + 5);
    process.server.cut({ lands: 0 });
    const error = (await world.clock.until(failure)) as UncommittedError;
    expect(error).toMatchObject({ code: 'LEASE_LOST', cause: { code: 'MEMCACHED_CLOSED' } });
    expect([...error.writes]).toEqual([['k', 'unknown']]);
  });

  it('is refused if the cell was lost meanwhile', async () => {
    const failure = failureOf(
      world.process().strict.withLease('k', (held: HeldKey<number>) => {
        held.write(1);
        world.store.evict('k');
      }),
    );
    const error = (await failure) as UncommittedError;
    expect(error.code).toBe('LEASE_LOST');
    expect([...error.writes]).toEqual([['k', 'refused']]);
  });

  it('says so if the value is too large', async () => {
    const failure = failureOf(
      world.process().strict.withLease('k', (held) => held.write('x'.repeat(2_000_000))),
    );
    const error = (await failure) as UncommittedError;
    expect(error.code).toBe('VALUE_TOO_LARGE');
    expect([...error.writes]).toEqual([['k', 'refused']]);
    await world.clock.settle();
    expect(world.store.names()).toEqual(['k']); // its placeholder
  });

  it('goes out in one packet with the release', async () => {
    const process = world.process({ oneWayMs: () => 10 });
    await process.server.connection();
    const running = process.strict.withLease('k', increment);
    await world.clock.advance(45);
    expect(process.server.unexecuted).toBe(2);
    await world.clock.until(running);
  });
});

describe('several keys', () => {
  it('are read, held and written together, each once', async () => {
    const { strict } = world.process();
    await strict.withLease('b', increment);
    const keys = await strict.withLease(['b', 'a', 'b'], (held) => {
      held.write('a', 10);
      held.write('b', (held.read('b') as number) + 10);
      return held.keys;
    });
    expect(keys).toEqual(['a', 'b']);
    expect([world.valueOf('a'), world.valueOf('b')]).toEqual([10, 11]);
    expect(world.store.names().toSorted()).toEqual(['a', 'b']);
  });

  it('do not wait for each other, in whatever order they are asked for', async () => {
    const processes = [world.process(), world.process()];
    const orders = [
      ['a', 'b', 'c'],
      ['c', 'b', 'a'],
      ['b', 'c'],
      ['c', 'a'],
    ];
    const runs = Array.from({ length: 40 }, (_, n) =>
      pick(processes, n).strict.withLease(pick(orders, n), async (held) => {
        await new Promise<void>((resolve) => void world.clock.after(2, resolve));
        for (const key of held.keys) held.write(key, ((held.read(key) as number) ?? 0) + 1);
      }),
    );
    await world.clock.until(Promise.all(runs), 30_000);
    expect(['a', 'b', 'c'].map((key) => world.valueOf(key))).toEqual([30, 30, 40]);
  });

  it('refuse a key that is not among them', async () => {
    const { strict } = world.process();
    const failure = failureOf(strict.withLease(['a', 'b'], (held) => held.write('c', 1)));
    expect(await failure).toMatchObject({ code: 'INVALID_KEY' });
  });

  it('are all lost with one of them, and none is written', async () => {
    const process = world.process();
    const { opened, open } = gate();
    const running = process.strict.withLease(['a', 'b'], async (held) => {
      await opened;
      held.write('a', 1);
      held.write('b', 1);
    });
    const failure = failureOf(running);
    await world.clock.advance(1);
    world.store.evict('toril:lock:b');
    await world.clock.advance(LEASE_MS);
    expect(await failure).toMatchObject({ code: 'LEASE_LOST' });
    open();
    await world.clock.settle();
    expect([world.valueOf('a'), world.valueOf('b')]).toEqual([undefined, undefined]);
    await world.process().strict.withLease(['a', 'b'], () => {});
  });

  it('are given back if one of them cannot be had', async () => {
    const { opened, open } = gate();
    const holding = world.process().strict.withLease('b', () => opened);
    await world.clock.advance(10);
    const failure = failureOf(
      world.process().strict.withLease(['a', 'b'], () => {}, { waitMs: 500 }),
    );
    expect(await world.clock.until(failure)).toMatchObject({ code: 'LEASE_TIMED_OUT' });
    await world.clock.settle();
    expect(world.store.peek('toril:lock:a')).toBeUndefined();
    open();
    await holding;
  });

  it('are acquired anew if one was lost while another was waited for', async () => {
    const { opened, open } = gate();
    const holding = world.process().strict.withLease('b', () => opened);
    await world.clock.advance(10);
    let runs = 0;
    const both = world.process().strict.withLease(['a', 'b'], () => ++runs);
    await world.clock.advance(10);
    world.store.evict('toril:lock:a');
    await world.clock.advance(LEASE_MS);
    open();
    await holding;
    const start = world.clock.monotonicMs();
    expect(await world.clock.until(both)).toBe(1);
    expect(world.clock.monotonicMs() - start).toBeLessThan(200);
  });

  it('get one token, higher than that of any holder of any of them before', async () => {
    const { strict } = world.process();
    const a = await strict.withLease('a', ({ token }) => token);
    const b = await strict.withLease('b', ({ token }) => token);
    const both = await strict.withLease(['a', 'b'], ({ token }) => token);
    expect(both).toBeGreaterThan(Math.max(a, b));
  });
});
