/** What networks, names, certificates and the other end do to a connection: with a real memcached behind it. */
import dns from 'node:dns';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { once } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Connection, Outcome } from '../../src/memcached/server.ts';
import type { SocketServer } from '../../src/memcached/socket/socket-server.ts';
import { selfSignedCertificate } from '../support/certificate.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { clientOf, eventually, newItem, textOf } from '../support/memcached.ts';
import { type PrivateServer, startMemcached } from '../support/servers.ts';

const DEADLINE_MS = 250;
const NEVER_MS = 60_000;

let memcached: PrivateServer;
beforeAll(async () => {
  memcached = await startMemcached();
});
afterAll(() => memcached.stop());
afterEach(() => {
  vi.restoreAllMocks();
});

function client(...args: Parameters<typeof clientOf>): SocketServer {
  const server = clientOf(...args);
  onTestFinished(() => server.close());
  return server;
}

interface Relay {
  readonly port: number;
  close(): Promise<void>;
}

/** memcached at another address of this machine. */
async function relay(host: string, port = 0): Promise<Relay> {
  const sockets = new Set<{ destroy(): unknown }>();
  const server = createServer((near) => {
    const far = connect(memcached.port, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
    }
    near.pipe(far).pipe(near);
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
  }).listen(port, host);
  await once(server, 'listening');
  let open = true;
  const close = async (): Promise<void> => {
    if (!open) return;
    open = false;
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  };
  onTestFinished(close);
  return { port: (server.address() as { port: number }).port, close };
}

type Addresses = readonly { readonly address: string; readonly family: 4 | 6 }[];
const V4 = { address: '127.0.0.1', family: 4 } as const;
const V6 = { address: '::1', family: 6 } as const;

/** What the name `memcached.test` means from now on; undefined: nothing. Returns how to change it. */
function named(addresses: Addresses | undefined): (next: Addresses | undefined) => void {
  let now = addresses;
  const real = dns.lookup as (...args: unknown[]) => void;
  const answer = (host: string, ...others: unknown[]): void => {
    if (host !== 'memcached.test') return real(host, ...others);
    const done = others.at(-1) as (error: Error | null, found?: Addresses) => void;
    const error = Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' });
    process.nextTick(() => (now === undefined ? done(error) : done(null, now)));
  };
  vi.spyOn(dns, 'lookup').mockImplementation(answer as never);
  return (next) => {
    now = next;
  };
}

async function isServed(server: SocketServer): Promise<void> {
  const connection = await server.connection();
  expect(textOf(await connection.get('nothing'))).toBe('refused: missing');
}

describe('a name', () => {
  test('IPv6, without one', async () => {
    const { port } = await relay('::1');
    await isServed(client(`[::1]:${port}`));
  });

  test.each([
    ['::1', [V6, V4]],
    ['::1', [V4, V6]],
    ['127.0.0.1', [V6, V4]],
    ['127.0.0.1', [V4, V6]],
  ])('of two addresses is reached at %s, where somebody listens: %j', async (host, addresses) => {
    const { port } = await relay(host);
    named(addresses as Addresses);
    await isServed(client(`memcached.test:${port}`));
  });

  test('of two dead addresses names both', async () => {
    const { port, close } = await relay('127.0.0.1');
    await close();
    named([V6, V4]);
    const server = client(`memcached.test:${port}`, { requestDeadlineMs: DEADLINE_MS });
    await expect(server.connection()).rejects.toMatchObject({
      code: 'MEMCACHED_UNREACHABLE',
      message: expect.stringMatching(/ECONNREFUSED ::1:\d+, connect ECONNREFUSED 127\.0\.0\.1:/),
    });
  });

  test('is looked up again for each attempt', async () => {
    const first = await relay('127.0.0.1');
    const rename = named([V4]);
    const server = client(`memcached.test:${first.port}`, { requestDeadlineMs: NEVER_MS });
    await isServed(server);
    await relay('127.0.0.2', first.port);
    rename([{ address: '127.0.0.2', family: 4 }]);
    await first.close();
    await server.current?.ended;
    await isServed(server);
    expect(server.current?.epoch).toBe(2);
  });

  test('that nobody knows is said, and may become known', async () => {
    const { port } = await relay('127.0.0.1');
    const rename = named(undefined);
    const server = client(`memcached.test:${port}`, { requestDeadlineMs: DEADLINE_MS });
    await expect(server.connection()).rejects.toMatchObject({
      code: 'MEMCACHED_UNREACHABLE',
      message: expect.stringContaining('getaddrinfo ENOTFOUND memcached.test'),
    });
    rename([V4]);
    await eventually('it is connected', () => server.current !== undefined);
  });
});

