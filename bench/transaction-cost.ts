/**
 * What transactions cost beside updates of one key: per job, what Redis and memcached did, CPU time of the worker's process,
 * and jobs per commit. One worker of 64 jobs in this process, all jobs enqueued before; what BullMQ does for a job is in it.
 *
 *   npm run bench:transactions
 */
import { Redis } from 'ioredis';
import { seededFraction } from '../src/base/random.ts';
import { type AnyUpdate, defineTransaction, defineUpdate, Queue, Worker } from '../src/index.ts';
import { MemcachedClient } from './memcached-client.ts';
import { difference, readServers } from './server-meter.ts';

const BULK = 500;
const CONCURRENCY = 64;
const POLL_MS = 50;

interface Data {
  readonly keys: readonly string[];
}
interface Count {
  readonly n: number;
}

const more = ({ n }: Count): Count => ({ n: n + 1 });
const single = defineUpdate({
  name: 'single',
  key: ({ keys }: Data) => keys[0] as string,
  initial: (): Count => ({ n: 0 }),
  apply: more,
});
const several = defineTransaction({
  name: 'several',
  keys: ({ keys }: Data) => keys,
  initial: (): Count => ({ n: 0 }),
  apply: (values) => values.map(more),
});

/** `keysOf`: of the nth job. */
interface Case {
  readonly name: string;
  readonly jobs: number;
  readonly update: AnyUpdate | ((n: number) => AnyUpdate);
  readonly keysOf: (n: number) => readonly string[];
}

const fraction = seededFraction('transaction-cost');
const randomPair = (accounts: number): string[] => {
  const from = Math.floor(fraction() * accounts);
  const to = (from + 1 + Math.floor(fraction() * (accounts - 1))) % accounts;
  return [`k${from}`, `k${to}`];
};
const CASES: readonly Case[] = [
  { name: 'one key each', jobs: 2_000, update: single, keysOf: (n) => [`a${n}`] },
  { name: 'one key, the same', jobs: 10_000, update: single, keysOf: () => ['a'] },
  { name: '2 cold keys', jobs: 2_000, update: several, keysOf: (n) => [`a${n}`, `b${n}`] },
  {
    ...{ name: '4 cold keys', jobs: 2_000, update: several },
    keysOf: (n) => ['a', 'b', 'c', 'd'].map((key) => key + n),
  },
  { name: 'one pair', jobs: 10_000, update: several, keysOf: () => ['a', 'b'] },
  {
    ...{ name: 'a hot key with 1,000 others', jobs: 10_000, update: several },
    keysOf: (n) => ['a', `b${n % 1_000}`],
  },
  {
    // Each transaction behind a job of its second key; what it costs that its lanes are not ready is the rest.
    ...{ name: 'one key, then 2 cold keys with it', jobs: 2_000 },
    update: (n) => (n % 2 === 0 ? single : several),
    keysOf: (n) => (n % 2 === 0 ? [`b${n}`] : [`a${n}`, `b${n - 1}`]),
  },
  { name: 'pairs of 100', jobs: 10_000, update: several, keysOf: () => randomPair(100) },
];

const url = process.env['TORIL_REDIS'] ?? 'redis://127.0.0.1:6379';
const [address = '127.0.0.1:11211'] = (process.env['TORIL_MEMCACHED'] ?? '').split(',');
const redis = new Redis(url);
const memcached = await MemcachedClient.connect(address);

console.log(
  '| | Redis commands | Redis µs | memcached requests | worker µs | jobs per commit | jobs per second |',
);
console.log('| --- | ---: | ---: | ---: | ---: | ---: | ---: |');
await measure({ ...(CASES[2] as Case), jobs: 200 });
for (const one of CASES) console.log(await measure(one));
redis.disconnect();
memcached.close();

async function measure({ name, jobs, update, keysOf }: Case): Promise<string> {
  const queueName = `cost-${process.pid}-${Date.now()}`;
  const updates = [single, several];
  const queue = new Queue(queueName, { connection: { url }, updates });
  for (let from = 0; from < jobs; from += BULK) {
    const some = Array.from({ length: Math.min(BULK, jobs - from) }, (_, at) => ({
      update: typeof update === 'function' ? update(from + at) : update,
      data: { keys: keysOf(from + at).map((key) => `${queueName}:${key}`) },
    }));
    await queue.enqueueBulk(some);
  }
  const before = await readServers(redis, memcached);
  const [cpu, startedMs] = [process.cpuUsage(), performance.now()];
  const worker = new Worker(queueName, {
    ...{ connection: { url }, memcached: address, updates, concurrency: CONCURRENCY },
  });
  let [commits, completed] = [0, 0];
  worker.on('committed', () => commits++);
  worker.on('completed', () => completed++);
  while (completed < jobs) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  const elapsedMs = performance.now() - startedMs;
  const { user, system } = process.cpuUsage(cpu);
  const did = difference(await readServers(redis, memcached), before);
  await worker.close();
  await queue.obliterate({ force: true });
  await queue.close();
  const figures = [
    (did.redisCommands / jobs).toFixed(1),
    Math.round((did.redisCpuSeconds * 1e6) / jobs),
    (did.memcachedCommands / jobs).toFixed(2),
    Math.round((user + system) / jobs),
    (jobs / commits).toFixed(1),
    Math.round((jobs * 1_000) / elapsedMs).toLocaleString('en'),
  ];
  return `| ${[name, ...figures].join(' | ')} |`;
}
