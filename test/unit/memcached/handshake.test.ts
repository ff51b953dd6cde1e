/** Who is let in: what a server must show, and what is said to the user if it does not. */
import type net from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { MemcachedSettings } from '../../../src/memcached/options.ts';
import { clientOf, eventually } from '../../support/memcached.ts';
import {
  encodeReply,
  HEALTHY,
  listen,
  onRequests,
  replySettings,
  type ScriptedRequest,
  STAT,
  VERSION,
} from '../../support/scripted-memcached.ts';

const SASL_MECHANISMS = 0x20;
const SASL_AUTH = 0x21;
const UNKNOWN_COMMAND = 0x81;
const AUTH_ERROR = 0x20;
const SET = 0x01;
const OUT_OF_MEMORY = 0x82;
/** Long enough never to pass in a test: what ends by itself must not wait for it. */
const NEVER_MS = 60_000;

const toClose: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of toClose.splice(0).toReversed()) await close();
});

type Settings = Omit<MemcachedSettings, 'servers'>;

/** The error of the first attempt, with the address taken out. */
async function failure(
  onSocket: (socket: net.Socket) => void,
  settings: Settings = { requestDeadlineMs: NEVER_MS },
): Promise<{ code: string; message: string }> {
  const listener = await listen(onSocket);
  toClose.push(() => listener.close());
  const server = clientOf(listener.address, settings);
  toClose.push(() => server.close());
  const error = await server.connection().then(
    () => {
      throw new Error('it was let in');
    },
    (reason: { code: string; message: string }) => reason,
  );
  expect(error.message).toContain(listener.address);
  expect([server.current, server.facts]).toEqual([undefined, undefined]);
  await eventually('the connection was taken', () => listener.sockets.length > 0);
  const [socket] = listener.sockets;
  socket?.resume();
  await eventually('the connection is closed', () => socket?.closed === true);
  return error;
}

const answering =
  (answer: (request: ScriptedRequest) => void) =>
  (socket: net.Socket): void =>
    onRequests(socket, answer);

describe('what does not speak the binary protocol', () => {
  test('answers with silence, as proxies do', async () => {
    const error = await failure(() => {}, { requestDeadlineMs: 250 });
    expect(error.code).toBe('MEMCACHED_TIMED_OUT'); // a frozen one does, too
    for (const word of [
      'mcrouter',
      'twemproxy',
      'built-in proxy',
      'ElastiCache Serverless',
      '-B ascii',
    ]) {
      expect(error.message).toContain(word);
    }
  });

  test('answers in words', async () => {
    const error = await failure((socket) => socket.write('ERROR\r\n'));
    expect(error.code).toBe('MEMCACHED_PROTOCOL');
    expect(error.message).toContain('"ERROR\\r\\n"');
  });

  test('hangs up', async () => {
    const hangUp = (socket: net.Socket): void => void socket.once('data', () => socket.end());
    const error = await failure(hangUp, { requestDeadlineMs: 50 });
    expect(error.code).toBe('MEMCACHED_CLOSED'); // a forwarder to nothing does, too
    expect(error.message).toContain('closes the connection at the first message');
  });

  test('stops in the middle of an answer', async () => {
    const half = encodeReply({ opcode: VERSION, opaque: 1, value: '1.6.18' }).subarray(0, 27);
    const error = await failure((socket) => socket.write(half), { requestDeadlineMs: 50 });
    expect(error.code).toBe('MEMCACHED_TIMED_OUT');
  });

  test('does not know VERSION', async () => {
    const answer = answering((request) => request.reply({ status: UNKNOWN_COMMAND }));
    const error = await failure(answer);
    expect(error.code).toBe('MEMCACHED_PROTOCOL');
  });
});

