/** Closing in time while Redis is away, frozen, half gone or was never there; and nothing stays open. */
import net from 'node:net';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineUpdate, Queue, Worker, type WorkerOptions } from '../../src/index.ts';
import { gate } from '../support/gate.ts';
import { eventually } from '../support/memcached.ts';
import { startProcess } from '../support/processes.ts';
import { type Listener, listen } from '../support/scripted-memcached.ts';
import {
  memcachedAddresses,
  type PrivateServer,
  startMemcached,
  startRedis,
} from '../support/servers.ts';
import { enqueueLog, entries, expectExact, nextEvent, stage } from '../support/workers.ts';

const CLOSE_MS = 800;
/** Goodbyes and abandoning, with room for a busy machine. */
const MORE_MS = 2_500;

let silent: Listener;
let nobody: number;

beforeAll(async () => {
  silent = await listen(() => undefined);
  const gone = await listen(() => undefined);
  nobody = gone.port;
  await gone.close();
});
afterAll(() => silent.close());

const touch = defineUpdate({
  name: 'touch',
  key: (key: string) => key,
  initial: () => 0,
  apply: (n: number) => n + 1,
});

async function closing(thing: { close(): Promise<unknown> }): Promise<number> {
  const startedMs = performance.now();
  await thing.close();
  return performance.now() - startedMs;
}

/** All that is sent to Redis through it and back, until it is cut off: then neither side hears of it. */
async function halfOpen(to: PrivateServer): Promise<Listener & { cutOff(): void }> {
  let isCutOff = false;
  const upstreams: net.Socket[] = [];
  const listener = await listen((socket) => {
    const upstream = net.connect(to.port, to.host);
    upstreams.push(upstream);
    upstream.on('error', () => undefined);
    socket.on('data', (data) => isCutOff || upstream.write(data));
    upstream.on('data', (data) => isCutOff || socket.write(data));
  });
  return {
    ...listener,
    cutOff: () => (isCutOff = true),
    async close() {
      for (const upstream of upstreams) upstream.destroy();
      await listener.close();
    },
  };
}

describe.each([
  ['nobody listens', () => nobody],
  ['somebody listens and says nothing', () => silent.port],
])('where Redis should be %s:', (_, port) => {
  const connection = () => ({ host: '127.0.0.1', port: port() });
  const options = (more: Partial<WorkerOptions> = {}): WorkerOptions => ({
    ...{ connection: connection(), memcached: memcachedAddresses()[0] as string, updates: [touch] },
    ...{ closeMs: CLOSE_MS, ...more },
  });
  const open = (more: Partial<WorkerOptions> = {}): Worker =>
    new Worker('q', options(more)).on('error', () => undefined);

  it.each<[string, () => Promise<Worker>]>([
    ['at once', async () => open()],
    [
      'after a while',
      async () => {
        const worker = open();
        await nextEvent(worker, 'error' as never);
        return worker;
      },
    ],
    ['before it runs', async () => open({ autorun: false })],
    [
      'while it is paused',
      async () => {
        const worker = open();
        await worker.pause();
        return worker;
      },
    ],
  ])('a worker closes %s', async (when, opened) => {
    if (when === 'after a while' && port() === silent.port) return;
    const worker = await opened();
    expect(await closing(worker)).toBeLessThan(MORE_MS);
    expect(await closing(worker)).toBeLessThan(100);
  });

  it('a worker closes by force', async () => {
    const worker = open({ closeMs: 60_000 });
    const startedMs = performance.now();
    await worker.close(true);
    expect(performance.now() - startedMs).toBeLessThan(MORE_MS);
  });

  it('a queue closes, also with something being added, which is rejected', async () => {
    const queue = new Queue('q', { connection: connection(), closeMs: CLOSE_MS });
    queue.on('error', () => undefined);
    const added = queue.enqueue(touch, 'k').then(
      () => 'added',
      () => 'rejected',
    );
    const startedMs = performance.now();
    await queue.close();
    expect(await added).toBe('rejected');
    expect(performance.now() - startedMs).toBeLessThan(CLOSE_MS + MORE_MS);
    const idle = new Queue('q', { connection: connection() });
    idle.on('error', () => undefined);
    expect(await closing(idle)).toBeLessThan(MORE_MS);
  });
});

