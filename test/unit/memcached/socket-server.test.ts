/** Reaching a server, losing it and reaching it again. */
import net from 'node:net';
import tls from 'node:tls';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import {
  RECONNECT_FIRST_MS,
  RECONNECT_LAST_MS,
  reconnectDelayMs,
} from '../../../src/memcached/socket/socket-server.ts';
import { selfSignedCertificate } from '../../support/certificate.ts';
import { clientOf, eventually, textOf } from '../../support/memcached.ts';
import {
  HEALTHY,
  listen,
  onRequests,
  replySettings,
  type ScriptedMemcached,
  type ScriptedRequest,
  STAT,
  scriptedMemcached,
} from '../../support/scripted-memcached.ts';

const NEVER_MS = 60_000;

const toClose: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of toClose.splice(0).toReversed()) await close();
});

function client(...args: Parameters<typeof clientOf>): ReturnType<typeof clientOf> {
  const server = clientOf(...args);
  toClose.push(() => server.close());
  return server;
}

async function healthy(onPort?: number): Promise<ScriptedMemcached> {
  const memcached = await scriptedMemcached(
    (request) => request.reply({ status: 1 }),
    HEALTHY,
    onPort,
  );
  toClose.push(() => memcached.close());
  return memcached;
}

/** An address at which nobody listens. */
async function nobody(): Promise<number> {
  const { port, close } = await listen(() => {});
  await close();
  return port;
}

describe('an unreachable server', () => {
  test('is named, with what the system says', async () => {
    const port = await nobody();
    const server = client(`127.0.0.1:${port}`, { requestDeadlineMs: 100 });
    await expect(server.connection()).rejects.toMatchObject({
      code: 'MEMCACHED_UNREACHABLE',
      message: expect.stringContaining(`127.0.0.1:${port} cannot be reached: connect ECONNREFUSED`),
      cause: { code: 'ECONNREFUSED' },
    });
    expect(server.current).toBeUndefined();
  });

  test('of several addresses, too', async () => {
    const server = client(`localhost:${await nobody()}`, { requestDeadlineMs: 1_000 });
    await expect(server.connection()).rejects.toMatchObject({
      message: expect.stringContaining('connect ECONNREFUSED'),
    });
  });

  test('is reached when it comes within the deadline', async () => {
    const port = await nobody();
    const server = client(`127.0.0.1:${port}`, { requestDeadlineMs: NEVER_MS });
    const waiting = [server.connection(), server.connection()];
    await healthy(port);
    const [first, second] = await Promise.all(waiting);
    expect(first).toBe(second);
    expect(first?.epoch).toBe(1);
  });

  test('is tried in the background after the deadline', async () => {
    const port = await nobody();
    const server = client(`127.0.0.1:${port}`, { requestDeadlineMs: 30 });
    await expect(server.connection()).rejects.toMatchObject({ code: 'MEMCACHED_UNREACHABLE' });
    await healthy(port);
    await eventually('it is connected', () => server.current !== undefined);
  });

  test('that does not complete the connection is given up', async () => {
    // TCP cannot be kept waiting on one machine; a TLS handshake without an answer can.
    const listener = await listen(() => {});
    toClose.push(() => listener.close());
    const deadlines = { connectDeadlineMs: 40, requestDeadlineMs: 400 };
    const server = client(listener.address, { ...deadlines, tls: true });
    await expect(server.connection()).rejects.toMatchObject({
      code: 'MEMCACHED_UNREACHABLE',
      message: expect.stringContaining('no connection within 40 ms'),
    });
    expect(listener.sockets.length).toBeGreaterThan(1);
  });
});

