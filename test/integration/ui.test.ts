/** The page on real servers: what it shows of a queue, what it does, and what it notes. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Queue, Worker } from '../../src/index.ts';
import { RedisAuditTrail } from '../../src/jobs/redis/audit/redis-audit-trail.ts';
import { createUi, type Ui, type UiOptions } from '../../src/ui.ts';
import { Browsing, unescaped } from '../support/browsing.ts';
import { eventually } from '../support/memcached.ts';
import { ownKeys, redisClient } from '../support/redis.ts';
import { memcachedAddresses, redisUrl, startRedis } from '../support/servers.ts';
import { unique } from './cli-runner.ts';
import updates from './cli-updates.ts';

let queue: Queue;
let worker: Worker;
let ui: Ui;
let browser: Browsing;
const servers = [...memcachedAddresses()];

const write = { who: 'ada', may: 'write' } as const;

beforeAll(async () => {
  queue = new Queue(unique('ui'), { connection: { url: redisUrl() }, updates });
  worker = new Worker(queue.name, {
    connection: { url: redisUrl() },
    memcached: servers,
    updates,
    history: 'on',
  });
  worker.on('error', () => undefined);
  await worker.waitUntilReady();
  ui = uiOf({});
  browser = new Browsing(ui);
});

afterAll(async () => {
  await ui.close();
  await worker.close();
  await queue.close();
});

function uiOf(options: Partial<UiOptions>): Ui {
  return createUi({ queues: [queue], memcached: servers, authorize: () => write, ...options });
}

const deposit = (account: string, cents: number) => queue.add('deposit', { account, cents });

async function emptied(key: string): Promise<void> {
  await eventually('the lane is empty', async () => (await queue.lane(key).report()).length === 0);
}

async function held(key: string): Promise<string> {
  const { id } = await deposit(key, -5);
  await eventually(
    'the lane is held',
    async () => (await queue.lane(key).report()).heldBy !== undefined,
  );
  return id as string;
}

const at = (path: string, key: string, more = ''): string =>
  `${path}?key=${encodeURIComponent(key)}${more}`;

describe('a key', () => {
  test('is shown with its value, its commits and what each of them changed', async () => {
    const key = unique('shown');
    await deposit(key, 100);
    await emptied(key);
    await deposit(key, 50);
    await emptied(key);
    const { text } = await browser.get(at('/key', key));
    expect(text).toContain('nothing waits');
    expect(text).toContain('As in memcached, of the commit');
    expect(text).toContain('2 commits within');
    expect(unescaped(text)).toMatch(/<del>- {3}"cents": 100,[\s\S]*<ins>\+ {3}"cents": 150,/);
    expect(JSON.parse((await browser.get(at('/value', key))).text)).toEqual({
      cents: 150,
      jobs: 2,
    });
  });

  test('that is held is found by its name, its state and its job, and goes on after --drop', async () => {
    const key = unique('held');
    const jobId = await held(key);
    await deposit(key, 7);
    for (const path of ['/?state=held', `/?search=${key}`, `/?search=${key.slice(4)}&order=newest`])
      expect((await browser.get(path)).text, path).toContain(`>${key}<`);
    expect((await browser.get(`/?search=${jobId}`)).text).toContain('The job is in the lane of');
    expect((await browser.get(`/job?job=${jobId}`)).text).toContain('there is not enough money');

    const done = await browser.send(at('/act', key, `&action=drop&job=${jobId}`));
    expect(done.text).toContain('carries it out');
    await emptied(key);
    expect((await browser.get(at('/key', key))).text).toContain('&quot;cents&quot;: 7');
    const { acts } = await queue.audit.read({ key });
    expect(acts).toMatchObject([{ who: 'ada', what: 'drop', key, jobId, end: { kind: 'done' } }]);
    expect((await browser.get('/audit')).text).toContain(key);
  });

  test('is not acted on if another job holds it than was seen', async () => {
    const key = unique('moved');
    const first = await held(key);
    const path = at('/act', key, `&action=drop&job=${first}`);
    const form = await browser.formAt(path);
    await browser.send(path);
    await emptied(key);
    const second = await held(key);
    const refused = await browser.post(path, { form });
    expect(refused.text).toContain('LANE_NOT_HELD');
    expect((await queue.lane(key).report()).heldBy).toBe(second);
    await queue.lane(key).drop();
    await emptied(key);
  });

  test('whose cell somebody wrote over is restored by trusting the copy', async () => {
    const key = unique('foreign');
    await deposit(key, 5);
    await emptied(key);
    await overwritten(key);
    await deposit(key, 6);
    await eventually('the page says why', async () =>
      (await browser.get(at('/key', key))).text.includes('the cell cannot be used (FOREIGN_VALUE)'),
    );
    const { text } = await browser.get(at('/key', key));
    const [, act = ''] = /href="([^"]*action=trust-copy[^"]*)"/.exec(text) ?? [];
    const done = await browser.send(unescaped(act));
    expect(done.text).toContain('the cell is deleted');
    await emptied(key);
    expect(JSON.parse((await browser.get(at('/value', key))).text)).toEqual({ cents: 11, jobs: 2 });
  });
});

test('a queue that is paused says so, and is resumed', async () => {
  const key = unique('paused');
  await queue.pause();
  await deposit(key, 1);
  expect((await browser.get('/')).text).toContain('The queue is paused');
  const done = await browser.send(at('/act', key, '&action=resume'));
  expect(done.text).toContain('workers get jobs again');
  await emptied(key);
});

describe('the audit trail', () => {
  test('is read page by page, of all keys or of one, each act with its end', async () => {
    const other = new Queue(unique('audit'), { connection: { url: redisUrl() } });
    onTestFinished(() => other.close());
    const { audit } = other;
    const act = { who: 'ada', what: 'drop', jobId: '1' };
    const ids: string[] = [];
    for (let n = 0; n < 7; n++) ids.push(await audit.begin({ ...act, key: `k${n % 2}` }));
    // Ends come in another order, and one never does.
    for (const id of [...ids].reverse().slice(0, 6))
      await audit.end(id, { kind: 'done', result: `of ${id}` });

    const seen: string[] = [];
    for (let before: string | undefined, more = true; more; more = before !== undefined) {
      const page = await audit.read({ before, limit: 3 });
      for (const { id, end } of page.acts) {
        expect(end?.result).toBe(id === ids[0] ? undefined : `of ${id}`);
        seen.push(id);
      }
      before = page.before;
    }
    expect(seen).toEqual([...ids].reverse());
    expect((await audit.read({ key: 'k1' })).acts.map(({ id }) => id)).toEqual(
      [5, 3, 1].map((n) => ids[n]),
    );
    expect((await audit.read({ key: '' })).acts).toEqual([]);
    expect((await audit.read({ before: 'nonsense' })).acts).toHaveLength(7);
  });

  test('is bounded, and goes with the queue', async () => {
    const other = new Queue(unique('bounded'), { connection: { url: redisUrl() } });
    onTestFinished(() => other.close());
    const audit = new RedisAuditTrail(other.backend.queueScripts(), 300);
    const act = { who: 'ada', what: 'drop', key: 'a', jobId: '1' };
    await Promise.all(Array.from({ length: 1_000 }, () => audit.begin(act)));
    const redis = redisClient();
    const [stream = ''] = await ownKeys(redis, other.name, 'audit');
    expect(await redis.xlen(stream)).toBeLessThan(500);
    await other.obliterate({ force: true });
    expect(await redis.exists(stream)).toBe(0);
  });
});

test('Redis that goes away and comes back is told, and nothing hangs', async () => {
  const redis = await startRedis();
  onTestFinished(() => redis.stop());
  const far = new Queue(unique('away'), {
    connection: { url: redis.address, maxRetriesPerRequest: 0 },
  });
  far.on('error', () => undefined);
  onTestFinished(() => far.close());
  await far.waitUntilReady();
  const page = createUi({ queues: [far], authorize: () => write });
  onTestFinished(() => page.close());
  const reader = new Browsing(page);
  expect((await reader.get('/')).status).toBe(200);
  await redis.kill();
  const gone = await reader.get('/');
  expect([gone.status, gone.text]).toEqual([503, expect.stringContaining('REDIS_FAILED')]);
  await redis.start();
  await eventually('the page is back', async () => (await reader.get('/')).status === 200);
});

async function overwritten(key: string): Promise<void> {
  const { clientOf, newItem, valueOf } = await import('../support/memcached.ts');
  const client = clientOf(servers[0] ?? '');
  onTestFinished(() => client.close());
  const connection = await client.connection();
  const { cas } = valueOf(await connection.get(key));
  valueOf(await connection.replace(key, newItem('somebody else'), cas));
}
