/** Acquiring with the CAS of the own last commit: one round trip less, and when it must not be. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OWN_COMMITS_MAX, OwnCommits } from '../../../src/lock/own-commits.ts';
import type { HeldKey, HeldKeys } from '../../../src/lock/strict/held-keys.ts';
import type { Connection } from '../../../src/memcached/server.ts';
import { gate } from '../../support/gate.ts';
import { wrapped } from '../../support/lock-twins.ts';
import { LEASE_MS, type LockProcess, LockWorld } from '../../support/lock-world.ts';

const ONE_WAY_MS = 10;
const ROUND_TRIP_MS = 2 * ONE_WAY_MS;

let world: LockWorld;
let asked: string[];

beforeEach(() => {
  world = new LockWorld();
  asked = [];
});
afterEach(() => world.close());

/** Notes the names of its requests. */
async function distant(): Promise<LockProcess> {
  const process = world.process({
    oneWayMs: () => ONE_WAY_MS,
    wrap: (server) =>
      wrapped(server, (connection) => {
        const noted =
          <Args extends [string, ...unknown[]], R>(what: string, ask: (...args: Args) => R) =>
          (...args: Args): R => {
            asked.push(`${what} ${args[0]}`);
            return ask(...args);
          };
        return {
          get: noted('get', (name) => connection.get(name)),
          add: noted('add', (name, item) => connection.add(name, item)),
          replace: noted('replace', (name, item, cas) => connection.replace(name, item, cas)),
          delete: noted('delete', (name, cas) => connection.delete(name, cas)),
          bump: noted('bump', (name, cas) => connection.bump(name, cas)),
        };
      }),
  });
  await process.server.connection();
  return process;
}

/** Milliseconds until the function begins, and its token. */
async function begin(
  { strict }: LockProcess,
  write = true,
): Promise<{ waitedMs: number; token: number }> {
  const startMs = world.clock.monotonicMs();
  asked = [];
  return world.clock.until(
    strict.withLease('k', (held: HeldKey<number>) => {
      if (write) held.write((held.value ?? 0) + 1);
      return { waitedMs: world.clock.monotonicMs() - startMs, token: held.token };
    }),
  );
}

const LOCK = 'toril:lock:k';
const IN_ONE_TRIP = ['get k', `add ${LOCK}`, 'bump k', 'replace k', `delete ${LOCK}`];
const IN_TWO_TRIPS = [
  'get k',
  `add ${LOCK}`,
  'bump k',
  `get ${LOCK}`,
  'replace k',
  `delete ${LOCK}`,
];

describe('whoever was the last to commit', () => {
  it('begins after one round trip to memcached, not two', async () => {
    const process = await distant();
    expect((await begin(process)).waitedMs).toBe(2 * ROUND_TRIP_MS);
    for (let n = 0; n < 3; n++) {
      expect((await begin(process)).waitedMs).toBe(ROUND_TRIP_MS);
      expect(asked).toEqual(IN_ONE_TRIP);
    }
    expect(world.valueOf('k')).toBe(4);
  });

  it('does so for several keys, if it was the last for all of them', async () => {
    const { strict } = await distant();
    const swap = async (): Promise<number> => {
      const startMs = world.clock.monotonicMs();
      const work = ({ write }: HeldKeys<number>): number => {
        write('a', 1);
        write('b', 2);
        return world.clock.monotonicMs() - startMs;
      };
      return world.clock.until(strict.withLease(['a', 'b'], work));
    };
    expect(await swap()).toBe(3 * ROUND_TRIP_MS);
    expect(await swap()).toBe(2 * ROUND_TRIP_MS);
    await world.clock.until(world.process().strict.withLease('b', ({ write }) => write(3)));
    expect(await swap()).toBe(3 * ROUND_TRIP_MS);
  });

  it('closes the cell to all who have read it', async () => {
    const process = await distant();
    await begin(process);
    const before = world.store.peek('k')?.cas;
    const { opened, open } = gate();
    const holding = process.strict.withLease('k', () => opened);
    await world.clock.advance(ROUND_TRIP_MS);
    expect(world.store.peek('k')?.cas).not.toBe(before);
    open();
    await world.clock.until(holding);
  });
});

