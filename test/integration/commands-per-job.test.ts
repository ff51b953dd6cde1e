/**
 * How many commands one job of a key of its own costs Redis and memcached, as golden/commands-per-job.txt has it: of what is
 * usual among 30 jobs, one after the other. docs/performance.md tells why they are needed. After a change that is meant:
 * `npx vitest run test/integration/commands-per-job.test.ts -u`.
 */
import { createHash } from 'node:crypto';
import { expect, it, onTestFinished } from 'vitest';
import { MemcachedClient } from '../../bench/memcached-client.ts';
import { FINISH } from '../../src/jobs/bullmq/fast-path/finish.ts';
import { ACKNOWLEDGE } from '../../src/jobs/redis/scripts/acknowledge.ts';
import { ACKNOWLEDGE_JOINT } from '../../src/jobs/redis/scripts/joint/acknowledge-joint.ts';
import { SETTLED } from '../../src/jobs/redis/scripts/joint/behind.ts';
import { TAKE } from '../../src/jobs/redis/scripts/take.ts';
import { type AnyUpdate, defineTransaction, defineUpdate } from '../../src/index.ts';
import { startMemcached, startRedis } from '../support/servers.ts';
import { type Stage, stage } from '../support/workers.ts';

const JOBS = 30;
/** Nobody looks where its job stands, and no lease is renewed, on a machine that is slow. */
const UNHURRIED = {
  patienceMs: 60_000,
  leaseMs: 60_000,
  lockDuration: 60_000,
  stalledInterval: 60_000,
};

/** How many jobs are active is asked by the clock, not for each job. */
const NOW_AND_THEN = 'llen';

const single = {
  key: ({ keys }: { keys: string[] }) => keys[0] as string,
  initial: () => 0,
  apply: (count: number) => count + 1,
};
const plain = defineUpdate({ ...single, name: 'plain' });
const strict = defineUpdate({ ...single, name: 'strict', strict: true });
const several = defineTransaction({
  name: 'several',
  keys: ({ keys }: { keys: string[] }) => keys,
  initial: () => 0,
  apply: (counts) => counts.map((count) => count + 1),
});

const SCRIPTS = new Map(
  [TAKE, ACKNOWLEDGE, ACKNOWLEDGE_JOINT, SETTLED, FINISH].map(({ name, lua }) => [
    createHash('sha1').update(lua).digest('hex'),
    name,
  ]),
);

/** With how many fields it reads of a hash: one that is missing, as most of a job's are, costs a walk through the hash. */
function written(command: string, args: number): string {
  const name = command.toUpperCase();
  return name === 'HMGET' ? `${name}(${args - 1})` : name;
}

/** A call of Redis, and the commands in it if it is a script. */
interface Call {
  readonly name: string;
  readonly commands: string[];
}

