/** What goes out in the meta protocol, and what a connection makes of the answers. */
import { afterEach, describe, expect, test } from 'vitest';
import type { Connection, NewItem, Outcome } from '../../../../src/memcached/server.ts';
import { clientOf, newItem, textOf, valueOf } from '../../../support/memcached.ts';
import {
  HELLO,
  type ScriptedMeta,
  scriptedMeta,
  type TextCommand,
} from '../../../support/scripted-meta.ts';

const toClose: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of toClose.splice(0).toReversed()) await close();
});

interface Scene {
  readonly memcached: ScriptedMeta;
  readonly connection: Connection;
}

async function open(
  script: (command: TextCommand) => void,
  hello: Readonly<Record<string, string>> = HELLO,
): Promise<Scene> {
  const memcached = await scriptedMeta(script, hello);
  toClose.push(() => memcached.close());
  const server = clientOf(memcached.address, { protocol: 'meta', locks: 'cas' });
  toClose.push(() => server.close());
  return { memcached, connection: await server.connection() };
}

/** Answers each command by what stands for its verb; a list is used up in turn. */
const answering =
  (answers: Readonly<Record<string, string>>) =>
  ({ line, reply }: TextCommand): void =>
    reply(answers[line.split(' ')[0] ?? ''] ?? 'EN\r\n');

const last = (value: string): NewItem => ({ ...newItem(value, 30, 7), isLast: true });
const copied = (value: string): NewItem => ({ ...newItem(value, 30, 7), isCopied: true });
const LARGE = 2n ** 64n - 2n;
/** An item by its CAS alone. */
const chosen = (chosenCas: bigint): NewItem => ({ ...newItem('', 30), chosenCas });

describe('what goes out', () => {
  test.each<[string, (connection: Connection) => Promise<Outcome<unknown>>, string[]]>([
    ['get', (to) => to.get('né'), ['mg n\u00c3\u00a9 v c f']],
    ['get and touch', (to) => to.getAndTouch('a', 30), ['mg a v c f T30']],
    ['add with a copy', (to) => to.add('a', copied('xyz')), ['ms a 3 ME c F7 T30 xyz']],
    [
      'replace with a copy',
      (to) => to.replace('a', copied('x'), LARGE),
      [`ms a 1 MR C${LARGE} c F7 T30 x`],
    ],
    ['delete', (to) => to.delete('a', 2n ** 53n + 1n), ['md a C9007199254740993']],
    ['bump', (to) => to.bump('a', 5n), ['md a I C5', 'mg a c']],
    ['add', (to) => to.add('a', newItem('x', 30, 7)), ['add a 7 30 1 x', 'mg a v c f']],
    ['replace', (to) => to.replace('a', newItem('x', 0, 7), 5n), ['cas a 7 0 1 5 x', 'mg a v c f']],
    ['add, the last', (to) => to.add('a', last('x')), ['add a 7 30 1 x']],
    ['replace, the last', (to) => to.replace('a', last('x'), 5n), ['cas a 7 30 1 5 x']],
    ['add by CAS', (to) => to.add('a', chosen(LARGE)), [`mg a N30 E${LARGE} v c f`]],
    [
      'replace by CAS',
      (to) => to.replace('a', chosen(LARGE), LARGE - 1n),
      [`md a I C${LARGE - 1n} E${LARGE} T30`],
    ],
  ])('%s', async (_, request, lines) => {
    const { memcached, connection } = await open(
      answering({ ms: 'HD c1\r\n', md: 'NF c0\r\n', add: 'NOT_STORED\r\n', cas: 'EXISTS\r\n' }),
    );
    await request(connection);
    const sent = memcached.commands.map(({ line, block }) => `${line} ${block}`.trim());
    expect(sent).toEqual(lines);
  });

  test('a date beyond 2038 is cut down: with more, the item would be gone at once', async () => {
    const { memcached, connection } = await open(answering({}));
    await connection.getAndTouch('a', 60 * 60 * 24 * 365 * 30);
    expect(memcached.commands[0]?.line).toBe('mg a v c f T2147483647');
  });

  test.each(['a b', 'a\r\nflush_all', 'ü\n'])(
    'a name that would end early is a fault: %j',
    async (name) => {
      const { memcached, connection } = await open(answering({}));
      expect(() => connection.get(name)).toThrow('a blank or control character');
      expect(textOf(await connection.get('behind'))).toBe('refused: missing');
      expect(memcached.commands.map(({ line }) => line)).toEqual(['mg behind v c f']);
    },
  );

  test.each([
    ['an item name of 251 bytes', (to: Connection) => to.get('x'.repeat(251))],
    ['an item name of 252 bytes', (to: Connection) => to.get('ü'.repeat(126))],
    ['an item name of 0 bytes', (to: Connection) => to.delete('', 5n)],
    // memcached answers T-1 with a time to live of 4,294,967,233 s.
    ['a lifetime of -1 seconds', (to: Connection) => to.getAndTouch('a', -1)],
    ['a lifetime of 1.5 seconds', (to: Connection) => to.add('a', newItem('x', 1.5))],
    [
      'a lifetime of NaN seconds',
      (to: Connection) => to.add('a', { ...copied('x'), ttlSeconds: NaN }),
    ],
    ['a CAS that cannot be chosen', (to: Connection) => to.add('a', chosen(0n))],
    ['a condition on CAS 0', (to: Connection) => to.replace('a', chosen(5n), 0n)],
  ])('a fault of the caller does not: %s', async (what, request) => {
    const { memcached, connection } = await open(answering({}));
    expect(() => request(connection)).toThrow(what);
    expect(textOf(await connection.get('behind'))).toBe('refused: missing');
    expect(memcached.commands.map(({ line }) => line)).toEqual(['mg behind v c f']);
  });

  test('what is too large does not', async () => {
    const { memcached, connection } = await open(answering({}));
    const value = Buffer.alloc(1024 * 1024 - 59);
    for (const isCopied of [true, false]) {
      const item = { value, flags: 0, ttlSeconds: 0, isCopied };
      expect(textOf(await connection.add('a', item))).toBe('refused: too-large');
      expect(textOf(await connection.replace('a', item, 1n))).toBe('refused: too-large');
    }
    expect(memcached.commands).toEqual([]);
  });
});

