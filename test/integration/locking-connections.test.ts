/** Every form in which a Redis may be named for openLocks(), and what becomes of a lock without it. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { createIORedisClient } from 'bullmq';
import { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type Locks, openCells, openLocks, type OpenLocksOptions } from '../../src/index.ts';
import { gate } from '../support/gate.ts';
import { eventually } from '../support/memcached.ts';
import { listen } from '../support/scripted-memcached.ts';
import {
  memcachedAddresses,
  type PrivateServer,
  startMemcached,
  startRedis,
} from '../support/servers.ts';

type Connection = OpenLocksOptions['connection'];

const WAIT_MS = 600;
const SOME_MS = 900;
const socketPath = join(tmpdir(), `toril-test-${process.pid}.sock`);
let redis: PrivateServer;
let look: Redis;
let names = 0;

beforeAll(async () => {
  redis = await startRedis({ flags: ['--unixsocket', socketPath] });
  look = new Redis(redis.port, redis.host);
});
afterAll(async () => {
  await look.quit();
  await redis.stop();
});

function open(connection: Connection, more: Partial<OpenLocksOptions> = {}): Locks {
  const memcached = { servers: memcachedAddresses(), requestDeadlineMs: 300 };
  const locks = openLocks({ memcached, connection, waitMs: WAIT_MS, ...more });
  onTestFinished(() => locks.close());
  return locks;
}

const someKey = (): string => `locking-connections-${process.pid}-${Date.now()}-${names++}`;
const draw = (locks: Locks): Promise<number> => locks.withLease(someKey(), ({ token }) => token);

async function tookMs(promise: Promise<unknown>): Promise<[error: unknown, ms: number]> {
  const startedMs = performance.now();
  const error = await promise.then(
    () => 'nothing thrown',
    (thrown: unknown) => thrown,
  );
  return [error, performance.now() - startedMs];
}

/** Of this or of another copy of ioredis. */
function anotherIoredis(): typeof Redis {
  const require = createRequire(import.meta.url);
  const path = require.resolve('ioredis');
  const files = Object.keys(require.cache).filter((file) => file.includes('/ioredis/'));
  const kept = files.map((file) => [file, require.cache[file]] as const);
  for (const file of files) delete require.cache[file];
  try {
    return (require(path) as { Redis: typeof Redis }).Redis;
  } finally {
    for (const [file, module] of kept) require.cache[file] = module;
  }
}

describe('locks draw their tokens from the Redis that is named', () => {
  it.each<[string, () => object]>([
    ['a url', () => ({ url: `redis://127.0.0.1:${redis.port}` })],
    ['a url without its scheme', () => ({ url: `127.0.0.1:${redis.port}` })],
    ['host and port', () => ({ host: '127.0.0.1', port: redis.port })],
    ['host and a port of letters', () => ({ host: '127.0.0.1', port: String(redis.port) })],
    ['a port alone', () => ({ port: redis.port })],
    ['a socket', () => ({ path: socketPath })],
    ['the url of a socket', () => ({ url: socketPath })],
    ['a client that was not connected', () => client(Redis, { lazyConnect: true })],
    ['a client of ioredis', () => client(Redis)],
    ['a client of another copy of ioredis', () => client(anotherIoredis())],
    ["BullMQ's wrapped client", () => createIORedisClient(client(Redis))],
  ])('by %s', async (_, connection) => {
    const before = Number(await look.dbsize());
    expect(await draw(open(connection(), { name: someKey() }))).toBeGreaterThan(0);
    expect(Number(await look.dbsize())).toBeGreaterThan(before);
  });

  it('by the number of a database', async () => {
    await draw(open({ url: `redis://127.0.0.1:${redis.port}/5` }));
    await draw(open({ host: '127.0.0.1', port: redis.port, db: 6 }));
    const info = await look.info('keyspace');
    expect(info).toContain('db5:');
    expect(info).toContain('db6:');
  });

  it('by a Cluster', async () => {
    const node = await startRedis({
      flags: ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1'],
    });
    const one = new Redis(node.port, node.host);
    await one.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    await eventually('the cluster is well', async () =>
      String(await one.call('CLUSTER', 'INFO')).includes('cluster_state:ok'),
    );
    const cluster = new Cluster([{ host: node.host, port: node.port }]);
    expect(await draw(open(cluster))).toBeGreaterThan(0);
    cluster.disconnect();
    one.disconnect();
    await node.stop();
  });

  it('and leave a client open that was given', async () => {
    const given = client(Redis);
    const locks = open(given);
    await draw(locks);
    await locks.close();
    expect(await given.ping()).toBe('PONG');
  });

  function client(Client: typeof Redis, more: object = {}): Redis {
    const made = new Client(redis.port, redis.host, more);
    onTestFinished(() => made.disconnect());
    return made;
  }
});

