/** What the meta protocol has for traps, and that Toril walks into none of them: on real servers. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { MemcachedSettings } from '../../src/memcached/options.ts';
import type { Cas, Connection, NewItem } from '../../src/memcached/server.ts';
import type { SocketServer } from '../../src/memcached/socket/socket-server.ts';
import { describeBuilds, knowsE, type MemcachedBuild } from '../support/memcached-builds.ts';
import { clientOf, eventually, newItem, textOf, valueOf } from '../support/memcached.ts';
import { said } from '../support/raw-memcached.ts';
import { type PrivateServer, startMemcached } from '../support/servers.ts';

const toClose: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of toClose.splice(0).toReversed()) await close();
});

async function memcached(build: MemcachedBuild, ...flags: string[]): Promise<PrivateServer> {
  const server = await startMemcached({ binary: build.binary, flags });
  toClose.push(() => server.stop());
  return server;
}

function client(address: string, settings: Omit<MemcachedSettings, 'servers'> = {}): SocketServer {
  const server = clientOf(address, { protocol: 'meta', ...settings });
  toClose.push(() => server.close());
  return server;
}

const copied = (item: NewItem): NewItem => ({ ...item, isCopied: true });

describeBuilds('meta, memcached', (build) => {
  describe('a write with a copy behind it', () => {
    let connection: Connection;
    beforeEach(async () => {
      const { address } = await memcached(build);
      connection = await client(address).connection();
    });

    test('adds only where nothing is', async () => {
      const cas = valueOf(await connection.add('a', copied(newItem('1', 0, 0xffff_ffff))));
      expect(textOf(await connection.add('a', copied(newItem('2'))))).toBe('refused: exists');
      const item = valueOf(await connection.get('a'));
      expect(item).toEqual({ value: Buffer.from('1'), flags: 0xffff_ffff, cas });
    });

    test('replaces only what has its CAS', async () => {
      const missing = await connection.replace('a', copied(newItem('0')), 1n);
      const first = valueOf(await connection.add('a', copied(newItem('1'))));
      const second = valueOf(await connection.replace('a', copied(newItem('2', 0, 7)), first));
      const stale = await connection.replace('a', copied(newItem('3')), first);
      expect([missing, stale].map(textOf)).toEqual(['refused: missing', 'refused: exists']);
      const item = valueOf(await connection.get('a'));
      expect(item).toEqual({ value: Buffer.from('2'), flags: 7, cas: second });
    });

    test('expires', async () => {
      const cas = valueOf(await connection.add('a', copied(newItem('1'))));
      await connection.replace('a', copied(newItem('2', 1)), cas);
      await eventually('it expires', async () => (await connection.get('a')).kind !== 'done');
    });
  });

  describe('what a server cannot store', () => {
    const LARGE = 1024 * 1024;

    test('too large: `ms` deletes what is there, whatever its condition; ours is not sent', async () => {
      const { address } = await memcached(build);
      const large = `ms k ${LARGE} MR C999 c\r\n${'x'.repeat(LARGE)}\r\n`;
      const answer = await said(address, `ms k 4\r\nkept\r\n${large}mg k v\r\n`);
      expect(answer).toBe('HD\r\nSERVER_ERROR object too large for cache\r\nEN\r\n');

      const connection = await client(address).connection();
      const cas = valueOf(await connection.add('k', newItem('kept')));
      for (const item of [newItem('x'.repeat(LARGE)), copied(newItem('x'.repeat(LARGE)))]) {
        expect(textOf(await connection.add('k', item))).toBe('refused: too-large');
        expect(textOf(await connection.replace('k', item, cas + 1n))).toBe('refused: too-large');
        expect(textOf(await connection.replace('k', item, cas))).toBe('refused: too-large');
      }
      expect(valueOf(await connection.get('k')).cas).toBe(cas);
    });

    test('out of memory: what has no copy stays, be it written over, added to or bumped', async () => {
      const { address } = await memcached(build, '-M', '-m', '4');
      const connection = await client(address).connection();
      const { name, cas } = await fill(connection);
      const next = newItem('y'.repeat(100_000));
      expect(textOf(await connection.replace(name, next, cas))).toBe('refused: out-of-memory');
      expect(textOf(await connection.replace(name, next, cas + 1n))).toBe('refused: out-of-memory');
      expect(textOf(await connection.add(name, next))).toBe('refused: out-of-memory');
      expect(valueOf(await connection.get(name)).cas).toBe(cas);
      const bumped = valueOf(await connection.bump(name, cas));
      expect(valueOf(await connection.get(name))).toMatchObject({ cas: bumped, flags: 0 });
      expect(valueOf(await connection.get(name)).value.length).toBe(100_000);
    });

    test('out of memory: what has a copy may be gone, and that is what the refusal means', async () => {
      const { address } = await memcached(build, '-M', '-m', '4');
      const connection = await client(address).connection();
      const { name, cas } = await fill(connection);
      const next = copied(newItem('y'.repeat(100_000)));
      expect(textOf(await connection.replace(name, next, cas + 1n))).toBe('refused: out-of-memory');
      expect(textOf(await connection.get(name))).toBe('refused: missing');
    });

    async function fill(connection: Connection): Promise<{ name: string; cas: Cas }> {
      const outcomes = [];
      for (let index = 0; outcomes.at(-1)?.kind !== 'refused'; index++)
        outcomes.push(await connection.add(`filler-${index}`, newItem('x'.repeat(100_000))));
      return { name: 'filler-0', cas: valueOf(outcomes[0] as (typeof outcomes)[number]) };
    }
  });

  describe('bytes that would be commands', () => {
    test('in a value are a value', async () => {
      const { address } = await memcached(build);
      const connection = await client(address).connection();
      const value = 'x\r\nms injected 1\r\nx\r\nmg k v\r\n';
      for (const [name, item] of [
        ['a', newItem(value)],
        ['b', copied(newItem(value))],
      ] as const) {
        expect(textOf(await connection.add(name, item))).toBe('done');
        expect(valueOf(await connection.get(name)).value.toString()).toBe(value);
      }
      expect(textOf(await connection.get('injected'))).toBe('refused: missing');
    });

    test('behind a refused line are executed: so an error ends the connection', async () => {
      const { address } = await memcached(build);
      const answer = await said(address, 'ms k abc c\r\nms INJ 1\r\nx\r\n\r\nmg INJ v\r\n');
      expect(answer).toMatch(/^CLIENT_ERROR[^\r]*\r\nHD\r\n/);
      expect(answer).toContain('VA 1');
    });
  });

  // What each of these would do to us, and what keeps it away: docs/design.md, "Traps of the meta protocol".
  describe('traps that nothing of ours can step into', () => {
    let server: PrivateServer;
    let address: string;
    beforeAll(async () => {
      server = await startMemcached({ binary: build.binary });
      ({ address } = server);
    });
    afterAll(() => server.stop());

    test('a block of another length than was said: its rest is executed', async () => {
      const answer = await said(address, 'ms k 1\r\nxx\r\nms INJ 1\r\nx\r\n');
      expect(answer).toMatch(/^CLIENT_ERROR bad data chunk\r\n/);
      expect(await said(address, 'mg INJ v\r\n')).toBe('VA 1\r\nx\r\n');
    });

    test('a lifetime below 0, a verb in capitals', async () => {
      const answer = await said(address, 'ms k 1\r\nx\r\nmg k T-1 t\r\n');
      expect(answer).toMatch(/^HD\r\nHD t42949672\d\d\r\n$/);
      expect(await said(address, 'MG k v\r\n')).toMatch(/^ERROR/);
    });

    test('two quiet misses cannot be told apart', async () => {
      expect(await said(address, 'mg a v q\r\nmg b v q\r\nmn\r\n')).toBe('MN\r\n');
    });

    if (!knowsE(build)) return;
    describe('of a chosen CAS', () => {
      test('an error leaves it to the next store: so an error ends the connection', async () => {
        const text = 'ms Z 1 E777\r\nxx\r\nset k 0 0 1\r\nx\r\nmg k c\r\n';
        expect(await said(address, text)).toMatch(/^CLIENT_ERROR[^\r]*\r\n.*HD c777\r\n$/s);
      });

      test('0 makes an item without a CAS, which is loud', async () => {
        expect(await said(address, 'mg none N9 E0 c\r\n')).toBe('HD c0 W\r\n');
        const connection = await client(address).connection();
        expect(textOf(await connection.get('none'))).toBe('unknown: MEMCACHED_CAS_DISABLED');
        expect(connection.alive).toBe(false);
      });

      test('the one that is there already is taken: so each renewal draws a new one', async () => {
        const text = 'mg same N9 E5 c\r\nmd same I C5 E5\r\nmg same c\r\n';
        expect(await said(address, text)).toMatch(/^HD c5 W\r\nHD\r\nHD c5 /);
      });

      test('behind a replacement somebody else is told W: so W says nothing', async () => {
        await said(address, 'mg w N9 E5 c\r\nmd w I C5 E6\r\n');
        expect(await said(address, 'mg w N9 E7 v c f\r\n')).toMatch(/^VA 0 c6 f0 .*W/);
      });
    });
  });

  test('a date beyond 2038 is none that has passed', async () => {
    const { address } = await memcached(build);
    const connection = await client(address).connection();
    const years = 60 * 60 * 24 * 365 * 30;
    await connection.add('a', newItem('1', years));
    await connection.add('b', copied(newItem('1', years)));
    await connection.getAndTouch('b', years);
    const read = await Promise.all(['a', 'b'].map((name) => connection.get(name)));
    expect(read.map(textOf)).toEqual(['done', 'done']);
  });

  test('names of 250 bytes, with bytes beyond ASCII', async () => {
    const { address } = await memcached(build);
    const connection = await client(address).connection();
    for (const name of ['ü'.repeat(125), `${'x'.repeat(248)}ü`]) {
      const cas = valueOf(await connection.add(name, copied(newItem('1'))));
      const second = valueOf(await connection.replace(name, newItem('2'), cas));
      expect(valueOf(await connection.get(name)).cas).toBe(second);
      expect(textOf(await connection.delete(name, second))).toBe('done');
    }
  });

  describe('the greeting', () => {
    const auto = { protocol: 'auto', requestDeadlineMs: 400 } as const;

    test.each([
      [[], 'meta'],
      [['-B', 'ascii'], 'meta'],
      [['-B', 'binary'], 'binary'],
    ] as const)('finds out what %j speaks', async (flags, protocol) => {
      const { address } = await memcached(build, ...flags);
      const server = client(address, auto);
      await server.connection();
      const casByUs = protocol === 'meta' && knowsE(build);
      expect(server.facts).toMatchObject({ protocol, casByUs, itemSizeMax: 1024 * 1024 });
    });

    test('is asked anew when the server comes back as another one', async () => {
      const first = await memcached(build, '-B', 'ascii');
      const server = client(first.address, { ...auto, requestDeadlineMs: 5_000 });
      const connection = await server.connection();
      await first.stop();
      await connection.ended;
      const flags = ['-B', 'binary'];
      const second = await startMemcached({ binary: build.binary, flags, port: first.port });
      toClose.push(() => second.stop());
      await eventually('it is back', () => server.current !== undefined);
      expect(server.facts?.protocol).toBe('binary');
    });

    test('-C: refused, since no write could be conditional', async () => {
      const { address } = await memcached(build, '-C');
      await expect(client(address, auto).connection()).rejects.toMatchObject({
        code: 'MEMCACHED_CAS_DISABLED',
      });
    });

    test('a password that nobody asked for is refused, and cannot be read afterwards', async () => {
      const { address } = await memcached(build);
      const credentials = { username: 'bull', password: 'secret' };
      await expect(client(address, { ...auto, ...credentials }).connection()).rejects.toMatchObject(
        { code: 'MEMCACHED_AUTH', message: expect.stringContaining('asks for no password') },
      );
      expect(await said(address, 'get toril:login\r\n')).toBe('END\r\n');
    });

    describe.skipIf(!build.can['-Y'])('-Y', () => {
      const login = { username: 'bull', password: 'secret' };

      async function withLogin(): Promise<string> {
        const folder = mkdtempSync(path.join(os.tmpdir(), 'toril-test-'));
        toClose.push(() => rmSync(folder, { recursive: true }));
        chmodSync(folder, 0o755); // memcached is another user by then
        const file = path.join(folder, 'users');
        writeFileSync(file, 'bull:secret\n', { mode: 0o644 });
        return (await memcached(build, '-Y', file)).address;
      }

      test('lets in who knows the password', async () => {
        const server = client(await withLogin(), { ...auto, ...login });
        const connection = await server.connection();
        expect(server.facts?.protocol).toBe('meta');
        expect(textOf(await connection.add('a', newItem('1')))).toBe('done');
      });

      // 1.6.45 closes the connection without a word, as a server that speaks binary only; and keeps silent in binary.
      const says = (what: RegExp): object => ({
        code: expect.stringMatching(/^MEMCACHED_(AUTH|CLOSED|TIMED_OUT)$/),
        message: expect.stringMatching(what),
      });

      test('refuses who does not', async () => {
        const wrong = { ...login, password: 'wrong' };
        const refused = client(await withLogin(), { ...auto, ...wrong }).connection();
        await expect(refused).rejects.toMatchObject(says(/refused the user "bull"|the right ones/));
      });

      test('and says so to who has none', async () => {
        const refused = client(await withLogin(), { ...auto, protocol: 'meta' }).connection();
        await expect(refused).rejects.toMatchObject(says(/user ?name and (a )?password/));
      });
    });
  });
});
