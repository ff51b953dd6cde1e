import { describe, expect, test } from 'vitest';
import {
  encodeRequest,
  expiryExtras,
  OPCODE,
  type Reply,
  ReplyReader,
  storageExtras,
} from '../../src/memcached/codec.ts';
import { encodeReply } from '../support/scripted-memcached.ts';

function reading(): { reader: ReplyReader; replies: Reply[]; garbage: string[] } {
  const replies: Reply[] = [];
  const garbage: string[] = [];
  const reader = new ReplyReader(
    (reply) => replies.push(reply),
    (what) => garbage.push(what),
  );
  return { reader, replies, garbage };
}

describe('requests', () => {
  test('have the bytes that the protocol wants', () => {
    const extras = storageExtras({ value: Buffer.alloc(0), flags: 0xdeadbeef, ttlSeconds: 0 }, 9);
    const cas = 0x0123_4567_89ab_cdefn;
    const parts = { name: 'né', extras, value: Buffer.from('va'), cas };
    const bytes = encodeRequest(OPCODE.replace, 0xffff_fffe, parts);
    expect(bytes.toString('hex')).toBe(
      ['80', '03', '0003', '08', '00', '0000', '0000000d', 'fffffffe', '0123456789abcdef'].join(
        '',
      ) + ['deadbeef', '00000009', '6ec3a9', '7661'].join(''),
    );
  });

  test('without a condition carry CAS 0', () => {
    const bytes = encodeRequest(OPCODE.getAndTouch, 1, { name: 'a', extras: expiryExtras(3) });
    expect(bytes.readBigUInt64BE(16)).toBe(0n);
    expect(bytes.toString('hex', 24)).toBe('0000000361');
  });

  test('for a name that memcached would hang up on are a fault', () => {
    expect(() => encodeRequest(OPCODE.get, 1, { name: 'ü'.repeat(126) })).toThrow('252 bytes');
  });
});

describe('replies', () => {
  const answers = [
    { opcode: OPCODE.get, opaque: 1, cas: 2n ** 64n - 1n, extras: Buffer.from('abcd'), value: 'v' },
    { opcode: OPCODE.add, opaque: 2, cas: 2n ** 53n + 1n },
    { opcode: OPCODE.stat, opaque: 3, name: 'cas_enabled', value: 'yes', cas: 0n },
    { opcode: OPCODE.delete, opaque: 4, status: 2, value: 'Data exists for key.' },
    { opcode: OPCODE.get, opaque: 5, extras: Buffer.alloc(4), value: Buffer.alloc(3000, 'x') },
  ];
  const stream = Buffer.concat(answers.map(encodeReply));
  const brief = ({ opaque, cas, status, name, extras, value }: Reply): unknown[] => [
    opaque,
    cas,
    status,
    name.toString(),
    extras.toString(),
    value.toString(),
  ];
  const whole = reading();
  whole.reader.push(stream);
  const expected = whole.replies.map(brief);

  test('are read with all 64 bits of the CAS', () => {
    expect(expected).toEqual([
      [1, 18446744073709551615n, 0, '', 'abcd', 'v'],
      [2, 9007199254740993n, 0, '', '', ''],
      [3, 0n, 0, 'cas_enabled', '', 'yes'],
      [4, 1n, 2, '', '', 'Data exists for key.'],
      [5, 1n, 0, '', '\0\0\0\0', 'x'.repeat(3000)],
    ]);
  });

  test('are the same when the stream is split at any byte', () => {
    for (let at = 0; at <= stream.length; at++) {
      const { reader, replies } = reading();
      reader.push(stream.subarray(0, at));
      reader.push(stream.subarray(at));
      expect(replies.map(brief), `split at ${at}`).toEqual(expected);
    }
  });

  test('are the same when every byte comes alone', () => {
    const { reader, replies } = reading();
    for (const byte of stream) reader.push(Buffer.of(byte));
    expect(replies.map(brief)).toEqual(expected);
  });

  test('come as soon as they are complete', () => {
    const { reader, replies } = reading();
    const [first, second] = answers.map(encodeReply);
    reader.push(Buffer.concat([first ?? stream, (second ?? stream).subarray(0, 10)]));
    expect(replies.length).toBe(1);
  });

  test('that come in many chunks are joined once', () => {
    const big = encodeReply({ extras: Buffer.alloc(4), value: Buffer.alloc(1024 * 1024, 'y') });
    const concat = Buffer.concat;
    let joinedBytes = 0;
    Buffer.concat = (list, length) => {
      const joined = concat(list, length);
      joinedBytes += joined.length;
      return joined;
    };
    const { reader, replies } = reading();
    try {
      for (let at = 0; at < big.length; at += 1000) reader.push(big.subarray(at, at + 1000));
    } finally {
      Buffer.concat = concat;
    }
    expect(replies[0]?.value.length).toBe(1024 * 1024);
    expect(joinedBytes).toBeLessThan(2 * big.length);
  });
});

describe('garbage', () => {
  const withLengths = (body: number, name: number): Buffer => {
    const bytes = encodeReply({});
    bytes.writeUInt32BE(body, 8);
    bytes.writeUInt16BE(name, 2);
    return bytes;
  };

  test.each([
    ['words, though shorter than a header', Buffer.from('ERROR\r\n')],
    ['an endless body', withLengths(0xffff_ffff, 0)],
    ['a name longer than the body', withLengths(0, 9)],
  ])('%s', (_, bytes) => {
    const { reader, replies, garbage } = reading();
    reader.push(Buffer.concat([encodeReply({}), bytes]));
    reader.push(encodeReply({}));
    expect([replies.length, garbage.length]).toEqual([1, 1]);
  });

  test('is shown', () => {
    const { reader, garbage } = reading();
    reader.push(Buffer.from('HTTP/1.1 400 Bad Request\r\nServer: x\r\n'.repeat(5)));
    expect(garbage).toEqual([expect.stringMatching(/^"HTTP\/1.1 400 Bad Request\\r\\n.{1,60}"$/)]);
  });

  test('nothing is delivered after stop, also not from the same chunk', () => {
    let count = 0;
    const reader: ReplyReader = new ReplyReader(
      () => {
        count++;
        reader.stop();
      },
      () => {},
    );
    reader.push(Buffer.concat([encodeReply({}), encodeReply({})]));
    reader.push(encodeReply({}));
    expect(count).toBe(1);
  });
});