describe('an answer that its request cannot have ends the connection', () => {
  const get = (to: Connection): Promise<Outcome<unknown>> => to.get('a');
  const add = (to: Connection): Promise<Outcome<unknown>> => to.add('a', copied('x'));
  const replace = (to: Connection): Promise<Outcome<unknown>> => to.replace('a', copied('x'), 5n);
  const alone = (to: Connection): Promise<Outcome<unknown>> => to.add('a', newItem('x'));
  const addLast = (to: Connection): Promise<Outcome<unknown>> => to.add('a', last('x'));
  const casLast = (to: Connection): Promise<Outcome<unknown>> => to.replace('a', last('x'), 5n);
  const remove = (to: Connection): Promise<Outcome<unknown>> => to.delete('a', 5n);
  const bump = (to: Connection): Promise<Outcome<unknown>> => to.bump('a', 5n);
  const PROTOCOL = 'MEMCACHED_PROTOCOL';
  const REFUSED = 'MEMCACHED_REFUSED';
  const NO_CAS = 'MEMCACHED_CAS_DISABLED';

  test.each<[string, (to: Connection) => Promise<Outcome<unknown>>, string, string]>([
    ['get', get, 'HD c1\r\n', PROTOCOL],
    ['get', get, 'NF c0\r\n', PROTOCOL],
    ['get', get, 'ERROR\r\n', REFUSED],
    ['get', get, 'CLIENT_ERROR unauthenticated\r\n', REFUSED],
    ['get', get, 'SERVER_ERROR out of memory writing get response\r\n', REFUSED],
    ['get', get, 'VA 1 c0 f0\r\nx\r\n', NO_CAS],
    ['get', get, 'VA 1 f0\r\nx\r\n', PROTOCOL],
    ['add', add, 'STORED\r\n', PROTOCOL],
    ['add', add, 'EX c0\r\n', PROTOCOL],
    ['add', add, 'HD c0\r\n', NO_CAS],
    ['add', add, 'HD\r\n', PROTOCOL],
    ['add', add, 'CLIENT_ERROR bad data chunk\r\n', REFUSED],
    ['add', add, 'SERVER_ERROR other\r\n', REFUSED],
    ['replace', replace, 'NS c0\r\n', PROTOCOL],
    ['replace', replace, 'HD c0\r\n', NO_CAS],
    ['add, the last', addLast, 'EXISTS\r\n', PROTOCOL],
    ['cas, the last', casLast, 'NOT_STORED\r\n', PROTOCOL],
    ['cas, the last', casLast, 'HD c5\r\n', PROTOCOL],
    ['add alone', alone, 'HD\r\n', PROTOCOL],
    ['add alone', alone, 'EXISTS\r\n', PROTOCOL],
    ['delete', remove, 'EN\r\n', PROTOCOL],
    ['delete', remove, 'SERVER_ERROR out of memory storing object\r\n', REFUSED],
    ['bump', bump, 'EN\r\n', PROTOCOL],
    ['add by CAS', (to) => to.add('a', chosen(9n)), 'HD c9\r\n', PROTOCOL],
    ['add by CAS', (to) => to.add('a', chosen(9n)), 'VA 0 c0 f0 W\r\n\r\n', NO_CAS],
    ['add by CAS', (to) => to.add('a', chosen(9n)), 'CLIENT_ERROR bad token\r\n', REFUSED],
    ['replace by CAS', (to) => to.replace('a', chosen(9n), 5n), 'EN\r\n', PROTOCOL],
    ['replace by CAS', (to) => to.replace('a', chosen(9n), 5n), 'CLIENT_ERROR\r\n', REFUSED],
  ])('%s is answered otherwise: %#', async (_, request, answer, code) => {
    const { connection, memcached } = await open(({ reply }) => reply(answer));
    const outcomes = await Promise.all([request(connection), connection.get('behind')]);
    expect(outcomes.map(textOf)).toEqual([`unknown: ${code}`, `unknown: ${code}`]);
    expect(outcomes[0]).toMatchObject({
      cause: { message: expect.stringContaining(memcached.address) },
    });
    expect(connection.alive).toBe(false);
  });

  test('an answer that nobody waits for', async () => {
    const { connection, memcached } = await open(() => {});
    memcached.sockets[0]?.write('MN\r\n');
    await connection.ended;
    expect(connection.alive).toBe(false);
  });
});

