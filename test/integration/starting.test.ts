/** A worker that starts while servers are away, silent, frozen or wrong; what it says, and what it does meanwhile. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { defineUpdate, Queue, type Worker } from '../../src/index.ts';
import { openServers } from '../../src/memcached/open-servers.ts';
import { systemClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { eventually } from '../support/memcached.ts';
import { type Listener, listen } from '../support/scripted-memcached.ts';
import {
  memcachedAddresses,
  type PrivateServer,
  redisUrl,
  startMemcached,
  startRedis,
} from '../support/servers.ts';
import { nextEvent, quickly, type Stage, stage } from '../support/workers.ts';

const touch = defineUpdate({
  name: 'touch',
  key: (key: string) => key,
  initial: () => 0,
  apply: (n: number) => n + 1,
});

const here = (more: Parameters<typeof stage>[0] = {}): Stage =>
  stage({ updates: [touch], ...more });

/** A server's port, at which nobody listens any more. */
async function nobody(): Promise<number> {
  const gone = await listen(() => undefined);
  await gone.close();
  return gone.port;
}

/** What the worker says of its servers, in order. */
function heard(worker: Worker): string[] {
  const words: string[] = [];
  worker.on('serverUnavailable', ({ server, cause }) => words.push(`${server} ${cause.code}`));
  worker.on('serverAvailable', ({ server }) => words.push(`${server} available`));
  return words;
}

function errorsOf(worker: Worker): string[] {
  const codes: string[] = [];
  worker.on('error', (error) => codes.push((error as { code?: string }).code ?? error.message));
  return codes;
}

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'nothing',
    (thrown: unknown) => thrown,
  );

/** So that the next memcached can have its port. */
async function memcachedAt(port: number, flags: string[] = []): Promise<PrivateServer> {
  const server = await startMemcached({ port, flags });
  onTestFinished(() => server.stop());
  return server;
}

describe('a memcached server that', () => {
  it.each<[string, string, (port: number) => Promise<() => Promise<unknown>>]>([
    ['is away', 'MEMCACHED_UNREACHABLE', async () => async () => undefined],
    [
      'takes connections and says nothing',
      'MEMCACHED_TIMED_OUT',
      async (port) => {
        const silent: Listener = await listen(() => undefined, port);
        return () => silent.close();
      },
    ],
    [
      'hangs up, as a forwarder to nothing does,',
      'MEMCACHED_CLOSED',
      async (port) => {
        const rude: Listener = await listen(
          (socket) => socket.once('data', () => socket.end()),
          port,
        );
        return () => rude.close();
      },
    ],
  ])('%s is waited for, and that is said once', async (_, code, occupy) => {
    const port = await nobody();
    const vacate = await occupy(port);
    const scene = here({ memcached: quickly(`127.0.0.1:${port}`) });
    const job = await scene.queue.enqueue(touch, scene.key());
    const worker = scene.startWorker();
    const [words, errors] = [heard(worker), errorsOf(worker)];
    expect(worker.status()).toMatchObject({ state: 'starting' });
    await eventually('it says so', () => words.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 700)); // more attempts, and no more words
    expect(words).toEqual([`127.0.0.1:${port} ${code}`]);
    expect(worker.status()).toMatchObject({
      state: 'starting',
      servers: [
        { server: 'redis', available: true },
        { server: `127.0.0.1:${port}`, available: false, cause: { code } },
      ],
    });
    await vacate();
    await memcachedAt(port);
    await worker.waitUntilReady();
    await scene.finished([job]);
    expect(words.at(-1)).toBe(`127.0.0.1:${port} available`);
    expect(worker.status()).toMatchObject({ state: 'running', cause: undefined });
    expect(worker.status().servers.map(({ available }) => available)).toEqual([true, true]);
    expect(errors).toEqual([]);
    await scene.close();
  });

  it('is frozen at the start is waited for', async () => {
    const memcached = await startMemcached();
    memcached.freeze();
    const scene = here({ memcached: quickly(memcached.address) });
    const job = await scene.queue.enqueue(touch, scene.key());
    const worker = scene.startWorker();
    expect(await nextEvent(worker, 'serverUnavailable' as never)).toMatchObject({
      server: memcached.address,
    });
    memcached.thaw();
    await scene.finished([job]);
    await scene.close();
    await memcached.stop();
  });

  it.each(['is away', 'has no address yet'])(
    '%s does not keep the keys of the others waiting',
    async (how) => {
      const port = await nobody();
      const [good = ''] = memcachedAddresses();
      const bad = how === 'is away' ? `127.0.0.1:${port}` : 'nowhere.invalid:11211';
      const scene = here({ memcached: quickly([good, bad]) });
      const servers = openServers([good, bad], systemClock, systemRandom);
      const keys = Array.from({ length: 40 }, (_, n) => scene.key(n));
      const at = (address: string): string =>
        keys.find((key) => servers.serverFor(key).address === address) as string;
      const [there, elsewhere] = [
        await scene.queue.enqueue(touch, at(good)),
        await scene.queue.enqueue(touch, at(bad)),
      ];
      const worker = scene.startWorker();
      const startedMs = performance.now();
      await worker.waitUntilReady();
      await scene.finished([there]);
      expect(performance.now() - startedMs).toBeLessThan(2_000);
      expect(await elsewhere.getState()).not.toBe('completed');
      expect(worker.status().servers).toMatchObject([
        { server: 'redis', available: true },
        { server: good, available: true },
        { server: bad, available: false, cause: { code: 'MEMCACHED_UNREACHABLE' } },
      ]);
      if (how === 'is away') {
        await memcachedAt(port);
        const [done] = await scene.finished([elsewhere]);
        expect(done?.attemptsMade).toBe(1);
      }
      await scene.close();
    },
  );
});