/** How many bytes the greeting takes, there or back. */
async function lengthOfGreeting(
  what: 'request' | 'reply',
  protocol: 'meta' | 'binary',
): Promise<number> {
  let bytes = 0;
  const proxy = await CuttingProxy.open(memcached.port, (side, chunk) => {
    if (side === what) bytes += chunk.length;
  });
  await client(`127.0.0.1:${proxy.port}`, { protocol }).connection();
  return bytes;
}

/** One request of each kind, in one moment. */
function oneOfEach(connection: Connection, name: string): readonly Promise<Outcome<unknown>>[] {
  return [
    connection.get(name),
    connection.add(name, newItem('added')),
    connection.replace(`${name}-other`, newItem('replaced'), 1n),
    connection.delete(`${name}-other`, 1n),
    connection.bump(`${name}-other`, 1n),
    connection.getAndTouch(name, 100),
  ];
}
const OUTCOMES = ['missing', 'done', 'missing', 'missing', 'missing', 'done'].map((end) =>
  end === 'done' ? end : `refused: ${end}`,
);

describe.each(['meta', 'binary'] as const)('%s: the other end', (protocol) => {
  test.each(['request', 'reply'] as const)(
    'closes at any byte of the greeting (%s): the next attempt succeeds',
    async (what) => {
      const proxy = await CuttingProxy.open(memcached.port);
      const length = await lengthOfGreeting(what, protocol);
      // Each byte at first; then they repeat themselves: one setting after the other.
      const cuts = Array.from({ length }, (_, at) => at + 1).filter(
        (at) => at < 60 || at % 97 === 0,
      );
      for (const bytes of cuts.filter((at) => at < length)) {
        proxy.cutBehind(what, bytes);
        const server = clientOf(`127.0.0.1:${proxy.port}`, { protocol, requestDeadlineMs: 2_000 });
        expect((await server.connection()).alive).toBe(true);
        await server.close();
      }
      expect(proxy.cuts).toBe(cuts.filter((at) => at < length).length);
    },
  );

  test.each(['request', 'reply'] as const)(
    'closes at any byte of a %s: what was answered stays, the rest is unknown',
    async (what) => {
      const proxy = await CuttingProxy.open(memcached.port);
      for (let bytes = 1; ; bytes++) {
        // A new one: the same would wait before it connects again so soon.
        const server = client(`127.0.0.1:${proxy.port}`, { protocol });
        const connection = await server.connection();
        const name = `cut-${protocol}-${what}-${bytes}`;
        proxy.cutBehind(what, bytes);
        const outcomes = (await Promise.all(oneOfEach(connection, name))).map(textOf);
        const known = outcomes.findIndex((outcome) => outcome.startsWith('unknown'));
        if (known < 0) {
          expect(outcomes).toEqual(OUTCOMES);
          expect(bytes).toBeGreaterThan(50);
          break;
        }
        expect(outcomes).toEqual(
          OUTCOMES.map((outcome, at) => (at < known ? outcome : 'unknown: MEMCACHED_CLOSED')),
        );
        expect(connection.alive).toBe(false);
        await server.close();
      }
    },
  );

  test.each([0, 1, 20, 30, 100])(
    'sends %d bytes of the greeting and stops: it is said to be silent',
    async (bytes) => {
      const proxy = await CuttingProxy.open(memcached.port);
      proxy.stallBehind(bytes);
      const server = client(`127.0.0.1:${proxy.port}`, {
        protocol,
        requestDeadlineMs: DEADLINE_MS,
      });
      await expect(server.connection()).rejects.toMatchObject({ code: 'MEMCACHED_TIMED_OUT' });
      proxy.heal();
      await eventually('it is connected', () => server.current !== undefined);
    },
  );

  test.each([0, 1, 5, 30])('sends %d bytes of replies and stops: unknown', async (bytes) => {
    const proxy = await CuttingProxy.open(memcached.port);
    const server = client(`127.0.0.1:${proxy.port}`, { protocol, requestDeadlineMs: DEADLINE_MS });
    const connection = await server.connection();
    proxy.stallBehind(bytes);
    const outcomes = await Promise.all(oneOfEach(connection, `stalled-${protocol}-${bytes}`));
    expect(outcomes.map(textOf).at(-1)).toBe('unknown: MEMCACHED_TIMED_OUT');
    expect(connection.alive).toBe(false);
    proxy.heal();
    await isServed(server);
  });

  test('answers twice: the second answer ends the connection', async () => {
    const proxy = await CuttingProxy.open(memcached.port);
    const server = client(`127.0.0.1:${proxy.port}`, { protocol });
    const connection = await server.connection();
    proxy.doubleReplies();
    expect(textOf(await connection.get('nothing'))).toBe('refused: missing');
    await connection.ended;
    proxy.heal();
    expect(textOf(await connection.get('nothing'))).toBe('refused: not-sent');
    await isServed(server);
  });

  test('answers twice from the beginning: not let in, and said within the deadline', async () => {
    const proxy = await CuttingProxy.open(memcached.port);
    proxy.doubleReplies();
    const server = client(`127.0.0.1:${proxy.port}`, { protocol, requestDeadlineMs: DEADLINE_MS });
    await expect(server.connection()).rejects.toMatchObject({
      code: expect.stringMatching(/^MEMCACHED_(PROTOCOL|CLOSED)$/),
    });
  });
});