describe('what is stored alone', () => {
  const standing = (item: string, flags = 0): string =>
    `VA ${item.length} c9 f${flags}\r\n${item}\r\n`;

  test('has the CAS that is read behind it', async () => {
    const { connection } = await open(answering({ add: 'STORED\r\n', mg: standing('x') }));
    expect(valueOf(await connection.add('a', newItem('x')))).toBe(9n);
  });

  test.each([
    ['another value', standing('y')],
    ['other flags', standing('x', 1)],
    ['nothing', 'EN\r\n'],
  ])('is unknown if %s stands there', async (_, mg) => {
    const { connection } = await open(answering({ add: 'STORED\r\n', cas: 'STORED\r\n', mg }));
    expect(textOf(await connection.add('a', newItem('x')))).toBe('unknown: MEMCACHED_REFUSED');
    expect(connection.alive).toBe(false);
  });

  test.each(['X W', 'Z X'])(
    'is done under a CAS that nothing has if it was bumped by then: %s',
    async (marks) => {
      const mg = standing('x').replace('\r\n', ` ${marks}\r\n`);
      const { connection } = await open(answering({ add: 'STORED\r\n', cas: 'STORED\r\n', mg }));
      for (const outcome of [
        await connection.add('a', newItem('x')),
        await connection.replace('a', newItem('x'), 5n),
      ]) {
        expect(outcome).toEqual({ kind: 'done', value: 2n ** 64n - 1n });
      }
      expect(connection.alive).toBe(true);
    },
  );

  test('or refused, with what stands there', async () => {
    const answers = { add: 'NOT_STORED\r\n', cas: 'EXISTS\r\n', mg: standing('y') };
    const { connection } = await open(answering(answers));
    for (const outcome of [
      await connection.add('a', newItem('x')),
      await connection.replace('a', newItem('x'), 5n),
    ]) {
      expect(outcome).toMatchObject({ reason: 'exists', found: { cas: 9n, flags: 0 } });
    }
  });

  test.each([
    ['SERVER_ERROR out of memory storing object\r\n', 'refused: out-of-memory'],
    ['SERVER_ERROR object too large for cache\r\n', 'refused: too-large'],
    ['NOT_FOUND\r\n', 'refused: missing'],
  ])('or refused: %j', async (cas, refusal) => {
    const { connection } = await open(answering({ cas, mg: 'EN\r\n' }));
    expect(textOf(await connection.replace('a', newItem('x'), 5n))).toBe(refusal);
    expect(connection.alive).toBe(true);
  });
});

