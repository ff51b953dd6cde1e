/** Replies of the meta protocol, cut out of the bytes that come. */
import { describe, expect, test } from 'vitest';
import { CODE, MetaParser, type MetaReply } from '../../../../src/memcached/meta/replies.ts';
import { Inbox } from '../../../../src/memcached/socket/inbox.ts';

/** A reply is only there while it is delivered. */
interface Kept {
  readonly code: number;
  readonly cas: bigint | undefined;
  readonly flags: number | undefined;
  readonly isFirstLook: boolean;
  readonly words: string;
  readonly value: string;
}

function kept({ code, cas, flags, isFirstLook, words, value }: MetaReply): Kept {
  const text = code === CODE.value ? value.toString('latin1') : '';
  return { code, cas, flags, isFirstLook, words, value: text };
}

function reading(): { inbox: Inbox; replies: Kept[]; garbage: string[] } {
  const replies: Kept[] = [];
  const garbage: string[] = [];
  const parser = new MetaParser({
    receive: (reply) => void replies.push(kept(reply)),
    garbage: (what) => void garbage.push(what),
  });
  return { inbox: new Inbox(parser), replies, garbage };
}

const STREAM = Buffer.from(
  [
    'VA 5 c18446744073709551615 f4294967295\r\na\r\nbc\r\n',
    'VA 0 c9007199254740993 f0\r\n\r\n',
    'EN\r\nHD c7\r\nHD \r\nNS c0\r\nEX c0\r\nNF c0\r\nMN\r\n',
    'VA 2 c5 f1 X W\r\nxy\r\nHD c6 Z X\r\n',
    'STORED\r\nEXISTS\r\nSERVER_ERROR out of memory storing object\r\nEND\r\n',
    `VA 3000 c3 f3\r\n${'x'.repeat(3000)}\r\n`,
  ].join(''),
  'latin1',
);

const whole = reading();
whole.inbox.push(STREAM);

test('are read: codes, 64 bits of the CAS, flags, marks, values and words', () => {
  const brief = whole.replies.map(({ code, cas, flags, isFirstLook, value, words }) =>
    code === CODE.other ? words : [code, cas, flags, isFirstLook, value.slice(0, 8)],
  );
  expect(brief).toEqual([
    [CODE.value, 18446744073709551615n, 4294967295, false, 'a\r\nbc'],
    [CODE.value, 9007199254740993n, 0, false, ''],
    [CODE.miss, undefined, undefined, false, ''],
    [CODE.done, 7n, undefined, false, ''],
    [CODE.done, undefined, undefined, false, ''],
    [CODE.notStored, 0n, undefined, false, ''],
    [CODE.exists, 0n, undefined, false, ''],
    [CODE.notFound, 0n, undefined, false, ''],
    [CODE.noop, undefined, undefined, false, ''],
    [CODE.value, 5n, 1, true, 'xy'],
    [CODE.done, 6n, undefined, false, ''],
    [CODE.stored, undefined, undefined, false, ''],
    'EXISTS',
    'SERVER_ERROR out of memory storing object',
    'END',
    [CODE.value, 3n, 3, false, 'xxxxxxxx'],
  ]);
});

test('are the same when the stream is split at any byte', () => {
  for (let at = 0; at <= STREAM.length; at++) {
    const { inbox, replies } = reading();
    inbox.push(STREAM.subarray(0, at));
    inbox.push(STREAM.subarray(at));
    expect(replies, `split at ${at}`).toEqual(whole.replies);
  }
});

test('are the same when every byte comes alone', () => {
  const { inbox, replies } = reading();
  for (const byte of STREAM) inbox.push(Buffer.of(byte));
  expect(replies).toEqual(whole.replies);
});

test('that come in many chunks are joined once', () => {
  const size = 1024 * 1024;
  const big = Buffer.from(`VA ${size} c1 f0\r\n${'y'.repeat(size)}\r\n`);
  const concat = Buffer.concat;
  let joinedBytes = 0;
  Buffer.concat = (list, length) => {
    const joined = concat(list, length);
    joinedBytes += joined.length;
    return joined;
  };
  const { inbox, replies } = reading();
  try {
    for (let at = 0; at < big.length; at += 1000) inbox.push(big.subarray(at, at + 1000));
  } finally {
    Buffer.concat = concat;
  }
  expect(replies[0]?.value.length).toBe(size);
  expect(joinedBytes).toBeLessThan(2 * big.length);
});

describe('garbage', () => {
  test.each([
    ['a reply of the binary protocol', Buffer.of(0x81, 0x0b, 0, 0)],
    ['a line without CR', Buffer.from('EN\n')],
    ['a line without an end', Buffer.from('S'.repeat(3000))],
    ['a block without a size', Buffer.from('VA c1 f0\r\n')],
    ['an endless block', Buffer.from('VA 99999999999 c1 f0\r\n')],
    ['a block that is longer than its size', Buffer.from('VA 1 c1 f0\r\nxy\r\n')],
    ['a flag that nobody asked for', Buffer.from('HD c1 k2\r\n')],
    ['a CAS without digits', Buffer.from('HD c\r\n')],
    ['a CAS with letters', Buffer.from('HD c1a\r\n')],
  ])('%s', (_, bytes) => {
    const { inbox, replies, garbage } = reading();
    inbox.push(Buffer.concat([Buffer.from('MN\r\n'), bytes]));
    inbox.push(Buffer.from('MN\r\n'));
    expect([replies.length, garbage.length]).toEqual([1, 1]);
  });

  test('nothing is delivered after stop, also not from the same chunk', () => {
    let count = 0;
    const parser: MetaParser = new MetaParser({
      receive() {
        count++;
        parser.stop();
      },
      garbage() {},
    });
    const inbox = new Inbox(parser);
    inbox.push(Buffer.from('MN\r\nMN\r\n'));
    inbox.push(Buffer.from('MN\r\n'));
    expect(count).toBe(1);
  });
});
