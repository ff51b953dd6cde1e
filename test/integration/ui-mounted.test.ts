/** The page below a path of each kind of server. Nest and Next.js: test/examples/frameworks.test.ts, by the recipes of the docs. */
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import { expect, onTestFinished, test } from 'vitest';
import { Queue } from '../../src/index.ts';
import { createUi, type Ui } from '../../src/ui.ts';
import { expectMountedPage } from '../support/mounted-page.ts';
import { memcachedAddresses, redisUrl } from '../support/servers.ts';
import { unique } from './cli-runner.ts';

const path = '/admin/toril';
const token = 'a token of sixteen characters and more'.replaceAll(' ', '-');

interface Host {
  readonly address: string;
  /** As the host's own way is: ends when its last connection has ended. */
  close(): Promise<unknown>;
}

async function listening(listener: RequestListener): Promise<Host> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = async (): Promise<void> => {
    server.close();
    await once(server, 'close');
  };
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}

/** An application that had a body parser first would leave nothing of a form. */
async function inFastify(ui: Ui): Promise<Host> {
  const app = fastify();
  app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
    scope.all(`${path}/*`, (request, reply) => {
      reply.hijack();
      void ui.node(request.raw, reply.raw);
    });
  });
  const address = await app.listen({ port: 0, host: '127.0.0.1' });
  return { address, close: () => app.close() };
}

const HOSTS: Readonly<Record<string, (ui: Ui) => Promise<Host>>> = {
  "Node's own server": (ui) => listening((request, response) => void ui.node(request, response)),
  express: (ui) =>
    listening(express().use(path, (request, response) => void ui.node(request, response))),
  fastify: inFastify,
  hono: (ui) => {
    const app = new Hono().all(`${path}/*`, ({ req }) => ui.fetch(req.raw));
    const listener = getRequestListener(app.fetch);
    return listening((request, response) => void listener(request, response));
  },
};

test.each(Object.keys(HOSTS))('%s: with tokens of its own, and closes', async (name) => {
  const queue = new Queue(unique('mounted'), { connection: { url: redisUrl() } });
  onTestFinished(() => queue.close());
  const ui = createUi({
    ...{ queues: [queue], memcached: [...memcachedAddresses()], basePath: path },
    tokens: [{ token, who: 'ada', may: 'write' }],
  });
  const host = (await HOSTS[name]?.(ui)) as Host;
  const { ended } = await expectMountedPage({ address: host.address, path, queue, token });
  expect((await queue.audit.read()).acts).toMatchObject([{ who: 'ada', what: 'resume' }]);
  await ui.close();
  await ended;
  await host.close();
});

test("the host's own sessions are asked for each request, also below a path", async () => {
  const queue = new Queue(unique('mounted'), { connection: { url: redisUrl() } });
  onTestFinished(() => queue.close());
  const asked: string[] = [];
  const ui = createUi({
    ...{ queues: [queue], basePath: path },
    authorize: (request) => {
      asked.push(new URL(request.url).pathname);
      return { who: 'ada', may: 'write' };
    },
  });
  const host = (await HOSTS['express']?.(ui)) as Host;
  const { ended } = await expectMountedPage({ address: host.address, path, queue });
  expect(asked).toContain('/live');
  await ui.close();
  await ended;
  await host.close();
});