describe('a bump', () => {
  test('is the CAS that the first look at the item finds', async () => {
    const { connection } = await open(answering({ md: 'HD\r\n', mg: 'HD c6 X W\r\n' }));
    expect(valueOf(await connection.bump('a', 5n))).toBe(6n);
  });

  test.each([
    ['HD c7\r\n', 'refused: exists'],
    ['HD c7 Z X\r\n', 'refused: exists'],
    ['EN\r\n', 'refused: missing'],
  ])(
    'is none if another item stands there by then, or somebody has looked at it: %j',
    async (mg, refusal) => {
      const { connection } = await open(answering({ md: 'HD\r\n', mg }));
      expect(textOf(await connection.bump('a', 5n))).toBe(refusal);
    },
  );
});

describe('an item by its CAS alone', () => {
  const OURS = 2n ** 63n + 7n;

  test.each([
    [`VA 0 c${OURS} f0 W\r\n\r\n`, 'done'],
    // W says that it is the first look, not who has made it; and a CAS of 64 bits is compared in all of them.
    [`VA 0 c${OURS + 1n} f0 W\r\n\r\n`, 'refused: exists'],
    ['VA 0 c7 f0 W\r\n\r\n', 'refused: exists'],
    [`VA 0 c${OURS + 1n} f0 W X\r\n\r\n`, 'refused: exists'],
    ['VA 3 c8 f5 Z\r\nxyz\r\n', 'refused: exists'],
    ['EN\r\n', 'refused: out-of-memory'],
  ])('is added if the CAS that is found is the one that was chosen: %j', async (mg, text) => {
    const { connection } = await open(answering({ mg }));
    const outcome = await connection.add('a', chosen(OURS));
    expect(textOf(outcome)).toBe(text);
    if (outcome.kind === 'done') expect(outcome.value).toBe(OURS);
    expect(connection.alive).toBe(true);
  });

  test('tells who is refused what stands there', async () => {
    const { connection } = await open(answering({ mg: 'VA 3 c8 f5 Z\r\nxyz\r\n' }));
    expect(await connection.add('a', chosen(OURS))).toMatchObject({
      found: { value: Buffer.from('xyz'), cas: 8n, flags: 5 },
    });
  });

  test.each([
    ['HD\r\n', 'done'],
    ['EX\r\n', 'refused: exists'],
    ['NF\r\n', 'refused: missing'],
  ])('replaces: %j', async (md, text) => {
    const { connection } = await open(answering({ md }));
    expect(textOf(await connection.replace('a', chosen(OURS), 5n))).toBe(text);
  });

  test('is not written where the server does not know it, nor with a value or flags', async () => {
    const { connection } = await open(answering({}));
    const old = await open(answering({}), {
      ...HELLO,
      'mg toril:e': 'CLIENT_ERROR invalid flag\r\n',
    });
    expect([connection.casByUs, old.connection.casByUs]).toEqual([true, false]);
    for (const [to, item] of [
      [old.connection, chosen(OURS)],
      [connection, { ...chosen(OURS), flags: 1 }],
      [connection, { ...chosen(OURS), value: Buffer.from('x') }],
    ] as const) {
      expect(() => to.add('a', item)).toThrow('a CAS that cannot be chosen');
      expect(() => to.replace('a', item, 5n)).toThrow('a CAS that cannot be chosen');
    }
  });

  test('nor where nobody has asked for it', async () => {
    const memcached = await scriptedMeta(answering({}));
    toClose.push(() => memcached.close());
    const server = clientOf(memcached.address, { protocol: 'meta' });
    toClose.push(() => server.close());
    expect((await server.connection()).casByUs).toBe(false);
    expect(server.facts?.casByUs).toBe(true);
  });
});