describe.each(['meta', 'binary'] as const)('%s: a certificate', (protocol) => {
  async function overTls(certificate: { readonly cert: string; readonly key: string }) {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'toril-test-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const [cert, key] = ['cert.pem', 'key.pem'].map((name) => path.join(folder, name));
    writeFileSync(cert ?? '', certificate.cert);
    writeFileSync(key ?? '', certificate.key);
    const flags = ['-Z', '-o', `ssl_chain_cert=${cert},ssl_key=${key}`];
    const server = await startMemcached({ flags });
    onTestFinished(() => server.stop());
    return server.address;
  }

  const refused = async (server: SocketServer, message: RegExp): Promise<void> =>
    expect(server.connection()).rejects.toMatchObject({
      code: 'MEMCACHED_TLS',
      message: expect.stringMatching(message),
    });
  const soon = { protocol, requestDeadlineMs: 500 };

  test('of its own is trusted if it is given, and only then', async () => {
    const certificate = selfSignedCertificate();
    const address = await overTls(certificate);
    await isServed(client(address, { protocol, tls: { ca: certificate.cert } }));
    const untrusted = /signed by nobody that this program trusts .*Give the certificate/;
    await refused(client(address, { ...soon, tls: true }), untrusted);
    const another = { ca: selfSignedCertificate().cert };
    await refused(client(address, { ...soon, tls: another }), untrusted);
  });

  test('for another name', async () => {
    const certificate = selfSignedCertificate({ ip: [10, 0, 0, 6] });
    const tls = { ca: certificate.cert };
    const server = client(await overTls(certificate), { ...soon, tls });
    await refused(server, /is for another name .*10\.0\.0\.6.*servername/);
  });

  test.each([
    ['expired', [-3, -1], /has expired .*Renew it/],
    ['not valid yet', [1, 3], /not valid yet .*clock/],
  ] as const)('that is %s', async (_, years, message) => {
    const certificate = selfSignedCertificate({ years });
    const tls = { ca: certificate.cert };
    await refused(client(await overTls(certificate), { ...soon, tls }), message);
  });
});