describe('whoever was not', () => {
  it('closes the cell first, and draws its token when it has the lease', async () => {
    const [first, second] = [await distant(), await distant()];
    await begin(first);
    const between = await begin(second);
    const again = await begin(first);
    expect(asked).toEqual(IN_TWO_TRIPS.toSpliced(2, 0, 'bump k'));
    expect(again.token).toBeGreaterThan(between.token);
    expect(world.valueOf('k')).toBe(3);
  });

  it('has a higher token than those who came while its own early one was drawn', async () => {
    const [first, second] = [await distant(), await distant()];
    await begin(first);
    const draw = world.tokens.drawToken.bind(world.tokens);
    const { opened, open } = gate();
    let draws = 0;
    world.tokens.drawToken = async () => {
      const drawn = await draw();
      if (++draws === 1) await opened;
      return drawn;
    };
    const slow = begin(first);
    await world.clock.advance(1);
    const between = await begin(second);
    open();
    expect((await slow).token).toBeGreaterThan(between.token);
    expect(world.valueOf('k')).toBe(3);
  });

  it('does not try again before it has found the cell as it left it', async () => {
    const [first, second] = [await distant(), await distant()];
    const disturbed = [...IN_TWO_TRIPS.toSpliced(2, 0, 'bump k')];
    await begin(first);
    await begin(second);
    await begin(first);
    expect(asked).toEqual(disturbed);
    await begin(first);
    expect(asked).toEqual(IN_TWO_TRIPS);
    await begin(first);
    expect(asked).toEqual(IN_ONE_TRIP);
  });
});

describe('whoever stands still between the two answers', () => {
  it('does not begin once its lease may be over', async () => {
    let late = false;
    const slow = world.process({
      wrap: (server) =>
        wrapped(server, (connection) => ({
          async bump(name, cas) {
            const outcome = await connection.bump(name, cas);
            if (late) {
              slow.clock.freeze();
              await new Promise<void>((resolve) => void world.clock.after(3 * LEASE_MS, resolve));
              slow.clock.thaw();
            }
            return outcome;
          },
        })),
    });
    const order: string[] = [];
    const work = (who: string) => async (): Promise<void> => {
      order.push(`${who} begins`);
      await new Promise<void>((resolve) => void world.clock.after(5 * LEASE_MS, resolve));
      order.push(`${who} ends`);
    };
    await begin(slow);
    late = true;
    const standing = slow.strict.withLease('k', work('slow'));
    await world.clock.advance(1);
    late = false;
    const other = world.process().strict.withLease('k', work('other'));
    await world.clock.until(Promise.all([standing, other]), 20 * LEASE_MS);
    expect(order).toEqual(['other begins', 'other ends', 'slow begins', 'slow ends']);
  });
});

describe('a commit is forgotten', () => {
  it('with its connection', async () => {
    const process = await distant();
    await begin(process);
    process.server.cut({});
    await begin(process);
    expect(asked).toEqual(IN_TWO_TRIPS);
  });

  it('with a server that has begun to count anew', async () => {
    const process = await distant();
    await begin(process);
    const cas = world.store.peek('k')?.cas;
    world.store.restart();
    await world.clock.until(process.server.connection());
    const other = world.process();
    while ((world.store.peek('k')?.cas ?? 0n) < (cas ?? 0n)) {
      await world.clock.until(other.strict.withLease('k', ({ write }) => write(7)));
    }
    await begin(process);
    expect(asked).toEqual(IN_TWO_TRIPS);
    expect(world.valueOf('k')).toBe(8);
  });

  it('if nobody knows whether it was done', async () => {
    const process = await distant();
    const run = begin(process).catch((error: { code: string }) => error.code);
    await world.clock.advance(2 * ROUND_TRIP_MS + ONE_WAY_MS / 2);
    process.server.cut({ lands: 2 });
    expect(await world.clock.until(run)).toBe('LEASE_LOST');
    await begin(process);
    expect(asked).toEqual(IN_TWO_TRIPS);
    expect(world.valueOf('k')).toBe(2);
  });

  it('if there are too many others', () => {
    const commits = new OwnCommits();
    const connection = {} as Connection;
    for (let n = 0; n <= OWN_COMMITS_MAX; n++) commits.note(`cell ${n}`, connection, 1n);
    expect(commits.size).toBe(OWN_COMMITS_MAX);
    expect(commits.has('cell 0', connection)).toBe(false);
    expect(commits.has('cell 1', connection)).toBe(true);
  });

  it('once it was tried', () => {
    const commits = new OwnCommits();
    const connection = {} as Connection;
    commits.note('cell', connection, 1n);
    expect(commits.take('cell', {} as Connection)).toBeUndefined();
    expect(commits.take('cell', connection)).toBe(1n);
    expect(commits.take('cell', connection)).toBeUndefined();
  });
});
