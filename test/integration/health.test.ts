/** Whether a worker says truly how it is, by itself and over HTTP, while its servers freeze, go and come. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { defineUpdate, type WorkerHealth } from '../../src/index.ts';
import { eventually } from '../support/memcached.ts';
import { gate } from '../support/gate.ts';
import { type PrivateServer, startMemcached, startRedis } from '../support/servers.ts';
import { quickly, stage } from '../support/workers.ts';
import { startToril, toril, unique, UPDATES } from './cli-runner.ts';

const CONTAINER_HEALTH = fileURLToPath(
  new URL('../../scripts/container-health.mjs', import.meta.url),
);

const ownMemcached = async (): Promise<PrivateServer> => {
  const server = await startMemcached();
  onTestFinished(() => server.stop());
  return server;
};

const codesOf = ({ problems }: WorkerHealth): string[] =>
  problems.map(({ concerns, code }) => `${concerns} ${code}`);

describe('the health of a worker', () => {
  it('is live and ready while its servers answer, and says which one does not', async () => {
    const [one, other] = [await ownMemcached(), await ownMemcached()];
    const here = stage({ memcached: quickly([one.address, other.address]) });
    const worker = await here.worker();
    await eventually('both are connected to', () =>
      worker.status().servers.every(({ available }) => available),
    );
    expect(await worker.health()).toEqual({ live: true, ready: true, problems: [] });

    one.freeze();
    const half = await worker.health({ deadlineMs: 200 });
    expect(half).toMatchObject({ live: true, ready: true });
    expect(half.problems).toEqual([
      {
        ...{ concerns: 'ready', server: one.address, code: 'MEMCACHED_TIMED_OUT' },
        message: 'no answer within 200 ms.',
      },
    ]);
    other.freeze();
    const none = await worker.health({ deadlineMs: 200 });
    expect(none).toMatchObject({ live: true, ready: false });
    expect(none.problems.map(({ server }) => server)).toEqual([one.address, other.address]);
    one.thaw();
    other.thaw();
    await eventually('they are back', async () => (await worker.health()).problems.length === 0);

    await here.queue.inRedis.servers.replace('another list');
    const changed = await worker.health();
    expect(changed).toMatchObject({ live: true, ready: false });
    expect(codesOf(changed)).toEqual(['ready SERVER_LIST_CHANGED']);
    expect(changed.problems[0]?.message).toContain('another list');

    await worker.close();
    const closed = await worker.health({ deadlineMs: 200 });
    expect(closed).toMatchObject({ live: false, ready: false });
    expect(codesOf(closed)).toContain('live CLOSED');
  });

  it('is bounded in time while Redis is silent', async () => {
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    const here = stage({ redis: redis.address });
    const worker = await here.worker();
    redis.freeze();
    const silent = await worker.health({ deadlineMs: 200 });
    redis.thaw();
    expect(silent).toMatchObject({ live: true, ready: false });
    expect(codesOf(silent)).toEqual(['ready REDIS_FAILED']);
    await eventually('it is ready again', async () => (await worker.health()).ready);
  });

  it('ends when the same jobs have had all slots for too long, until one of them is free', async () => {
    const { opened, open } = gate();
    let begun = 0;
    const wait = defineUpdate({
      name: 'wait',
      key: ({ key }: { key: string }) => key,
      initial: () => '',
      apply: async (_: string, { key }) => {
        begun++;
        await opened;
        return key;
      },
    });
    const here = stage({ updates: [wait] });
    const worker = await here.worker({ concurrency: 2 });
    const keys = [here.key(1), here.key(2)];
    const jobs = await here.queue.enqueueBulk(keys.map((key) => ({ update: wait, data: { key } })));
    await eventually('both are begun', () => begun === 2);
    expect((await worker.health({ stuckMs: 0 })).live).toBe(true);
    await eventually('it is stuck', async () => !(await worker.health({ stuckMs: 0 })).live);
    const stuck = await worker.health({ stuckMs: 0 });
    expect(codesOf(stuck)).toEqual(['live UPDATE_TIMED_OUT']);
    expect(stuck.problems[0]?.message).toMatch(/2 slots .*timeoutMs/);
    expect((await worker.health()).live).toBe(true);
    open();
    await here.finished(jobs);
    await eventually('a slot is free', async () => (await worker.health({ stuckMs: 0 })).live);
  });
});

/** The image's health check: its exit code, and what it says. */
function containerHealth(env: Readonly<Record<string, string>>): [number | null, string] {
  const { status, stdout } = spawnSync(process.execPath, [CONTAINER_HEALTH], {
    ...{ encoding: 'utf8', env },
  });
  return [status, stdout];
}

describe('toril worker --http', () => {
  it('answers probes and metrics from before its servers are there until it ends', async () => {
    const memcached = await ownMemcached();
    await memcached.kill();
    const queue = unique('http');
    const at = ['--memcached', memcached.address, '--http', '127.0.0.1:0'];
    const worker = startToril(['worker', '-u', UPDATES, '-q', queue, '--json', ...at]);
    const port = Number((await worker.event('listening'))['port']);
    const ask = async (path: string, method = 'GET'): Promise<[number, string]> => {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method });
      return [answer.status, await answer.text()];
    };
    expect(await ask('/livez')).toEqual([200, 'ok\n']);
    const [status, body] = await ask('/readyz');
    expect(status).toBe(503);
    expect(body).toContain(`not ready\n`);
    expect(body).toContain(`${memcached.address}: MEMCACHED_UNREACHABLE: `);
    await memcached.start();
    await eventually('it is ready', async () => (await ask('/readyz'))[0] === 200, 20_000);
    expect(await ask('/readyz?verbose')).toEqual([200, 'ok\n']);
    const [, metrics] = await ask('/metrics');
    expect(metrics).toContain(`toril_turns_total{messaging_destination_name="${queue}"} 0`);
    expect(metrics).toContain('process_cpu_seconds_total');
    expect(await ask('/')).toEqual([404, 'there are /livez, /readyz and /metrics\n']);
    expect(await ask('/livez', 'POST')).toEqual([405, 'only GET and HEAD\n']);
    expect(await ask('/livez', 'HEAD')).toEqual([200, '']);

    expect(containerHealth({ TORIL_HTTP: `0.0.0.0:${port}` })).toEqual([0, '']);
    await memcached.kill();
    const [unwell, why] = containerHealth({ TORIL_HTTP: String(port) });
    expect([unwell, why]).toEqual([1, expect.stringContaining(memcached.address)]);
    await memcached.start();

    const second = ['worker', '-u', UPDATES, '-q', queue, '--http', String(port)];
    const refused = await toril(second);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain(
      `error INVALID_OPTIONS: --http ${port}: another program listens there already.`,
    );
    worker.signal('SIGTERM');
    expect(await worker.ended()).toMatchObject({ code: 0 });
    expect(containerHealth({ TORIL_HTTP: String(port) })).toEqual([
      1,
      expect.stringContaining('ECONNREFUSED'),
    ]);
  });
});
