/** `toril ui` and `toril dev`, as a user's shell runs them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Queue } from '../../src/index.ts';
import { Browsing } from '../support/browsing.ts';
import { eventually } from '../support/memcached.ts';
import { redisClient, redisKeys } from '../support/redis.ts';
import { redisUrl } from '../support/servers.ts';
import { type RunningCli, startToril, torilHere, unique } from './cli-runner.ts';

const TORIL = fileURLToPath(new URL('../../src/index.ts', import.meta.url));
const NO_SERVER = 'redis://127.0.0.1:1';

/** Signed in by the address that it printed. */
async function opened(running: RunningCli): Promise<Browsing> {
  await running.printed('/sign-in?token=');
  const [address = ''] = /http:\/\/\S+/.exec(running.stdout) ?? [];
  const { origin, search } = new URL(address);
  const browser = new Browsing({
    fetch: (request) =>
      fetch(request.url.replace('http://127.0.0.1:7777', origin), {
        method: request.method,
        headers: request.headers,
        redirect: 'manual',
      }),
  });
  await browser.get(`/sign-in${search}`);
  return browser;
}

/** A program that has the port. */
async function takenPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

describe('toril ui', () => {
  test('serves the page of several queues until it is told to stop', async () => {
    const [one, other] = [unique('ui'), unique('ui')];
    const queue = new Queue(one, { connection: { url: redisUrl() } });
    onTestFinished(() => queue.close());
    await queue.waitUntilReady();
    const running = startToril(['ui', one, other, '--port', '0', '--read-only']);
    const browser = await opened(running);
    const { status, text } = await browser.get('/');
    expect([status, text.includes(one), text.includes(other)]).toEqual([200, true, true]);
    expect(text).toContain('may read');
    expect(running.stderr).toContain(`warning: Redis has no queue "${other}"`);
    expect(running.stderr).not.toContain(one);
    expect(await redisKeys(redisClient(), other)).toEqual([]);
    // A live page does not keep it from stopping.
    const [address = ''] = /http:\/\/[^/]*/.exec(running.stdout) ?? [];
    const live = await fetch(`${address}/live`, { headers: { cookie: browser.cookie ?? '' } });
    expect(live.headers.get('content-type')).toContain('text/event-stream');
    running.signal('SIGTERM');
    expect((await running.ended()).code).toBe(0);
    await live.body?.cancel().catch(() => undefined);
  });

  test.each([
    [
      'a port that is taken',
      async () => ['--port', String(await takenPort())],
      2,
      'INVALID_OPTIONS: --port',
    ],
    [
      'an address of another machine',
      () => ['--host', '192.0.2.1'],
      2,
      'no address of this machine',
    ],
    ['a Redis that is not there', () => ['--redis', NO_SERVER], 3, 'REDIS_FAILED'],
    ['a file that hides nothing', () => ['--hide', TORIL], 2, 'BAD_FILE'],
    ['a name that is no queue', () => ['a:b'], 2, 'INVALID_OPTIONS'],
  ])('says what is wrong with %s', async (_, flags, code, words) => {
    const ended = await torilHere(['ui', '--port', '0', ...(await flags())]);
    expect([ended.code, ended.stderr]).toEqual([code, expect.stringContaining(words)]);
  });
});

describe('toril dev', () => {
  /** A user's file, whose update adds `by`. */
  const updatesFile = (
    by: string,
  ): string => `import { defineUpdate } from ${JSON.stringify(TORIL)};
export default [defineUpdate({ name: 'add', key: () => 'counter', initial: () => 0, apply: (n) => n + ${by} })];`;

  test('runs servers, a worker that follows its file, and the page; Ctrl-C leaves nothing', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'toril-dev-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, 'updates.mjs');
    writeFileSync(file, updatesFile('1'));
    const env = { TORIL_REDIS: undefined, TORIL_MEMCACHED: undefined };
    const running = startToril(['dev', '--updates', file, '--queue', 'dev', '--port', '0'], {
      env,
    });
    const browser = await opened(running);
    const [, url = ''] = /TORIL_REDIS=(\S+)/.exec(running.stdout) ?? [];
    const queue = new Queue('dev', { connection: { url, retryStrategy: () => null } });
    queue.on('error', () => undefined);
    const has = (value: string): Promise<void> =>
      eventually(`the page shows ${value}`, async () =>
        (await browser.get('/key?key=counter')).text.includes(`>${value}</pre>`),
      );
    await queue.add('add', {});
    await has('1');

    writeFileSync(file, 'this is no JavaScript');
    await running.printed('waiting for a change of the updates');
    writeFileSync(file, updatesFile('100'));
    await queue.add('add', {});
    await has('101');

    await queue.close();
    running.signal('SIGINT');
    expect((await running.ended()).code).toBe(130);
    const { hostname, port } = new URL(url);
    await expect(fetch(`http://${hostname}:${port}`)).rejects.toThrow();
  });

  test('refuses a file that is not there, before anything is started', async () => {
    const ended = await torilHere(['dev', '--updates', 'nowhere.mjs']);
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringContaining('BAD_FILE')]);
  });
});