describe('Redis that', () => {
  async function withRedis(
    flags: string[],
    make: (redis: PrivateServer) => Promise<() => Promise<unknown>>,
    hasStatus = true,
  ): Promise<void> {
    const redis = await startRedis({ flags: ['--appendonly', 'yes', ...flags] });
    const scene = here({ redis: `redis://127.0.0.1:${redis.port}` });
    const job = await scene.queue.enqueue(touch, scene.key());
    const mend = await make(redis);
    const worker = scene.startWorker();
    const words = heard(worker);
    await eventually('it says so', () => words.length > 0);
    expect(words).toEqual(['redis REDIS_FAILED']);
    if (hasStatus) {
      expect(worker.status()).toMatchObject({
        state: 'starting',
        servers: [{ server: 'redis', available: false, cause: { code: 'REDIS_FAILED' } }, {}],
      });
    }
    await mend();
    await worker.waitUntilReady();
    await scene.finished([job]);
    expect(words).toEqual(['redis REDIS_FAILED', 'redis available']);
    await scene.close();
    await redis.stop();
  }

  it('is away is waited for, and that is said once', async () => {
    await withRedis([], async (redis) => {
      await redis.kill();
      return () => redis.start();
    });
  });

  it('is frozen is waited for', async () => {
    await withRedis([], async (redis) => {
      redis.freeze();
      return async () => redis.thaw();
    });
  });

  it('wants a password for now is waited for', async () => {
    await withRedis([], async (redis) => {
      const { Redis } = await import('ioredis');
      const operator = new Redis(redis.port, redis.host);
      await operator.config('SET', 'requirepass', 'secret');
      return async () => {
        await operator.config('SET', 'requirepass', '');
        operator.disconnect();
      };
    });
  });

  it('is a replica without its master is waited for', async () => {
    const port = await nobody();
    await withRedis(['--replica-serve-stale-data', 'no'], async (redis) => {
      const { Redis } = await import('ioredis');
      const operator = new Redis(redis.port, redis.host, { enableReadyCheck: false });
      await operator.call('REPLICAOF', '127.0.0.1', String(port));
      return async () => {
        await operator.call('REPLICAOF', 'NO', 'ONE');
        operator.disconnect();
      };
    });
  });

  it('goes away while the worker runs is told', async () => {
    const redis = await startRedis();
    const scene = here({ redis: `redis://127.0.0.1:${redis.port}` });
    const worker = await scene.worker();
    const words = heard(worker);
    await redis.kill();
    await eventually('it says so', () => words.length === 1);
    expect(worker.status().servers[0]).toMatchObject({ server: 'redis', available: false });
    await redis.start();
    await eventually('it is back', () => words.length === 2);
    expect(words).toEqual(['redis REDIS_FAILED', 'redis available']);
    await scene.close();
    await redis.stop();
  });
});

