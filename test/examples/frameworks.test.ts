/** docs/frameworks.md: its files as they stand, each behind a real server of its framework. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { getRequestListener } from '@hono/node-server';
import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { Express } from 'express';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { Queue, Worker, type AnyUpdate } from '../../src/index.ts';
import {
  getQueueToken,
  getWorkerToken,
  TorilHealthIndicator,
  type TorilHealthPart,
} from '../../src/nestjs.ts';
import { eventually } from '../support/memcached.ts';
import { expectMountedPage } from '../support/mounted-page.ts';
import { stepsOf } from '../support/pages.ts';
import { type PrivateServer, startMemcached, startRedis } from '../support/servers.ts';
import type { Ui } from '../../src/ui.ts';

/** As the recipes have them. */
const PAGE = '/admin/toril';
const PAGE_TOKEN = 'sixteen-characters-and-more';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

let folder: string;
let redis: PrivateServer;
let memcached: PrivateServer;

beforeAll(async () => {
  process.env['TORIL_UI_TOKEN'] = PAGE_TOKEN;
  [redis, memcached] = await Promise.all([startRedis(), startMemcached()]);
  mkdirSync(join(ROOT, '.toril'), { recursive: true });
  folder = mkdtempSync(join(ROOT, '.toril', 'frameworks-'));
  for (const page of ['guide/first-steps.md', 'frameworks.md']) {
    for (const step of stepsOf(readFileSync(join(ROOT, 'docs', page), 'utf8'))) {
      if (step.kind !== 'file') continue;
      const content = step.content
        .replaceAll('port: 6379', `port: ${redis.port}`)
        .replaceAll('localhost:11211', `localhost:${memcached.port}`);
      mkdirSync(dirname(join(folder, step.name)), { recursive: true });
      writeFileSync(join(folder, step.name), content);
    }
  }
  const compilerOptions = {
    ...{ experimentalDecorators: true, emitDecoratorMetadata: true, erasableSyntaxOnly: false },
    paths: { toril: ['../../src/index.ts'], 'toril/*': ['../../src/*.ts'] },
  };
  const config = {
    ...{ extends: '../../tsconfig.json', compilerOptions },
    include: ['**/*.ts', '../../src/**/*.d.ts'],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await Promise.all([redis.stop(), memcached.stop()]);
});

const load = async <T>(file: string): Promise<T> =>
  (await import(pathToFileURL(join(folder, file)).href)) as T;

/** As the first steps have it, in a process of its own there. */
async function aWorker(): Promise<void> {
  const { deposit } = await load<{ deposit: AnyUpdate }>('bank.ts');
  const connection = { port: redis.port };
  const servers = `localhost:${memcached.port}`;
  const worker = new Worker('bank', { connection, memcached: servers, updates: [deposit] });
  onTestFinished(() => worker.close());
}

interface Bank {
  put(id: string, body: unknown): Promise<Response>;
  get(id: string): Promise<Response>;
}

function bankAt(port: number): Bank {
  const at = (path: string): string => `http://127.0.0.1:${port}/accounts/${path}`;
  const headers = { 'content-type': 'application/json' };
  return {
    put: (id, body) =>
      fetch(at(`${id}/deposits`), { method: 'POST', headers, body: JSON.stringify(body) }),
    get: (id) => fetch(at(id)),
  };
}

async function expectValue(bank: Bank, id: string, value: unknown): Promise<void> {
  let found: unknown;
  await eventually(`the value of ${id}`, async () => {
    const response = await bank.get(id);
    found = response.ok ? await response.json() : response.status;
    return response.ok;
  });
  expect(found).toEqual(value);
}

test('express', async () => {
  await aWorker();
  const { app, close } = await load<{ app: Express; close(): Promise<void> }>('express-app.ts');
  const server = app.listen(0);
  onTestFinished(() => {
    server.close();
    return close();
  });
  const bank = bankAt((server.address() as AddressInfo).port);
  expect((await bank.get('eve')).status).toBe(404);
  const answers = [await bank.put('eve', { cents: 250 }), await bank.put('eve', { cents: 150 })];
  expect(await Promise.all(answers.map((one) => one.json()))).toEqual([
    { cents: 250 },
    { cents: 400 },
  ]);
  const refused = await bank.put('eve', { cents: 'many' });
  expect([refused.status, ((await refused.json()) as { error: string }).error]).toEqual([
    400,
    expect.stringContaining('cents'),
  ]);
  await expectValue(bank, 'eve', { cents: 400, deposits: 2 });
});

test('fastify', async () => {
  await aWorker();
  const { app } = await load<{ app: FastifyInstance }>('fastify-app.ts');
  onTestFinished(() => app.close());
  await app.listen({ port: 0 });
  const bank = bankAt((app.server.address() as AddressInfo).port);
  expect((await bank.get('bob')).status).toBe(404);
  expect((await bank.put('bob', { cents: 5 })).status).toBe(202);
  expect((await bank.put('bob', { cents: -5 })).status).toBe(400);
  await expectValue(bank, 'bob', { cents: 5, deposits: 1 });
});

interface NextBank {
  readonly queue: Queue;
  readonly cells: { close(): Promise<void> };
}

/** The next one who asks gets another one. */
async function closed({ queue, cells }: NextBank): Promise<void> {
  await Promise.all([queue.close(), cells.close()]);
  delete (globalThis as typeof globalThis & { bank?: NextBank }).bank;
}

test('a route of Next', async () => {
  await aWorker();
  interface Route {
    GET(request: Request, place: { params: Promise<{ id: string }> }): Promise<Response>;
    POST: Route['GET'];
  }
  const { GET, POST } = await load<Route>('app/accounts/[id]/route.ts');
  const { bank } = await load<{ bank(): NextBank }>('bank-server.ts');
  onTestFinished(() => closed(bank()));
  const url = 'http://localhost/accounts/cid';
  const route: Bank = {
    put: (id, body) =>
      POST(new Request(url, { method: 'POST', body: JSON.stringify(body) }), {
        params: Promise.resolve({ id }),
      }),
    get: (id) => GET(new Request(url), { params: Promise.resolve({ id }) }),
  };
  expect((await route.get('cid')).status).toBe(404);
  expect((await route.put('cid', { cents: 7 })).status).toBe(202);
  expect((await route.put('cid', {})).status).toBe(400);
  await expectValue(route, 'cid', { cents: 7, deposits: 1 });
});

test('the page in a route of Next', async () => {
  interface Route {
    GET(request: Request, place: object): Promise<Response>;
    POST: Route['GET'];
  }
  const { GET, POST } = await load<Route>('app/admin/toril/[[...path]]/route.ts');
  const { bank } = await load<{ bank(): NextBank }>('bank-server.ts');
  // Next gives each method its handler, and requests with the whole address.
  const next = getRequestListener((request) =>
    (request.method === 'POST' ? POST : GET)(request, { params: Promise.resolve({ path: [] }) }),
  );
  const server = createServer((request, response) => void next(request, response));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { queue } = bank();
  onTestFinished(() => closed(bank()));
  const { ended } = await expectMountedPage({ address, path: PAGE, queue, token: PAGE_TOKEN });
  await (globalThis as typeof globalThis & { page?: Ui }).page?.close();
  await ended;
  server.close();
  await once(server, 'close');
});

interface NestBank {
  BankModule: new () => object;
  BankListener: new () => { completed: string[]; held: string[] };
}

interface NestPage {
  BankPage: new () => { mount(app: INestApplication): void };
}

async function nest(): Promise<{
  app: INestApplication;
  bank: Bank;
  listener: InstanceType<NestBank['BankListener']>;
}> {
  const { BankModule, BankListener } = await load<NestBank>('bank.module.ts');
  const { BankPage } = await load<NestPage>('bank-page.ts');
  const app = await NestFactory.create(BankModule, { logger: false });
  onTestFinished(() => app.close());
  app.get(BankPage).mount(app);
  await app.listen(0, '127.0.0.1');
  const { port } = app.getHttpServer().address() as AddressInfo;
  return { app, bank: bankAt(port), listener: app.get(BankListener) };
}

test('Nest', async () => {
  const { app, bank, listener } = await nest();
  const queue = app.get<Queue>(getQueueToken('bank'));
  const worker = app.get<Worker>(getWorkerToken('bank'));
  expect((await bank.get('dan')).status).toBe(404);
  const { job } = (await (await bank.put('dan', { cents: 9 })).json()) as { job: string };
  await expectValue(bank, 'dan', { cents: 9, deposits: 1 });
  await eventually('a listener', () => listener.completed.includes(job));

  const health = app.get(TorilHealthIndicator);
  const up = { status: 'up' };
  expect(await health.isHealthy()).toEqual({
    toril: { ...up, 'worker bank': up, 'queue bank': up },
  });
  await memcached.kill();
  await eventually('the health to tell', async () => {
    const { status, message } = (await health.isHealthy('here')).here[
      'worker bank'
    ] as TorilHealthPart;
    return status === 'down' && message?.includes('cannot be reached') === true;
  });
  expect((await health.isHealthy()).toril.status).toBe('down');
  await memcached.start();

  await app.close();
  expect(worker.status().state).toBe('closed');
  await expect(queue.add('deposit', {})).rejects.toThrow();
});

test('the page in Nest', async () => {
  const { app, bank } = await nest();
  const address = await app.getUrl();
  const queue = app.get<Queue>(getQueueToken('bank'));
  const { ended } = await expectMountedPage({ address, path: PAGE, queue, token: PAGE_TOKEN });
  // Its own routes still have their bodies parsed.
  expect((await bank.put('fay', { cents: 3 })).status).toBe(201);
  await expectValue(bank, 'fay', { cents: 3, deposits: 1 });
  await app.close(); // with the live page still open
  await ended;
});

test('have the right types', () => {
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const args = [tsc, '-p', folder, '--rootDir', ROOT];
  let told = '';
  try {
    execFileSync(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (thrown) {
    told = String((thrown as { stdout: Buffer }).stdout);
  }
  expect(told).toBe('');
});
