/** What `auto` makes of servers that a memcached of today cannot be started as: by stubs, one protocol per connection. */
import type net from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { MemcachedSettings } from '../../src/memcached/options.ts';
import type { SocketServer } from '../../src/memcached/socket/socket-server.ts';
import { clientOf, textOf } from '../support/memcached.ts';
import {
  HEALTHY,
  listen,
  onRequests,
  replySettings,
  type ScriptedRequest,
  STAT,
} from '../support/scripted-memcached.ts';

const BINARY_MAGIC = 0x80;
const DEADLINE_MS = 250;

const toClose: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of toClose.splice(0).toReversed()) await close();
});

function inBinary(request: ScriptedRequest): void {
  if (request.opcode === STAT) replySettings(request, HEALTHY);
  else request.reply({ value: '1.4.39', status: request.name === '' ? 0 : 1 });
}

interface Stub {
  readonly server: SocketServer;
  /** What each connection was first spoken to in. */
  readonly spoken: string[];
}

/** Answers text line by line, as said; binary, if it may. */
async function stub(
  answer: (line: string, socket: net.Socket) => void,
  settings: Omit<MemcachedSettings, 'servers'> = {},
  speaksBinary = true,
): Promise<Stub> {
  const spoken: string[] = [];
  const listener = await listen((socket) => {
    socket.once('data', (first) => {
      const isBinary = first[0] === BINARY_MAGIC;
      spoken.push(isBinary ? 'binary' : 'text');
      if (isBinary && !speaksBinary) return;
      if (isBinary) onRequests(socket, inBinary);
      else socket.on('data', (chunk) => lines(chunk).forEach((line) => answer(line, socket)));
      socket.emit('data', first);
    });
  });
  toClose.push(() => listener.close());
  const options = { protocol: 'auto', requestDeadlineMs: DEADLINE_MS, ...settings } as const;
  const server = clientOf(listener.address, options);
  toClose.push(() => server.close(true));
  return { server, spoken };
}

function lines(chunk: Buffer): string[] {
  return chunk.toString('latin1').split('\r\n').slice(0, -1);
}

const replying =
  (replies: Readonly<Record<string, string>>) =>
  (line: string, socket: net.Socket): void => {
    const start = Object.keys(replies).find((known) => line.startsWith(known));
    socket.write(start === undefined ? 'ERROR\r\n' : `${replies[start]}\r\n`);
  };

const SETTINGS = 'STAT cas_enabled yes\r\nSTAT item_size_max 1048576\r\nEND';
/** 1.5.22 has a dialect of its own: its `mn` answers EN, and there is no `ms`. */
const OLD_DIALECT = replying({
  version: 'VERSION 1.5.22',
  mg: 'CLIENT_ERROR invalid or duplicate flag',
  stats: SETTINGS,
  mn: 'EN',
});
/** 1.6.12 deletes nothing by `md C`, though everything answers as it should. */
const BROKEN_DELETE = replying({
  version: 'VERSION 1.6.12',
  mg: 'EN',
  stats: SETTINGS,
  mn: 'MN',
  ms: 'HD c1',
});

describe('auto', () => {
  test.each([
    ['an older dialect of meta (1.5.22)', OLD_DIALECT],
    ['a meta that is broken (1.6.12)', BROKEN_DELETE],
    ['no meta (1.4)', replying({ version: 'VERSION 1.4.39', stats: SETTINGS })],
    ['text in which nothing is known', replying({})],
    ['a closed connection', (_: string, socket: net.Socket) => void socket.end()],
  ])('takes binary for %s, on a connection of its own', async (_, answer) => {
    const { server, spoken } = await stub(answer, { requestDeadlineMs: 5_000 });
    const connection = await server.connection();
    expect(spoken).toEqual(['text', 'binary']);
    expect(server.facts?.protocol).toBe('binary');
    expect(textOf(await connection.get('nothing'))).toBe('refused: missing');
  });

  test('says of what answers in neither that it is silent', async () => {
    const { server, spoken } = await stub(() => {}, {}, false);
    await expect(server.connection()).rejects.toMatchObject({ code: 'MEMCACHED_TIMED_OUT' });
    expect(spoken[0]).toBe('text');
  });

  test('remembers what a server speaks', async () => {
    const { server, spoken } = await stub(OLD_DIALECT, { requestDeadlineMs: 5_000 });
    await server.connection();
    server.current?.destroy();
    await server.connection();
    // Known by now: no text on the second connection.
    expect(spoken).toEqual(['text', 'binary', 'binary']);
  });

  test.each([OLD_DIALECT, BROKEN_DELETE])(
    'is not what "meta" does: that refuses',
    async (answer) => {
      const { server, spoken } = await stub(answer, { protocol: 'meta' });
      await expect(server.connection()).rejects.toMatchObject({
        code: 'MEMCACHED_PROTOCOL',
        message: expect.stringContaining('does not speak the meta protocol of memcached 1.6.13'),
      });
      expect(new Set(spoken)).toEqual(new Set(['text']));
    },
  );
});
