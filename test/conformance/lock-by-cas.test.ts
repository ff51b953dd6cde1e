/** Locks without a value, on real servers that know them; beside processes that write the other form. */
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { MemcachedLeaseLocks } from '../../src/lock/lease-locks.ts';
import type { Acquisition, Lease } from '../../src/lock/lock.ts';
import type { MemcachedSettings } from '../../src/memcached/options.ts';
import type { Cas, Outcome } from '../../src/memcached/server.ts';
import type { SocketServer } from '../../src/memcached/socket/socket-server.ts';
import { describeBuilds, knowsE, type MemcachedBuild } from '../support/memcached-builds.ts';
import { clientOf, eventually, newItem, textOf } from '../support/memcached.ts';
import { said } from '../support/raw-memcached.ts';
import { startMemcached } from '../support/servers.ts';

type Settings = Omit<MemcachedSettings, 'servers'>;

const BY_CAS: Settings = { protocol: 'meta', locks: 'cas' };
/** Long enough for a machine that has other work to do. */
const LEASE_MS = 1500;
const DEAD_LEASE_MS = 150;
const DEAD = (1n << 63n) | (5n << 24n) | BigInt(DEAD_LEASE_MS);

const toClose: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of toClose.splice(0).toReversed()) await close();
});

async function memcached({ binary }: MemcachedBuild, ...flags: string[]): Promise<string> {
  const server = await startMemcached({ binary, flags });
  toClose.push(() => server.stop());
  return server.address;
}

function client(address: string, settings: Settings): SocketServer {
  const server = clientOf(address, settings);
  toClose.push(() => server.close());
  return server;
}

/** A process of its own, which tries to lock `L`. */
function contender(address: string, settings: Settings): () => Promise<Acquisition> {
  const options = { clock: systemClock, random: systemRandom, leaseMs: LEASE_MS };
  const locks = new MemcachedLeaseLocks(options);
  toClose.push(() => locks.close());
  const server = client(address, settings);
  return () => locks.attempt(server, 'L', () => {});
}

async function held(attempt: () => Promise<Acquisition>): Promise<Lease> {
  let last: Acquisition | undefined;
  await eventually('it is held', async () => {
    last = await attempt();
    return last.kind === 'held';
  });
  if (last?.kind !== 'held') throw new Error('not held');
  return last.lease;
}

describeBuilds('locks by CAS, memcached', (build) => {
  if (!knowsE(build)) {
    test('are written with a value where the server does not know them', async () => {
      const address = await memcached(build);
      const lease = await held(contender(address, BY_CAS));
      expect(await said(address, 'mg L s f\r\n')).toMatch(/^HD s2\d f1414266881/);
      await lease.release();
    });
    return;
  }

  describe('that of a process that died', () => {
    test.each<Settings>([{ protocol: 'meta' }, BY_CAS, { protocol: 'binary' }])(
      'is respected, watched and taken over: %j',
      async (settings) => {
        const address = await memcached(build);
        expect(await said(address, `mg L N30 E${DEAD} c\r\n`)).toBe(`HD c${DEAD} W\r\n`);
        const attempt = contender(address, settings);
        const seenMs = performance.now();
        expect((await attempt()).kind).toBe('busy');
        const lease = await held(attempt);
        expect(performance.now() - seenMs).toBeGreaterThan(DEAD_LEASE_MS);
        expect(lease.takenOver).toBe(true);
        expect(await lease.confirm()).toBe(true);
        await lease.release();
        expect(await said(address, 'mg L\r\n')).toBe('EN\r\n');
      },
    );
  });

  test('is renewed and released; nobody gets it meanwhile', async () => {
    const address = await memcached(build);
    const lease = await held(contender(address, BY_CAS));
    expect(await said(address, 'mg L s f\r\n')).toMatch(/^HD s0 f0/);
    const others = [{ protocol: 'binary' } as const, BY_CAS].map((of) => contender(address, of));
    const seen = new Set<string | undefined>();
    await eventually('it is renewed twice', async () => {
      for (const attempt of others) expect((await attempt()).kind).toBe('busy');
      seen.add((await said(address, 'mg L c\r\n')).split(' ')[1]);
      return seen.size > 2;
    });
    expect(await lease.confirm()).toBe(true);
    await lease.release();
    expect(await said(address, 'mg L\r\n')).toBe('EN\r\n');
  });

  test('is renewed and taken over without memory', async () => {
    const address = await memcached(build, '-M', '-m', '4');
    expect(await said(address, `mg L N30 E${DEAD} c\r\n`)).toBe(`HD c${DEAD} W\r\n`);
    await fillWithSmallItems(client(address, { protocol: 'meta' }));
    const dead = `mg another N30 E${DEAD} c\r\n`;
    expect(await said(address, dead)).toBe('EN\r\n');
    const lease = await held(contender(address, BY_CAS));
    const first = await said(address, 'mg L c\r\n');
    await eventually('it is renewed', async () => (await said(address, 'mg L c\r\n')) !== first);
    expect(await lease.confirm()).toBe(true);
  });

  // Why it is not written by default: leases are to be safe there (docs/deployment.md).
  test('is not among the items that are kept for their short life', async () => {
    const address = await memcached(build, '-o', 'temporary_ttl=61');
    const kept = async (): Promise<RegExpMatchArray | null> =>
      (await said(address, 'stats items\r\n')).match(/number_temp \d+/g);
    await said(address, `mg L N30 E${DEAD} c\r\n`);
    expect(await kept()).toEqual(['number_temp 0']);
    await said(address, 'add M 0 30 0\r\n\r\n');
    expect(await kept()).toEqual(['number_temp 1']);
  });
});

/** Of the size of such a lock, until there is no room for one more. */
async function fillWithSmallItems(server: SocketServer): Promise<void> {
  const connection = await server.connection();
  const item = newItem('');
  let last: Outcome<Cas> = { kind: 'done', value: 1n };
  for (let count = 0; last.kind === 'done'; count += 1000) {
    const names = Array.from({ length: 1000 }, (_, index) => `${count + index}`);
    const added = await Promise.all(names.map((name) => connection.add(name, item)));
    last = added.at(-1) as Outcome<Cas>;
  }
  expect(textOf(last)).toBe('refused: out-of-memory');
}