describe('attempts', () => {
  test('wait longer and longer, with jitter, up to a limit', () => {
    const longest = [1, 2, 3, 4, 5, 6, 7, 1000].map((failures) => reconnectDelayMs(failures, 1));
    expect(longest).toEqual([25, 50, 100, 200, 400, 500, 500, 500]);
    expect(reconnectDelayMs(1, 0)).toBe(RECONNECT_FIRST_MS / 2);
    expect(reconnectDelayMs(1000, 0)).toBe(RECONNECT_LAST_MS / 2);
  });

  test('do not race with a server that takes every connection and drops it', async () => {
    let dropped = 0;
    const memcached = await scriptedMemcached(() => {});
    toClose.push(() => memcached.close());
    const server = client(memcached.address);
    const started = performance.now();
    while (dropped < 5) {
      const connection = await server.connection();
      memcached.sockets.at(-1)?.destroy();
      await connection.ended;
      dropped++;
    }
    // The waits before the second to the fifth, each halved by the best of luck: 25+50+100+200 ms.
    expect(performance.now() - started).toBeGreaterThan((25 + 50 + 100 + 200) / 2 - 5);
  });

  test('are made at once after a misconfiguration is reported, and succeed when it is mended', async () => {
    let cas = 'no';
    const listener = await listen((socket) =>
      onRequests(socket, (request) => {
        if (request.opcode === STAT) replySettings(request, { ...HEALTHY, cas_enabled: cas });
        else request.reply({ value: '1' });
      }),
    );
    toClose.push(() => listener.close());
    const server = client(listener.address, { requestDeadlineMs: NEVER_MS });
    await expect(server.connection()).rejects.toMatchObject({ code: 'MEMCACHED_CAS_DISABLED' });
    cas = 'yes';
    expect((await server.connection()).alive).toBe(true);
  });
});

describe('a server that was known and hangs', () => {
  test('is unreachable, not said to speak no binary protocol', async () => {
    const memcached = await healthy();
    const server = client(memcached.address, { requestDeadlineMs: 60 });
    const connection = await server.connection();
    const { port } = memcached;
    await memcached.close();
    await connection.ended;
    const silent = await listen(() => {}, port);
    toClose.push(() => silent.close());
    await eventually('it is tried', () => silent.sockets.length > 0);
    await expect(server.connection()).rejects.toMatchObject({
      code: 'MEMCACHED_UNREACHABLE',
      message: expect.stringContaining('does not answer'),
    });
  });
});

describe('close', () => {
  test('ends the waiting and the attempts', async () => {
    const silent = await listen((socket) => socket.resume());
    toClose.push(() => silent.close());
    const server = clientOf(silent.address, { requestDeadlineMs: NEVER_MS });
    const waiting = server.connection();
    const rejected = expect(waiting).rejects.toMatchObject({ code: 'CLOSED' });
    await eventually('it is connected', () => silent.sockets.length === 1);
    await server.close();
    await rejected;
    await eventually('the socket is gone', () => silent.sockets[0]?.closed === true);
  });

  test('of what was never used', async () => {
    const server = clientOf('127.0.0.1:1');
    await server.close();
    await expect(server.connection()).rejects.toMatchObject({ code: 'CLOSED' });
  });

  test('ends the wait between two attempts', async () => {
    const server = clientOf(`127.0.0.1:${await nobody()}`, { requestDeadlineMs: NEVER_MS });
    const waiting = expect(server.connection()).rejects.toMatchObject({ code: 'CLOSED' });
    await server.close();
    await waiting;
  });
});

const GET_QUIETLY = 0x09;

describe('TLS', () => {
  const certificate = selfSignedCertificate();

  async function overTls(): Promise<string> {
    const answer = (request: ScriptedRequest): void => {
      if (request.opcode === STAT) replySettings(request, HEALTHY);
      else if (request.opcode !== GET_QUIETLY) request.reply({ value: '1' });
    };
    const server = tls.createServer(certificate, (socket) => onRequests(socket, answer));
    server.on('tlsClientError', () => {});
    const sockets = new Set<net.Socket>();
    server.on('connection', (socket: net.Socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    toClose.push(async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    });
    return `127.0.0.1:${(server.address() as net.AddressInfo).port}`;
  }

  test('with the authority that the user names', async () => {
    const server = client(await overTls(), { tls: { ca: certificate.cert } });
    const connection = await server.connection();
    expect(textOf(await connection.get('a'))).toBe('refused: missing');
  });

  test('refuses a certificate that nobody vouches for', async () => {
    const server = client(await overTls(), { tls: true, requestDeadlineMs: 200 });
    await expect(server.connection()).rejects.toMatchObject({
      code: 'MEMCACHED_TLS',
      message: expect.stringMatching(/self-signed certificate.*in tls: \{ ca \}/),
    });
  });

  test('with a server that speaks none', async () => {
    const memcached = await healthy();
    const server = client(memcached.address, {
      tls: true,
      requestDeadlineMs: 200,
      connectDeadlineMs: 50,
    });
    await expect(server.connection()).rejects.toMatchObject({ code: 'MEMCACHED_UNREACHABLE' });
  });
});