describe('while Redis', () => {
  describe.each(['is gone', 'is frozen', 'is cut off'] as const)('%s,', (how) => {
    it('a worker with an update in hand closes in time, says what it could not give back, and nothing is lost', async () => {
      const redis = await startRedis({ flags: ['--appendonly', 'yes'] });
      const line = await halfOpen(redis);
      const { opened, open } = gate();
      const { opened: begun, open: begin } = gate();
      const hold = defineUpdate({
        name: 'hold',
        key: (key: string) => key,
        initial: () => 0,
        apply: async (n: number) => {
          begin();
          await opened;
          return n + 1;
        },
      });
      const here = stage({ redis: `redis://127.0.0.1:${redis.port}`, updates: [hold] });
      const key = here.key();
      const worker = here.startWorker({
        ...{ closeMs: CLOSE_MS, concurrency: 4 },
        connection: { host: '127.0.0.1', port: line.port },
      });
      const job = await here.queue.add('hold', key);
      await begun;
      if (how === 'is gone') await redis.kill();
      else if (how === 'is frozen') redis.freeze();
      else line.cutOff();
      const left = nextEvent(worker, 'jobsNotGivenBack' as never);
      const ms = await closing(worker);
      expect(ms).toBeGreaterThan(CLOSE_MS - 50);
      expect(ms).toBeLessThan(CLOSE_MS + MORE_MS);
      expect(await left).toEqual({ jobIds: [job.id] });
      open();
      if (how === 'is gone') await redis.start();
      else if (how === 'is frozen') redis.thaw();
      await here.worker();
      const [finished] = await here.finished([job]);
      expect(finished?.attemptsMade).toBe(1);
      expect(await here.cells.get(key)).toBe(1);
      await here.close();
      await line.close();
      await redis.stop();
    });

    it('a process ends by itself after closing', async () => {
      const redis = await startRedis();
      const line = await halfOpen(redis);
      const here = stage({ redis: `redis://127.0.0.1:${redis.port}` });
      const child = await startProcess(here, {
        ...{ concurrency: 4, closeMs: CLOSE_MS },
        connection: { host: '127.0.0.1', port: line.port },
      });
      await here.finished(await enqueueLog(here, entries(here.key(), 10)));
      if (how === 'is gone') await redis.kill();
      else if (how === 'is frozen') redis.freeze();
      else line.cutOff();
      const startedMs = performance.now();
      await child.close();
      expect(performance.now() - startedMs).toBeLessThan(CLOSE_MS + MORE_MS);
      if (how === 'is frozen') redis.thaw();
      await here.close();
      await line.close();
      await redis.stop();
    });

    it('a queue with something being added closes in time', async () => {
      const redis = await startRedis();
      const line = await halfOpen(redis);
      const connection = { host: '127.0.0.1', port: line.port };
      const queue = new Queue('q', { connection, closeMs: CLOSE_MS });
      queue.on('error', () => undefined);
      await queue.enqueue(touch, 'k');
      if (how === 'is gone') await redis.kill();
      else if (how === 'is frozen') redis.freeze();
      else line.cutOff();
      const adding = Promise.allSettled([queue.enqueue(touch, 'k'), queue.add('touch', 'k')]);
      const startedMs = performance.now();
      await queue.close();
      expect((await adding).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
      expect(performance.now() - startedMs).toBeLessThan(CLOSE_MS + MORE_MS);
      await line.close();
      await redis.stop();
    });
  });

  it('is a client of the user, it stays open; the worker closes all the same', async () => {
    const redis = await startRedis();
    const memcached = await startMemcached();
    const client = new Redis(redis.port, redis.host, { maxRetriesPerRequest: null });
    client.on('error', () => undefined);
    const worker = new Worker('q', {
      ...{ connection: client, memcached: memcached.address, updates: [touch], closeMs: CLOSE_MS },
    }).on('error', () => undefined);
    const queue = new Queue('q', { connection: client, closeMs: CLOSE_MS });
    queue.on('error', () => undefined);
    await worker.waitUntilReady();
    await queue.enqueue(touch, 'k');
    await eventually('it is done', async () => (await queue.getCompletedCount()) === 1);
    redis.freeze();
    const adding = Promise.allSettled([queue.enqueue(touch, 'k')]);
    expect(await closing(worker)).toBeLessThan(CLOSE_MS + MORE_MS);
    expect(await closing(queue)).toBeLessThan(CLOSE_MS + MORE_MS);
    expect((await adding)[0]).toMatchObject({ reason: { code: 'OUTCOME_UNKNOWN' } });
    redis.thaw();
    expect(await client.ping()).toBe('PONG');
    client.disconnect();
    await redis.stop();
    await memcached.stop();
  });
});

describe('closing at any moment of the start', () => {
  it.each([0, 1, 3, 10, 30])('%i ms after it began', async (afterMs) => {
    const here = stage();
    const jobs = await enqueueLog(here, entries(here.key(), 50));
    const worker = here.startWorker({ closeMs: CLOSE_MS });
    const ready = worker.waitUntilReady().catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    expect(await closing(worker)).toBeLessThan(MORE_MS);
    await ready;
    await here.worker();
    expect(await expectExact(here, here.key(), await here.finished(jobs))).toHaveLength(50);
  });
});

describe('closing by force while it closes', () => {
  it('waits no longer for what is being applied', async () => {
    const { opened: begun, open: begin } = gate();
    const never = defineUpdate({
      name: 'never',
      key: (key: string) => key,
      initial: () => 0,
      apply: () => {
        begin();
        return new Promise<number>(() => undefined);
      },
      timeoutMs: 60_000,
    });
    const here = stage({ updates: [never] });
    const job = await here.queue.add('never', here.key());
    const worker = here.startWorker({ closeMs: 60_000 });
    await begun;
    const closed = worker.close();
    const startedMs = performance.now();
    await worker.close(true);
    await closed;
    expect(performance.now() - startedMs).toBeLessThan(MORE_MS);
    expect(await job.getState()).toBe('waiting');
  });
});
