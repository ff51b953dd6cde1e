/** Real servers as operators start them, wrongly or with more than the basics. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, type TestContext, test } from 'vitest';
import type { SocketServer } from '../../src/memcached/socket/socket-server.ts';
import { selfSignedCertificate } from '../support/certificate.ts';
import { describeBuilds } from '../support/memcached-builds.ts';
import { clientOf, newItem, textOf, valueOf } from '../support/memcached.ts';
import { type PrivateServer, startMemcached } from '../support/servers.ts';

const toClose: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of toClose.splice(0).toReversed()) await close();
});

function client(...args: Parameters<typeof clientOf>): SocketServer {
  const server = clientOf(...args);
  toClose.push(() => server.close());
  return server;
}

function folder(): string {
  const made = mkdtempSync(path.join(os.tmpdir(), 'toril-test-'));
  toClose.push(() => rmSync(made, { recursive: true }));
  return made;
}

describeBuilds('memcached', (build) => {
  async function memcached(...flags: string[]): Promise<PrivateServer> {
    const server = await startMemcached({ binary: build.binary, flags });
    toClose.push(() => server.stop());
    return server;
  }

  test('-C: refused, since no write could be conditional', async () => {
    const { address } = await memcached('-C');
    await expect(client(address).connection()).rejects.toMatchObject({
      code: 'MEMCACHED_CAS_DISABLED',
    });
  });

  test('-B ascii: keeps silent, and it is said what that may mean', async () => {
    const { address } = await memcached('-B', 'ascii');
    const server = client(address, { protocol: 'binary', requestDeadlineMs: 100 });
    await expect(server.connection()).rejects.toMatchObject({
      code: 'MEMCACHED_TIMED_OUT',
      message: expect.stringContaining('-B ascii'),
    });
  });

  test('-B binary', async () => {
    const { address } = await memcached('-B', 'binary');
    expect((await client(address, { protocol: 'binary' }).connection()).alive).toBe(true);
  });

  test('-B binary, and only meta is allowed: closed at once, and said what that may mean', async () => {
    const { address } = await memcached('-B', 'binary');
    const server = client(address, { protocol: 'meta', requestDeadlineMs: 300 });
    await expect(server.connection()).rejects.toMatchObject({
      code: 'MEMCACHED_CLOSED',
      message: expect.stringContaining('does not speak the protocol that is set'),
    });
  });

  test('-I: tells its largest item', async () => {
    const { address } = await memcached('-I', '2m');
    const server = client(address);
    const connection = await server.connection();
    expect(server.facts?.itemSizeMax).toBe(2 * 1024 * 1024);
    const value = Buffer.alloc(2 * 1024 * 1024 - 100, 'x');
    expect(textOf(await connection.add('large', newItem(value)))).toBe('done');
    expect(valueOf(await connection.get('large')).value.equals(value)).toBe(true);
  });

  test('-M, filled up: out of memory, and what is there stays', async () => {
    const { address } = await memcached('-M', '-m', '4');
    const connection = await client(address).connection();
    const filling = Array.from({ length: 100 }, (_, index) =>
      connection.add(`filler-${index}`, newItem(Buffer.alloc(100_000))),
    );
    const outcomes = await Promise.all(filling);
    const added = outcomes.findIndex(({ kind }) => kind === 'done');
    const cas = valueOf(outcomes[added] ?? { kind: 'refused', reason: 'missing' });
    expect(textOf(outcomes.at(-1) ?? { kind: 'refused', reason: 'missing' })).toBe(
      'refused: out-of-memory',
    );
    const name = `filler-${added}`;
    const next = newItem(Buffer.alloc(100_000));
    expect(textOf(await connection.replace(name, next, cas))).toBe('refused: out-of-memory');
    expect(textOf(await connection.bump(name, cas))).toBe('refused: missing');
    expect(valueOf(await connection.get(name)).cas).toBe(cas);
  });

  test.each(['auto', 'binary'] as const)(
    '-c, used up: unreachable, and said why (%s)',
    async (protocol) => {
      const { address } = await memcached('-c', '40');
      // 60 at once take their time on a busy machine: what has not answered yet is silent, not full.
      const settings = { protocol, requestDeadlineMs: 2_000 };
      const clients = Array.from({ length: 60 }, () => client(address, settings).connection());
      const settled = await Promise.allSettled(clients);
      const rejected = settled.filter((one) => one.status === 'rejected');
      expect(rejected.length).toBeGreaterThan(0);
      for (const { reason } of rejected) {
        expect(reason).toMatchObject({
          code: 'MEMCACHED_UNREACHABLE',
          message: expect.stringContaining('takes no more connections'),
        });
      }
    },
  );

  describe.each(['auto', 'binary'] as const)('-S, %s', (protocol) => {
    /** `moreConfig`: further lines of its SASL configuration. */
    async function withSasl(
      { skip }: TestContext,
      config: string = folder(),
      moreConfig = '',
    ): Promise<PrivateServer> {
      skip(!build.can['-S'], 'built without SASL');
      writeFileSync(path.join(config, 'memcached.conf'), `mech_list: plain\n${moreConfig}`);
      const before = process.env.SASL_CONF_PATH;
      process.env.SASL_CONF_PATH = config;
      toClose.push(() => {
        if (before === undefined) delete process.env.SASL_CONF_PATH;
        else process.env.SASL_CONF_PATH = before;
      });
      return memcached('-S');
    }

    test('asks for user and password', async (context) => {
      const { address } = await withSasl(context);
      await expect(client(address, { protocol }).connection()).rejects.toMatchObject({
        code: 'MEMCACHED_AUTH',
        message: expect.stringContaining('asks for a user name and a password'),
      });
    });

    test('lets in who has a password', async (context) => {
      const { saslPasswords } = build;
      if (saslPasswords === undefined) return context.skip('no saslpasswd2 to make a user with');
      const credentials = { username: 'alice', password: 'pa ss:w@rd' };
      const config = folder();
      const users = path.join(config, 'users');
      const realm = ['-u', os.hostname(), '-a', 'memcached', '-f', users];
      const made = spawnSync(saslPasswords, ['-p', '-c', ...realm, credentials.username], {
        input: credentials.password,
      });
      expect(made.stderr.toString()).toBe('');
      // memcached gives up its rights before it reads them.
      for (const [file, mode] of [
        [config, 0o755],
        [users, 0o644],
      ] as const)
        chmodSync(file, mode);
      const { address } = await withSasl(context, config, `sasldb_path: ${users}\n`);
      const connection = await client(address, { protocol, ...credentials }).connection();
      expect(textOf(await connection.add('item', newItem('x')))).toBe('done');
      const wrong = { ...credentials, password: 'pa ss' };
      await expect(client(address, { protocol, ...wrong }).connection()).rejects.toMatchObject({
        code: 'MEMCACHED_AUTH',
      });
    });

    test('refuses wrong ones', async (context) => {
      const { address } = await withSasl(context);
      const credentials = { username: 'nobody', password: 'wrong' };
      await expect(
        client(address, { protocol, ...credentials }).connection(),
      ).rejects.toMatchObject({
        code: 'MEMCACHED_AUTH',
        message: expect.stringContaining('refused the user "nobody"'),
      });
    });

    test('without it, a password is refused', async () => {
      const { address } = await memcached();
      const credentials = { username: 'nobody', password: 'needless' };
      await expect(
        client(address, { protocol, ...credentials }).connection(),
      ).rejects.toMatchObject({
        code: 'MEMCACHED_AUTH',
        message: expect.stringContaining('asks for no password'),
      });
    });
  });

  describe.each(['meta', 'binary'] as const)('-Z, %s', (protocol) => {
    async function withTls({ skip }: TestContext): Promise<{ address: string; cert: string }> {
      skip(!build.can['-Z'], 'built without TLS');
      const certificate = selfSignedCertificate();
      const [cert, key] = ['cert.pem', 'key.pem'].map((name) => path.join(folder(), name));
      writeFileSync(cert ?? '', certificate.cert);
      writeFileSync(key ?? '', certificate.key);
      const files = `ssl_chain_cert=${cert},ssl_key=${key}`;
      const { address } = await memcached('-Z', '-o', files);
      return { address, cert: certificate.cert };
    }

    test('over TLS', async (context) => {
      const { address, cert } = await withTls(context);
      const connection = await client(address, { protocol, tls: { ca: cert } }).connection();
      const value = Buffer.alloc(300_000, 'tls');
      const outcomes = await Promise.all([
        connection.add('large', newItem(value)),
        connection.get('large'),
      ]);
      expect(outcomes.map(textOf)).toEqual(['done', 'done']);
      expect(valueOf(outcomes[1]).value.equals(value)).toBe(true);
    });

    // memcached 1.6.18 leaves the end of a TLS record lying until more arrives (src/memcached/socket/outbox.ts).
    test.for([
      [100, 4_000],
      [2_000, 100],
      [10, 16_384],
      [10, 40_000],
    ])(
      'over TLS: %d requests of one moment with %d bytes each',
      async ([count = 0, bytes = 0], context) => {
        const { address, cert } = await withTls(context);
        const connection = await client(address, { protocol, tls: { ca: cert } }).connection();
        const requests = Array.from({ length: count }, (_, index) => [
          connection.add(`item-${index}`, newItem(Buffer.alloc(bytes))),
          connection.delete(`none-${index}`, 1n),
        ]);
        const outcomes = await Promise.all(requests.flat());
        const kinds = new Set(outcomes.map(textOf));
        expect(kinds).toEqual(new Set(['done', 'refused: missing']));
      },
    );

    test('without TLS: said to hang up, with a hint', async (context) => {
      const { address } = await withTls(context);
      const server = client(address, { protocol, requestDeadlineMs: 300 });
      await expect(server.connection()).rejects.toMatchObject({
        code: expect.stringMatching(/^MEMCACHED_(CLOSED|TIMED_OUT)$/),
        message: expect.stringContaining('-Z: set tls'),
      });
    });
  });
});