/** The usual one of the jobs' parts, each of which begins with a call of this name: a line per call, with their counts in front. */
function usual(calls: readonly Call[], first: string): string {
  const starts = calls.flatMap(({ name }, at) => (name === first ? [at] : []));
  const counts = new Map<string, number>();
  for (const [n, from] of starts.entries()) {
    const its = calls.slice(from, starts[n + 1]);
    const commands = its.reduce((sum, call) => sum + 1 + call.commands.length, 0);
    const lines = its.map((call) => `  ${call.name}: ${call.commands.join(' ')}`);
    const text = [`  ${its.length} calls of Redis, ${commands} commands`, ...lines].join('\n');
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return [...counts].toSorted(([, a], [, b]) => b - a)[0]?.[0] ?? '';
}

/** What happens in Redis until `act` has ended. */
async function callsDuring({ redis }: Stage, act: () => Promise<unknown>): Promise<Call[]> {
  const calls: Call[] = [];
  const monitor = await redis.monitor();
  onTestFinished(() => monitor.disconnect());
  const isOver = new Promise<void>((resolve) => {
    monitor.on('monitor', (_time: string, [command = '', ...args]: string[], source: string) => {
      if (source === 'lua') calls.at(-1)?.commands.push(written(command, args.length));
      else if (command === 'echo') resolve();
      else if (command !== NOW_AND_THEN)
        calls.push({ name: SCRIPTS.get(args[0] ?? '') ?? command, commands: [] });
    });
  });
  await act();
  await redis.echo('over');
  await isOver;
  monitor.disconnect();
  return calls;
}

async function costs(
  here: Stage,
  memcached: MemcachedClient,
  update: AnyUpdate,
  keysOf: (n: number) => string[],
): Promise<string> {
  const adding = await callsDuring(here, async () => {
    for (let n = 0; n < JOBS; n++) await here.queue.enqueue(update, { keys: keysOf(n) });
  });
  let completed = 0;
  const before = await memcached.stats();
  const working = await callsDuring(here, async () => {
    const worker = here.startWorker({ concurrency: 1, ...UNHURRIED });
    await new Promise<void>((resolve, reject) => {
      worker.on('completed', () => ++completed === JOBS && resolve());
      worker.on('failed', (_job, thrown) => reject(thrown));
    });
    await worker.close();
  });
  const after = await memcached.stats();
  const perJob = (...names: string[]): number =>
    // Less than one per job is what opening the connection takes.
    names.reduce(
      (sum, name) => sum + Math.floor((Number(after.get(name)) - Number(before.get(name))) / JOBS),
      0,
    );
  const [gets, stores] = [perJob('cmd_get', 'cmd_touch'), perJob('cmd_set')];
  const deletes = perJob('delete_hits', 'delete_misses');
  return [
    'entering its lanes',
    usual(adding, 'evalsha'),
    'being worked on',
    usual(working, TAKE.name),
    `  ${gets + stores + deletes} commands of memcached: ${gets} gets, ${stores} stores, ${deletes} deletes`,
  ].join('\n');
}

/** A hot key, in turn with many others: each batch ends its turn, and the others' lanes have more. */
it('of a transaction with a hot key, no more if the other keys have more jobs', async () => {
  const [redis, server] = await Promise.all([startRedis(), startMemcached()]);
  try {
    const here = stage({ redis: redis.address, memcached: server.address, updates: [several] });
    const [others, jobs, batchJobsMax] = [40, 400, 20];
    const each = Array.from({ length: jobs }, (_, n) => ({
      ...{ update: several, data: { keys: ['hot', `other-${n % others}`] } },
    }));
    await here.queue.enqueueBulk(each);
    let commits = 0;
    const calls = await callsDuring(here, async () => {
      const worker = here.startWorker({ batchJobsMax, batchesPerLease: 1, ...UNHURRIED });
      worker.on('committed', () => commits++);
      let completed = 0;
      await new Promise<void>((resolve) => {
        worker.on('completed', () => ++completed === jobs && resolve());
      });
      await worker.close();
    });
    const takes = calls.filter(({ name }) => name === TAKE.name).length;
    // One for each commit, and one that finds nothing left. With visits to the other lanes there were 56 of 21 commits.
    expect(takes).toBeLessThan(2 * commits);
  } finally {
    await Promise.all([redis.stop(), server.stop()]);
  }
});

it('is what it was', async () => {
  const [redis, server] = await Promise.all([startRedis(), startMemcached()]);
  const memcached = await MemcachedClient.connect(server.address);
  const cases: [string, AnyUpdate, (n: number) => string[]][] = [
    ['an update', plain, (n) => [`plain-${n}`]],
    ['a strict update', strict, (n) => [`strict-${n}`]],
    ['a transaction of 2 keys', several, (n) => [`a-${n}`, `b-${n}`]],
    ['a transaction of 4 keys', several, (n) => ['c', 'd', 'e', 'f'].map((key) => `${key}-${n}`)],
  ];
  const texts: string[] = [];
  try {
    for (const [what, update, keysOf] of cases) {
      const updates = [plain, strict, several];
      const here = stage({ redis: redis.address, memcached: server.address, updates });
      await here.queue.waitUntilReady(); // ioredis cannot begin to watch while others talk
      texts.push(`# ${what}\n${await costs(here, memcached, update, keysOf)}\n`);
    }
    await expect(texts.join('\n')).toMatchFileSnapshot('golden/commands-per-job.txt');
  } finally {
    memcached.close();
    await Promise.all([redis.stop(), server.stop()]);
  }
});
