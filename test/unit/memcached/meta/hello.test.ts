/** Who is let in over the meta protocol, and what is tried next. */
import type net from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { MemcachedSettings } from '../../../../src/memcached/options.ts';
import type { SocketServer } from '../../../../src/memcached/socket/socket-server.ts';
import { clientOf, textOf } from '../../../support/memcached.ts';
import { listen, onRequests, replySettings, STAT } from '../../../support/scripted-memcached.ts';
import { HELLO, scriptedMeta } from '../../../support/scripted-meta.ts';

const toClose: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of toClose.splice(0).toReversed()) await close();
});

type Settings = Omit<MemcachedSettings, 'servers'>;

async function clientAfter(
  hello: Readonly<Record<string, string>>,
  settings: Settings = { protocol: 'meta' },
): Promise<SocketServer> {
  const memcached = await scriptedMeta(({ reply }) => reply('EN\r\n'), hello);
  toClose.push(() => memcached.close());
  const server = clientOf(memcached.address, settings);
  toClose.push(() => server.close());
  return server;
}

test('the facts of a server', async () => {
  const server = await clientAfter(HELLO);
  await server.connection();
  expect(server.facts).toEqual({
    ...{ version: '1.6.99', protocol: 'meta', itemSizeMax: 1024 * 1024 },
    ...{ casByUs: true, flagsBytes: 4 },
  });
});

test.each([
  ['1.6.13', true],
  ['1.6.45_3', true],
  ['1.7.0', true],
  ['2.0.1', true],
  ['1.6.12', false],
  ['1.5.22', false],
  ['1.4.39', false],
])('memcached %s has the protocol: %s', async (version, isSpoken) => {
  const server = await clientAfter({ ...HELLO, version: `VERSION ${version}\r\n` });
  const connected = server.connection();
  if (isSpoken) expect((await connected).alive).toBe(true);
  else {
    await expect(connected).rejects.toMatchObject({
      code: 'MEMCACHED_PROTOCOL',
      message: expect.stringContaining(version),
    });
  }
});

test('an older dialect of it is another one', async () => {
  const server = await clientAfter({ ...HELLO, mn: 'EN\r\n' });
  await expect(server.connection()).rejects.toMatchObject({ code: 'MEMCACHED_PROTOCOL' });
});

describe('a server that does not tell its settings', () => {
  const silent = { ...HELLO, 'stats settings': 'ERROR\r\n' };
  const accepting = { protocol: 'meta', unproven: 'accept' } as const;

  test('is taken for one with the default size, if the user accepts it and it shows a CAS', async () => {
    const server = await clientAfter(silent, accepting);
    expect(textOf(await (await server.connection()).get('a'))).toBe('refused: missing');
    expect(server.facts?.itemSizeMax).toBe(1024 * 1024);
  });

  test('and refused if it does not', async () => {
    const without = { ...silent, 'ms toril:p 0 T1 c': 'HD c0\r\n' };
    const none = await clientAfter(without, accepting);
    await expect(none.connection()).rejects.toMatchObject({ code: 'MEMCACHED_CAS_DISABLED' });
    const noRoom = 'SERVER_ERROR out of memory storing object\r\n';
    const full = await clientAfter({ ...silent, 'ms toril:p 0 T1 c': noRoom }, accepting);
    await expect(full.connection()).rejects.toMatchObject({ code: 'MEMCACHED_PROTOCOL' });
  });
});

test('-C', async () => {
  const settings = 'STAT cas_enabled no\r\nEND\r\n';
  const server = await clientAfter({ ...HELLO, 'stats settings': settings });
  await expect(server.connection()).rejects.toMatchObject({ code: 'MEMCACHED_CAS_DISABLED' });
});

test.each([
  ['HD f4294967296\r\n', 8],
  ['EN\r\n', 8], // nothing could be stored: as many as it can be
  ['HD f0\r\n', 4],
])('flags take %j: %d bytes', async (answer, flagsBytes) => {
  const server = await clientAfter({ ...HELLO, 'mg toril:p f': answer });
  await server.connection();
  expect(server.facts?.flagsBytes).toBe(flagsBytes);
});

describe('what is tried next', () => {
  /** Closes the first connection as `first` says, and speaks binary on the second. */
  async function binaryBehind(first: (socket: net.Socket) => void): Promise<SocketServer> {
    let count = 0;
    const listener = await listen((socket) => {
      count++;
      if (count === 1) return first(socket);
      onRequests(socket, (request) => {
        if (request.opcode === STAT)
          replySettings(request, { cas_enabled: 'yes', item_size_max: '1048576' });
        else request.reply({ value: '1.4.39' });
      });
    });
    toClose.push(() => listener.close());
    const server = clientOf(listener.address, { protocol: 'auto', requestDeadlineMs: 5_000 });
    toClose.push(() => server.close());
    return server;
  }

  test.each<[string, (socket: net.Socket) => void]>([
    ['closed at once', (socket) => void socket.once('data', () => socket.end())],
    ['reset', (socket) => void socket.once('data', () => socket.resetAndDestroy())],
    ['ERROR', (socket) => void socket.once('data', () => socket.write('ERROR\r\n'))],
    [
      'an old VERSION',
      (socket) => {
        socket.once('data', () => socket.write('VERSION 1.5.22\r\nEN\r\nERROR\r\nEN\r\n'));
      },
    ],
    ['no text', (socket) => void socket.once('data', () => socket.write(Buffer.alloc(24, 0x81)))],
  ])('%s: the binary protocol, on a connection of its own', async (_, first) => {
    const server = await binaryBehind(first);
    expect((await server.connection()).epoch).toBe(1);
    expect(server.facts).toMatchObject({ protocol: 'binary', version: '1.4.39' });
  });

  test('no more connections: nothing, and it is said why', async () => {
    const full = 'ERROR Too many open connections\r\n';
    const listener = await listen((socket) => void socket.end(full));
    toClose.push(() => listener.close());
    const server = clientOf(listener.address, { protocol: 'auto', requestDeadlineMs: 100 });
    toClose.push(() => server.close());
    await expect(server.connection()).rejects.toMatchObject({
      code: 'MEMCACHED_UNREACHABLE',
      message: expect.stringContaining('-c'),
    });
  });
});

describe('a login', () => {
  const login = { protocol: 'meta', username: 'bull', password: 'a secret' } as const;
  const asked = HELLO['stats settings']?.replace('ascii no', 'ascii /users') ?? '';

  test('goes first, and in the same write', async () => {
    const server = await clientAfter(
      { ...HELLO, 'stats settings': asked, 'set toril:login 0 -1 13': 'STORED\r\n' },
      login,
    );
    expect((await server.connection()).alive).toBe(true);
  });

  test.each([
    ['CLIENT_ERROR authentication failure\r\n', 'refused the user "bull"'],
    ['CLIENT_ERROR unauthenticated\r\n', 'refused the user "bull"'],
  ])('that is refused: %j', async (answer, message) => {
    const server = await clientAfter({ ...HELLO, 'set toril:login': answer }, login);
    await expect(server.connection()).rejects.toMatchObject({
      code: 'MEMCACHED_AUTH',
      message: expect.stringContaining(message),
    });
  });

  test('that is missing', async () => {
    const version = 'CLIENT_ERROR unauthenticated\r\n';
    const server = await clientAfter({ ...HELLO, version });
    await expect(server.connection()).rejects.toMatchObject({
      code: 'MEMCACHED_AUTH',
      message: expect.stringContaining('asks for a user name and a password'),
    });
  });
});