describe('what names no server is refused, and never taken for localhost', () => {
  it.each<[unknown]>([
    [undefined],
    [null],
    ['redis://127.0.0.1:6379'],
    [6379],
    [true],
    [[{ host: 'a' }]],
    [() => ({})],
    [{ hots: 'redis.example' }],
    [{ uri: 'redis://redis.example' }],
    [{ host: undefined }],
    [{ host: '' }],
    [{ host: undefined, port: 6380 }],
    [{ host: 'a', port: Number.NaN }],
    [{ host: 'a', port: 0 }],
    [{ url: undefined }],
    [{ url: '' }],
    [{ url: 'http://redis.example' }],
    [{ url: 'redis://' }],
    [{ url: new URL('redis://redis.example') }],
    [{ path: '' }],
    [{ sentinels: [] }],
  ])('%j', (connection) => {
    expect(() => openLocks({ memcached: 'a', connection: connection as Connection })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS' }),
    );
  });

  it.each([
    [{ host: undefined }, /"host" is undefined: is the environment variable set/],
    [{ host: undefined, port: 6380 }, /"host" is undefined/],
    [{ db: 1, url: undefined }, /"url" is undefined/],
    [{ hots: undefined }, /names no server, only hots/],
  ])('%j by name', (connection, message) => {
    expect(() => openLocks({ memcached: 'a', connection: connection as object })).toThrow(message);
  });

  it('a client with a prefix of its own', async () => {
    const prefixed = new Redis({ lazyConnect: true, keyPrefix: 'p:' });
    expect(() => openLocks({ memcached: 'a', connection: prefixed })).toThrow(/keyPrefix|prefix/);
    prefixed.disconnect();
  });

  it.each([[{}], [{ db: 3 }], [{ host: 'a', port: undefined }], [{ host: 'a', path: undefined }]])(
    '%j is none of these',
    async (connection) => {
      await open({ ...connection, lazyConnect: true }).close();
    },
  );
});

