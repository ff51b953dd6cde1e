/** That the proxy spoils connections as it says, and nothing else. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { eventually } from '../support/memcached.ts';
import { listen } from '../support/scripted-memcached.ts';
import { Proxy } from './proxy.ts';

interface Scene {
  readonly proxy: Proxy;
  readonly client: Socket;
  /** What has arrived at the server so far, and in which pieces. */
  readonly arrived: Buffer[];
  readonly serverClosed: () => boolean;
}

async function scene(): Promise<Scene> {
  const arrived: Buffer[] = [];
  let isClosed = false;
  const server = await listen((socket) => {
    socket.on('data', (bytes: Buffer) => {
      arrived.push(bytes);
      socket.write(bytes); // an echo
    });
    socket.on('close', () => {
      isClosed = true;
    });
  });
  const proxy = await Proxy.open('127.0.0.1', server.port);
  const client = connect(proxy.port, '127.0.0.1');
  client.on('error', () => undefined);
  onTestFinished(async () => {
    client.destroy();
    await proxy.close();
    await server.close();
  });
  await once(client, 'connect');
  client.write('hello');
  expect(String(await once(client, 'data'))).toBe('hello');
  return { proxy, client, arrived, serverClosed: () => isClosed };
}

const text = (arrived: readonly Buffer[]): string => Buffer.concat(arrived).toString();

test('passes everything on, and ends with its client', async () => {
  const { client, arrived, serverClosed } = await scene();
  const large = 'x'.repeat(300_000);
  client.end(large);
  await eventually('all has arrived', () => text(arrived) === `hello${large}`);
  await eventually('the server knows of the end', serverClosed);
});

test('cuts', async () => {
  const { proxy, client, serverClosed } = await scene();
  expect(proxy.cut(undefined)).toBe(1);
  await eventually('the client knows', () => client.destroyed);
  await eventually('the server knows', serverClosed);
});

test('cuts a request at a byte, and what came before it arrives', async () => {
  const { proxy, client, arrived, serverClosed } = await scene();
  expect(proxy.cutAtByte(undefined, 'requests', 3, 10_000)).toBe(1);
  client.write(' never');
  await eventually('the client knows', () => client.destroyed);
  await eventually('the server knows', serverClosed);
  expect(text(arrived)).toBe('hello ne');
});

test('cuts a reply at a byte, and the request has arrived', async () => {
  const { proxy, client, arrived } = await scene();
  let replies = '';
  client.on('data', (bytes) => (replies += String(bytes)));
  proxy.cutAtByte(undefined, 'replies', 3, 10_000);
  client.write(' half');
  await eventually('the client knows', () => client.readableEnded || client.destroyed);
  expect(replies).toBe(' ha');
  expect(text(arrived)).toBe('hello half');
});

test('delivers late what a client had sent that is gone by then', async () => {
  const { proxy, client, arrived } = await scene();
  proxy.cutAndDeliverLate(undefined, 500);
  client.write(' late');
  await eventually('the client is cut off', () => client.destroyed);
  expect(text(arrived)).toBe('hello');
  await eventually('it arrives', () => text(arrived) === 'hello late');
});

test('delivers late also what a client had sent that gave up by itself', async () => {
  const { proxy, client, arrived } = await scene();
  proxy.silence(undefined, 'both', 400, false);
  client.end(' late');
  client.destroySoon();
  await eventually('it is gone', () => client.destroyed);
  expect(text(arrived)).toBe('hello');
  await eventually('it arrives', () => text(arrived) === 'hello late');
});

test('loses replies and no requests', async () => {
  const { proxy, client, arrived } = await scene();
  let replies = '';
  client.on('data', (bytes) => (replies += String(bytes)));
  proxy.silence(undefined, 'replies', 300, false);
  client.write(' deaf');
  await eventually('it arrives', () => text(arrived) === 'hello deaf');
  expect(replies).toBe('');
  await eventually('the reply comes later', () => replies === ' deaf');
});

test('splits, and keeps the order', async () => {
  const { proxy, client, arrived } = await scene();
  proxy.split(undefined, 1, 10_000);
  client.write('0123456789');
  await eventually('all has arrived', () => text(arrived) === 'hello0123456789');
  expect(arrived.length).toBeGreaterThan(3);
});

test('delays until it is healed', async () => {
  const { proxy, client, arrived } = await scene();
  const startedMs = performance.now();
  proxy.delay(undefined, 200, 10_000);
  client.write(' slow');
  await eventually('it arrives', () => text(arrived) === 'hello slow');
  expect(performance.now() - startedMs).toBeGreaterThan(190);
  proxy.heal();
});

test('leaves others alone', async () => {
  const { proxy, client } = await scene();
  expect(proxy.cut('192.0.2.1')).toBe(0);
  client.write('still here');
  expect(String(await once(client, 'data'))).toBe('still here');
});