describe('a memcached that cannot be used', () => {
  const withSettings = (settings: Record<string, string>): ((socket: net.Socket) => void) =>
    answering((request) => {
      if (request.opcode === STAT) replySettings(request, settings);
      else request.reply({ value: '1.6.99' });
    });

  test('has CAS switched off', async () => {
    const error = await failure(withSettings({ ...HEALTHY, cas_enabled: 'no' }));
    expect(error.code).toBe('MEMCACHED_CAS_DISABLED');
    expect(error.message).toContain('without -C');
  });

  test.each(['cas_enabled', 'item_size_max'])('does not tell %s', async (missing) => {
    const rest = Object.entries(HEALTHY).filter(([name]) => name !== missing);
    const error = await failure(withSettings(Object.fromEntries(rest)));
    expect(error.code).toBe('MEMCACHED_PROTOCOL');
  });

  test('refuses to tell them: said what is unproven then', async () => {
    const error = await failure(
      answering(({ opcode, reply }) =>
        reply(opcode === STAT ? { status: UNKNOWN_COMMAND } : { value: '1' }),
      ),
    );
    expect(error.code).toBe('MEMCACHED_PROTOCOL');
    expect(error.message).toMatch(/does not tell its settings .*several locks for one key/);
  });

  test.each([
    ['which is 0', { cas: 0n }, 'MEMCACHED_CAS_DISABLED'],
    ['since it stores nothing', { status: OUT_OF_MEMORY }, 'MEMCACHED_PROTOCOL'],
  ])('is accepted unproven, and shows no CAS, %s', async (_, answer, code) => {
    const untold = answering(({ opcode, reply }) => {
      if (opcode === STAT) return reply({ status: UNKNOWN_COMMAND });
      reply(opcode === SET ? answer : { value: '1' });
    });
    const error = await failure(untold, { unproven: 'accept', requestDeadlineMs: NEVER_MS });
    expect(error.code).toBe(code);
  });

  test('has no connection left', async () => {
    const words = 'ERROR Too many open connections\r\n';
    const error = await failure((socket) => socket.end(words), { requestDeadlineMs: 50 });
    expect(error.code).toBe('MEMCACHED_UNREACHABLE');
    expect(error.message).toContain('-c');
  });
});

test('one that does not tell its settings is used if that is accepted', async () => {
  const listener = await listen(
    answering(({ opcode, reply }) =>
      reply(opcode === STAT ? { status: UNKNOWN_COMMAND } : { value: '1.5.0' }),
    ),
  );
  toClose.push(() => listener.close());
  const server = clientOf(listener.address, { protocol: 'binary', unproven: 'accept' });
  toClose.push(() => server.close(true));
  await server.connection();
  expect(server.facts).toMatchObject({ protocol: 'binary', itemSizeMax: 1024 * 1024 });
});

describe('logging in', () => {
  const credentials = { username: 'bull', password: 'olé secret', requestDeadlineMs: NEVER_MS };

  function sasl(
    requests: ScriptedRequest[],
    mechanisms = 'LOGIN PLAIN',
  ): (socket: net.Socket) => void {
    return answering((request) => {
      requests.push(request);
      const loggedIn = requests.some(({ opcode }) => opcode === SASL_AUTH);
      if (request.opcode === SASL_MECHANISMS) return request.reply({ value: mechanisms });
      if (!loggedIn) return request.reply({ status: AUTH_ERROR, value: 'Auth failure.' });
      if (request.opcode === STAT) return replySettings(request, HEALTHY);
      const known =
        request.opcode !== SASL_AUTH || request.value.equals(Buffer.from('\0bull\0olé secret'));
      request.reply(known ? { value: 'Authenticated' } : { status: AUTH_ERROR });
    });
  }

  test('by PLAIN, before anything else', async () => {
    const requests: ScriptedRequest[] = [];
    const listener = await listen(sasl(requests));
    toClose.push(() => listener.close());
    const server = clientOf(listener.address, credentials);
    toClose.push(() => server.close());
    await server.connection();
    expect(requests.map(({ opcode }) => opcode)).toEqual([
      SASL_MECHANISMS,
      SASL_AUTH,
      VERSION,
      STAT,
    ]);
    expect(requests[1]?.name).toBe('PLAIN');
  });

  test('with a wrong password', async () => {
    const error = await failure(sasl([]), { ...credentials, password: 'wrong' });
    expect(error.code).toBe('MEMCACHED_AUTH');
    expect(error.message).toContain('"bull"');
    expect(error.message).not.toContain('wrong');
  });

  test('without a password', async () => {
    const error = await failure(sasl([]));
    expect(error.code).toBe('MEMCACHED_AUTH');
    expect(error.message).toContain('asks for a user name and a password');
  });

  test('at a server that asks for none', async () => {
    const answer = answering((request) => request.reply({ status: UNKNOWN_COMMAND }));
    const error = await failure(answer, credentials);
    expect(error.code).toBe('MEMCACHED_AUTH');
    expect(error.message).toContain('asks for no password');
  });

  test('at a server that does not offer PLAIN', async () => {
    const requests: ScriptedRequest[] = [];
    const error = await failure(sasl(requests, 'SCRAM-SHA-1'), credentials);
    expect(error.code).toBe('MEMCACHED_AUTH');
    expect(error.message).toContain('SCRAM-SHA-1');
    expect(requests.map(({ opcode }) => opcode)).not.toContain(SASL_AUTH);
  });
});