describe('waitMs is kept', () => {
  async function expectInTime(locks: Locks, keys: string | string[] = someKey()): Promise<unknown> {
    const [error, ms] = await tookMs(locks.withLease(keys as string, () => undefined));
    expect(error).toMatchObject({ code: 'LEASE_TIMED_OUT' });
    expect(ms).toBeGreaterThan(WAIT_MS - 50);
    expect(ms).toBeLessThan(SOME_MS);
    return error;
  }

  it('while nobody listens where Redis should be', async () => {
    const listener = await listen(() => undefined);
    await listener.close();
    const locks = open({ host: '127.0.0.1', port: listener.port });
    expect(await expectInTime(locks)).toMatchObject({
      cause: { code: 'REDIS_FAILED', message: expect.stringContaining('ECONNREFUSED') },
    });
    await expectInTime(locks, [someKey(), someKey()]);
  });

  it('while Redis takes connections and says nothing, from the start', async () => {
    const silent = await listen(() => undefined);
    await expectInTime(open({ host: '127.0.0.1', port: silent.port }));
    await silent.close();
  });

  it('while Redis is frozen, and the lock is free again at once', async () => {
    const own = await startRedis();
    const locks = open({ host: '127.0.0.1', port: own.port });
    await draw(locks);
    own.freeze();
    const key = someKey();
    await expectInTime(locks, key);
    const others = open({ host: '127.0.0.1', port: redis.port });
    const startedMs = performance.now();
    await others.withLease(key, () => undefined);
    expect(performance.now() - startedMs).toBeLessThan(200);
    own.thaw();
    expect(await draw(locks)).toBeGreaterThan(0);
    await own.stop();
  });

  it('while memcached is frozen', async () => {
    const memcached = await startMemcached();
    const servers = { servers: memcached.address, requestDeadlineMs: 2_000 };
    const locks = open({ host: '127.0.0.1', port: redis.port }, { memcached: servers });
    await draw(locks);
    memcached.freeze();
    await expectInTime(locks);
    await memcached.kill();
    await memcached.stop();
  });

  it('and Redis may come within it', async () => {
    const own = await startRedis();
    await own.kill();
    const locks = open({ host: '127.0.0.1', port: own.port }, { waitMs: 20_000 });
    const drawing = draw(locks);
    await own.start();
    expect(await drawing).toBeGreaterThan(0);
    await own.stop();
  });

  it('unless Redis refuses the login', async () => {
    const own = await startRedis({ flags: ['--requirepass', 'secret'] });
    for (const password of [undefined, 'wrong']) {
      const login = password === undefined ? {} : { password };
      const connection = { host: '127.0.0.1', port: own.port, ...login };
      const [error, ms] = await tookMs(draw(open(connection, { waitMs: 20_000 })));
      expect(error).toMatchObject({ code: 'REDIS_FAILED' });
      expect(ms).toBeLessThan(2_000);
    }
    expect(
      await draw(open({ host: '127.0.0.1', port: own.port, password: 'secret' })),
    ).toBeGreaterThan(0);
    await own.stop();
  });

  // Who asks while the client connects hears of it, too: once he waited for the end of his lease.
  it('unless Redis takes its time to refuse the login', async () => {
    const slow = await listen((socket) => {
      socket.on('data', (asked) => {
        const refusals = '-NOAUTH Authentication required.\r\n'.repeat(
          String(asked).split('*').length - 1,
        );
        setTimeout(() => socket.write(refusals), 300);
      });
    });
    const locks = open({ host: '127.0.0.1', port: slow.port }, { waitMs: 20_000 });
    const [error, ms] = await tookMs(draw(locks));
    expect(error).toMatchObject({ code: 'REDIS_FAILED' });
    expect(ms).toBeLessThan(2_000);
    await slow.close();
  });

  it('unless Redis says what no waiting mends', async () => {
    const name = someKey();
    const locks = open({ host: '127.0.0.1', port: redis.port }, { name, waitMs: 20_000 });
    await draw(locks);
    const [sequence] = await look.keys(`*${name}*sequence`);
    await look.set(sequence as string, 'nonsense');
    const [error, ms] = await tookMs(draw(locks));
    expect(error).toMatchObject({ code: 'REDIS_FAILED' });
    expect(ms).toBeLessThan(1_000);
  });
});

describe('closing', () => {
  it('does not wait for a request to a frozen memcached, however long that may take', async () => {
    const memcached = await startMemcached();
    const patient = { servers: memcached.address, requestDeadlineMs: 30_000 };
    const locks = open(
      { host: '127.0.0.1', port: redis.port },
      { memcached: patient, leaseMs: 60_000 },
    );
    const cells = openCells({ memcached: patient });
    await draw(locks);
    await cells.get('k');
    memcached.freeze();
    const asked = [
      tookMs(locks.withLease(someKey(), () => 1, { waitMs: 20_000 })),
      tookMs(cells.get('k')),
    ];
    await new Promise(setImmediate); // now they are sent
    const [, ms] = await tookMs(Promise.all([locks.close(), cells.close()]));
    expect(ms).toBeLessThan(2_500);
    const [locked, read] = await Promise.all(asked);
    expect(locked?.[0]).toMatchObject({ code: 'CLOSED' });
    expect(read?.[0]).toMatchObject({ code: 'MEMCACHED_CLOSED' });
    await memcached.kill();
    await memcached.stop();
  });

  it('tells who waits for a token, for a lease, and behind another', async () => {
    const silent = await listen(() => undefined);
    const locks = open({ host: '127.0.0.1', port: silent.port }, { waitMs: 20_000 });
    const others = open({ host: '127.0.0.1', port: redis.port });
    const [held, free] = [someKey(), someKey()];
    const { opened, open: letGo } = gate();
    const { opened: inside, open: entered } = gate();
    const holding = others.withLease(held, async () => {
      entered();
      await opened;
    });
    await inside;
    const waiting = [held, free, free].map((key) => tookMs(locks.withLease(key, () => undefined)));
    await eventually('it has asked Redis', () => silent.sockets.length > 0);
    const [, closedMs] = await tookMs(locks.close());
    expect(closedMs).toBeLessThan(500);
    for (const [error] of await Promise.all(waiting))
      expect(error).toMatchObject({ code: 'CLOSED' });
    letGo();
    await holding;
    await silent.close();
  });
});