describe('what no waiting mends', () => {
  /** It is said by the error event, run() and waitUntilReady(); nothing was applied; and run() works once it is mended. */
  async function expectRefused(
    scene: Stage,
    code: string,
    options: Parameters<Stage['startWorker']>[0],
    mend: () => Promise<unknown>,
  ): Promise<void> {
    const job = await scene.queue.enqueue(touch, scene.key());
    const worker = scene.startWorker({ ...options, autorun: false });
    const errors = errorsOf(worker);
    const [ready, ran] = await Promise.all([
      failure(worker.waitUntilReady()),
      failure(worker.run()),
    ]);
    expect(ready).toMatchObject({ code });
    expect(ran).toBe(ready);
    expect(errors).toEqual([code]);
    expect(worker.status()).toMatchObject({ state: 'stopped', cause: { code } });
    expect(await job.getState()).toBe('waiting');
    expect(await failure(worker.run())).toMatchObject({ code });
    expect(errors).toEqual([code, code]);
    await mend();
    const running = worker.run();
    await worker.waitUntilReady();
    await scene.finished([job]);
    expect(worker.status().state).toBe('running');
    expect(errors).toEqual([code, code]);
    await worker.close();
    await running;
  }

  it('is another list of servers, until it is accepted', async () => {
    const another = await startMemcached();
    const scene = here();
    const list = [...memcachedAddresses(), another.address];
    const first = await scene.worker();
    await first.close();
    const { fingerprint } = openServers(list, systemClock, systemRandom);
    await expectRefused(scene, 'SERVER_LIST_CHANGED', { memcached: quickly(list) }, () =>
      scene.queue.inRedis.servers.replace(fingerprint),
    );
    await scene.close();
    await another.stop();
  });

  it('is not the list that was registered first, for whichever worker', async () => {
    const scene = here();
    const other = new Queue(scene.queue.name, { connection: { url: redisUrl() } });
    expect(await scene.queue.inRedis.servers.read()).toBeUndefined();
    expect(await scene.queue.inRedis.servers.register('one')).toBe('one');
    expect(await other.inRedis.servers.register('two')).toBe('one');
    await other.inRedis.servers.replace('two');
    expect(await scene.queue.inRedis.servers.register('one')).toBe('two');
    await other.close();
    await scene.close();
  });

  it('is a server without CAS, until it is restarted', async () => {
    const without = await startMemcached({ flags: ['-C'] });
    const scene = here({ memcached: quickly(without.address) });
    await expectRefused(scene, 'MEMCACHED_CAS_DISABLED', {}, async () => {
      await without.stop();
      await memcachedAt(without.port);
    });
    await scene.close();
  });

  it('is what answers in words, until memcached is there', async () => {
    const port = await nobody();
    const web = await listen((socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'), port);
    const scene = here({ memcached: quickly(`127.0.0.1:${port}`) });
    await expectRefused(scene, 'MEMCACHED_PROTOCOL', {}, async () => {
      await web.close();
      await memcachedAt(port);
    });
    await scene.close();
  });

  it('is also an error if it is one server of several', async () => {
    const without = await startMemcached({ flags: ['-C'] });
    const [good = ''] = memcachedAddresses();
    const scene = here({ memcached: quickly([good, without.address]) });
    await expectRefused(scene, 'MEMCACHED_CAS_DISABLED', {}, async () => {
      await without.stop();
      await memcachedAt(without.port);
    });
    await scene.close();
  });

  it('is an error while others are worked on, if the server comes later, and only its keys stand', async () => {
    const port = await nobody();
    const [good = ''] = memcachedAddresses();
    const scene = here({ memcached: quickly([good, `127.0.0.1:${port}`]) });
    const worker = await scene.worker();
    const errors = errorsOf(worker);
    await memcachedAt(port, ['-C']);
    await eventually('it is told', () => errors.length > 0);
    expect(errors).toEqual(['MEMCACHED_CAS_DISABLED']);
    expect(worker.status().state).toBe('running');
    const servers = openServers([good, `127.0.0.1:${port}`], systemClock, systemRandom);
    const keys = Array.from({ length: 40 }, (_, n) => scene.key(n));
    const key = keys.find((one) => servers.serverFor(one).address === good) as string;
    await scene.finished([await scene.queue.enqueue(touch, key)]);
    expect(errors).toEqual(['MEMCACHED_CAS_DISABLED']);
    await scene.close();
  });
});

describe('a worker that waits for a server', () => {
  it('is told that it was closed; run() just ends', async () => {
    const scene = here({ memcached: quickly(`127.0.0.1:${await nobody()}`) });
    const worker = scene.startWorker({ autorun: false });
    const errors = errorsOf(worker);
    const [ready, running] = [failure(worker.waitUntilReady()), failure(worker.run())];
    await worker.close();
    expect(await ready).toMatchObject({ code: 'CLOSED' });
    expect(await running).toBe('nothing');
    expect(errors).toEqual([]);
    expect(worker.status().state).toBe('closed');
  });

  it('may be paused and resumed meanwhile', async () => {
    const port = await nobody();
    const scene = here({ memcached: quickly(`127.0.0.1:${port}`) });
    const job = await scene.queue.enqueue(touch, scene.key());
    const worker = scene.startWorker();
    await worker.pause();
    await memcachedAt(port);
    await worker.waitUntilReady();
    expect(worker.status().state).toBe('paused');
    expect(await job.getState()).toBe('waiting');
    await worker.resume();
    await scene.finished([job]);
    await scene.close();
  });

  it('runs once, if it was resumed before they were there', async () => {
    const port = await nobody();
    const scene = here({ memcached: quickly(`127.0.0.1:${port}`) });
    const job = await scene.queue.enqueue(touch, scene.key());
    const worker = scene.startWorker();
    const errors = errorsOf(worker);
    await worker.pause();
    await worker.resume();
    await memcachedAt(port);
    await scene.finished([job]);
    expect(errors).toEqual([]);
    await scene.close();
  });
});

describe('a worker that nobody listens to', () => {
  /** Those that begin so: a machine that has other work adds its own, of servers that are slow. */
  const warned = (pattern: RegExp): string[] => {
    const texts: string[] = [];
    const note = ({ message }: Error): void => {
      if (pattern.test(message)) texts.push(message);
    };
    process.on('warning', note);
    onTestFinished(() => void process.off('warning', note));
    return texts;
  };

  it('says by warnings of the process which server it waits for, and when that is over', async () => {
    const port = await nobody();
    const texts = warned(new RegExp(`(waits for|goes on:) 127.0.0.1:${port}`));
    const scene = here({ memcached: quickly(`127.0.0.1:${port}`) });
    scene.startWorker();
    await eventually('the outage is told', () => texts.length > 0);
    expect(texts[0]).toMatch(/waits for .* cannot be reached: .*"serverUnavailable"/);
    await memcachedAt(port);
    await eventually('its end is told', () => /goes on: .* is available/.test(texts.at(-1) ?? ''));
    await scene.close();
  });

  it('says that it does not know an update, once', async () => {
    const texts = warned(/does not know the update "other" of job \d+/);
    const scene = here();
    const worker = await scene.worker();
    await scene.plainQueue().addBulk([0, 1].map((n) => ({ name: 'other', data: scene.key(n) })));
    await eventually('both are met', () => (worker.counts.updateUnknown ?? 0) > 1);
    expect(texts).toHaveLength(1);
    await scene.close();
  });

  it('is quiet if somebody listens', async () => {
    const texts = warned(/serverUnavailable/);
    const scene = here({ memcached: quickly(`127.0.0.1:${await nobody()}`) });
    const worker = scene.startWorker();
    await nextEvent(worker, 'serverUnavailable');
    expect(texts).toEqual([]);
    await scene.close();
  });
});

describe('a Redis whose access list forbids a command', () => {
  it('is waited for before anything is taken: a script that is stopped half-way has done a part', async () => {
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    const scene = here({ redis: `redis://127.0.0.1:${redis.port}` });
    const rules = ['~bull:*', '~toril~*', '&*', '+@all', '-hdel', '-zremrangebyscore'];
    await scene.redis.call('ACL', 'SETUSER', 'toril', 'on', 'nopass', ...rules);
    const { port } = redis;
    const login = { host: '127.0.0.1', port, username: 'toril', password: 'any' };
    const job = await scene.queue.enqueue(touch, scene.key());
    const worker = scene.startWorker({ connection: login });
    const { cause } = await nextEvent(worker, 'serverUnavailable');
    expect(cause.message).toMatch(/forbids this worker's user HDEL, ZREMRANGEBYSCORE at/);
    expect(await scene.queue.getActiveCount()).toBe(0);
    await scene.redis.call('ACL', 'SETUSER', 'toril', '+hdel', '+zremrangebyscore');
    await scene.finished([job]);
    expect((await scene.cells.read(scene.key()))?.value).toBe(1);
    await scene.close();
  });
});

describe('a Redis that is none', () => {
  it('is told with what its client says of it', async () => {
    const memcached = await listen((socket) => socket.on('data', () => socket.write('ERROR\r\n')));
    onTestFinished(() => memcached.close());
    const scene = here();
    const worker = scene.startWorker({ connection: { host: '127.0.0.1', port: memcached.port } });
    const { cause } = await nextEvent(worker, 'serverUnavailable');
    expect(cause.message).toMatch(/no connection to Redis \(.*RESP.*\).*"connection" names it/);
    await scene.close();
  });
});
