/** memjs's codec and what we add to it, held against the protocol by code that shares nothing with either. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bytesAtMost,
  encodeRequest,
  OPCODE,
  plain,
  type RequestParts,
  writeRequest,
} from '../../../src/memcached/binary/codec.ts';
import { BinaryParser, type Reply } from '../../../src/memcached/binary/replies.ts';
import { Inbox } from '../../../src/memcached/socket/inbox.ts';
import { roomOf } from '../../../src/memcached/socket/room.ts';
import { encodeReply } from '../../support/scripted-memcached.ts';

/** A reply is only there while it is delivered. */
type Kept = Pick<Reply, 'opcode' | 'status' | 'opaque' | 'cas' | 'flags' | 'name' | 'value'>;

function kept({ opcode, status, opaque, cas, flags, name, value }: Reply): Kept {
  return { opcode, status, opaque, cas, flags, name, value };
}

function reading(): { reader: Inbox; replies: Kept[]; garbage: string[] } {
  const replies: Kept[] = [];
  const garbage: string[] = [];
  const parser = new BinaryParser({
    receive: (reply) => void replies.push(kept(reply)),
    garbage: (what) => void garbage.push(what),
  });
  return { reader: new Inbox(parser), replies, garbage };
}

describe('requests', () => {
  test('have the bytes that the protocol wants', () => {
    const cas = 0x0123_4567_89ab_cdefn;
    const parts = { name: 'né', flags: 0xdeadbeef, expiry: 9, value: Buffer.from('va'), cas };
    const bytes = encodeRequest(OPCODE.replace, 0xffff_fffe, parts);
    expect(bytes.toString('hex')).toBe(
      ['80', '03', '0003', '08', '00', '0000', '0000000d', 'fffffffe', '0123456789abcdef'].join(
        '',
      ) + ['deadbeef', '00000009', '6ec3a9', '7661'].join(''),
    );
  });

  test('without a condition carry CAS 0', () => {
    const bytes = encodeRequest(OPCODE.getAndTouch, 1, { ...plain('a'), expiry: 3 });
    expect(bytes.readBigUInt64BE(16)).toBe(0n);
    expect(bytes.toString('hex', 24)).toBe('0000000361');
  });

  const uint32 = fc.nat({ max: 0xffff_ffff });
  /** Flags never come without an expiry. */
  const extras = fc.oneof(
    fc.constant({ flags: undefined, expiry: undefined }),
    fc.record({ flags: fc.option(uint32, { nil: undefined }), expiry: uint32 }),
  );
  const partsWithoutExtras = fc.record({
    name: fc.string({ unit: 'grapheme', maxLength: 60 }).filter((n) => Buffer.byteLength(n) <= 250),
    value: fc.option(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      { nil: undefined },
    ),
    cas: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  });
  const partsOfAnyKind: fc.Arbitrary<RequestParts> = fc
    .tuple(partsWithoutExtras, extras)
    .map(([parts, fields]) => ({ ...parts, ...fields }));
  const anyOpcode = fc.constantFrom(...Object.values(OPCODE));

  function reference(opcode: number, opaque: number, parts: RequestParts): Buffer {
    const { name, flags, expiry, value, cas } = parts;
    const extras = [flags, expiry].filter((field) => field !== undefined);
    const bytes = Buffer.from(name);
    const body = extras.length * 4 + bytes.length + (value?.length ?? 0);
    const hex = (field: number | bigint, digits: number): string =>
      field.toString(16).padStart(digits, '0');
    const header = `80${hex(opcode, 2)}${hex(bytes.length, 4)}${hex(extras.length * 4, 2)}000000`;
    const fields = `${hex(body, 8)}${hex(opaque, 8)}${hex(cas, 16)}`;
    const rest = extras.map((field) => hex(field, 8)).join('');
    return Buffer.concat([
      Buffer.from(header + fields + rest, 'hex'),
      bytes,
      value ?? bytes.subarray(0, 0),
    ]);
  }

  test('are right, byte for byte, whatever the memory held before', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(anyOpcode, uint32, partsOfAnyKind), { maxLength: 5 }),
        (requests) => {
          const room = roomOf(requests.reduce((sum, [, , parts]) => sum + bytesAtMost(parts), 0));
          room.bytes.fill(0xff);
          for (const request of requests) writeRequest(room, ...request);
          const expected = Buffer.concat(requests.map((request) => reference(...request)));
          expect(room.bytes.toString('hex', 0, room.used)).toBe(expected.toString('hex'));
        },
      ),
    );
  });

  test('for a name that memcached would hang up on are a fault', () => {
    expect(() => encodeRequest(OPCODE.getQuietly, 1, plain('ü'.repeat(126)))).toThrow('252 bytes');
  });
});

describe('replies', () => {
  const answers = [
    {
      opcode: OPCODE.getQuietly,
      opaque: 1,
      cas: 2n ** 64n - 1n,
      extras: Buffer.from('abcd'),
      value: 'v',
    },
    { opcode: OPCODE.add, opaque: 2, cas: 2n ** 53n + 1n },
    { opcode: OPCODE.stat, opaque: 3, name: 'cas_enabled', value: 'yes', cas: 0n },
    { opcode: OPCODE.deleteQuietly, opaque: 4, status: 2, value: 'Data exists for key.' },
    {
      opcode: OPCODE.getQuietly,
      opaque: 5,
      extras: Buffer.alloc(4),
      value: Buffer.alloc(3000, 'x'),
    },
  ];
  const stream = Buffer.concat(answers.map(encodeReply));
  const brief = ({ opaque, cas, status, name, flags, value }: Kept): unknown[] => [
    opaque,
    cas,
    status,
    name,
    flags,
    value.toString(),
  ];
  const whole = reading();
  whole.reader.push(stream);
  const expected = whole.replies.map(brief);

  test('are read with all 64 bits of the CAS', () => {
    expect(expected).toEqual([
      [1, 18446744073709551615n, 0, '', 0x61626364, 'v'],
      [2, 9007199254740993n, 0, '', undefined, ''],
      [3, 0n, 0, 'cas_enabled', undefined, 'yes'],
      [4, 1n, 2, '', undefined, 'Data exists for key.'],
      [5, 1n, 0, '', 0, 'x'.repeat(3000)],
    ]);
  });

  test('are read as they were made', () => {
    const bytes = fc.uint8Array({ maxLength: 40 }).map((some) => Buffer.from(some));
    const uint32 = fc.nat({ max: 0xffff_ffff });
    const anyAnswer = fc.record({
      opcode: fc.nat({ max: 0xff }),
      status: fc.nat({ max: 0xffff }),
      opaque: uint32,
      cas: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      extras: bytes,
      name: fc.string({ unit: 'binary-ascii', maxLength: 40 }),
      value: bytes,
    });
    fc.assert(
      fc.property(fc.array(anyAnswer, { maxLength: 5 }), (some) => {
        const { reader, replies } = reading();
        reader.push(Buffer.concat(some.map(encodeReply)));
        const made = some.map(({ extras, ...answer }) => ({
          ...answer,
          flags: extras.length < 4 ? undefined : extras.readUInt32BE(0),
        }));
        expect(replies).toEqual(made);
      }),
    );
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
    const parser: BinaryParser = new BinaryParser({
      receive() {
        count++;
        parser.stop();
      },
      garbage() {},
    });
    const reader = new Inbox(parser);
    reader.push(Buffer.concat([encodeReply({}), encodeReply({})]));
    reader.push(encodeReply({}));
    expect(count).toBe(1);
  });
});
