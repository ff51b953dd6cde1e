/** The binary protocol as an engine: each reply names its request, and some requests may remain unanswered. */
import type { Socket } from 'node:net';
import { assert } from '../../base/assert.ts';
import type { Clock } from '../../base/clock.ts';
import { expiryField } from '../item-limits.ts';
import type {
  Greeted,
  GreetingOptions,
  Protocol,
  ProtocolEngine,
  ReplyParser,
  ReplySink,
} from '../protocol.ts';
import { type Cas, type NewItem, REFUSED } from '../server.ts';
import type { Room } from '../socket/room.ts';
import { SocketConnection } from '../socket/socket-connection.ts';
import { Wire } from '../socket/wire.ts';
import {
  bytesAtMost,
  encodeRequest,
  OPCODE,
  plain,
  type RequestParts,
  writeRequest,
} from './codec.ts';
import { handshake } from './handshake.ts';
import { BinaryParser, type Reply } from './replies.ts';
import {
  type BinaryRequest,
  DELETED,
  noop,
  readBumped,
  readDeleted,
  readItem,
  readStored,
  requestOf,
} from './requests.ts';

class BinaryProtocol implements Protocol<BinaryRequest, Reply> {
  readonly goodbye: Buffer = encodeRequest(OPCODE.quitQuietly, 0, plain(''));
  readonly casByUs = false;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** memcached sends the answer to a miss by itself, which takes it longer than all the rest: so it gives none. */
  get(name: string): BinaryRequest {
    return requestOf(OPCODE.getQuietly, plain(name), readItem, REFUSED.missing);
  }

  add(name: string, item: NewItem): BinaryRequest {
    return requestOf(OPCODE.add, this.#storing(name, item, 0n), readStored);
  }

  /** REPLACE, never SET: a SET that cannot be stored deletes what was there, whatever its CAS. */
  replace(name: string, item: NewItem, cas: Cas): BinaryRequest {
    return requestOf(OPCODE.replace, this.#storing(name, item, cas), readStored);
  }

  delete(name: string, cas: Cas): BinaryRequest {
    return requestOf(OPCODE.deleteQuietly, plain(name, cas), readDeleted, DELETED);
  }

  /** An append of nothing. */
  bump(name: string, cas: Cas): BinaryRequest {
    return requestOf(OPCODE.append, plain(name, cas), readBumped);
  }

  getAndTouch(name: string, ttlSeconds: number): BinaryRequest {
    const expiry = expiryField(ttlSeconds, this.#clock);
    const parts = { name, flags: undefined, expiry, value: undefined, cas: 0n };
    return requestOf(OPCODE.getAndTouch, parts, readItem);
  }

  /** The server decides, and leaves what is there. */
  fits(): boolean {
    return true;
  }

  bytesAtMost({ parts }: BinaryRequest): number {
    return bytesAtMost(parts);
  }

  write({ opcode, parts }: BinaryRequest, number: number, room: Room): void {
    writeRequest(room, opcode, number, parts);
  }

  parser(sink: ReplySink<Reply>): ReplyParser {
    return new BinaryParser(sink);
  }

  answers(reply: Reply, { opcode }: BinaryRequest, number: number): boolean {
    return reply.opaque === number && reply.opcode === opcode;
  }

  described({ opcode, opaque }: Reply): string {
    return `opcode ${opcode}, opaque ${opaque}`;
  }

  barrier(): BinaryRequest {
    return noop();
  }

  #storing(name: string, { flags, ttlSeconds, value, chosenCas }: NewItem, cas: Cas): RequestParts {
    if (chosenCas !== undefined) assert(false, 'a CAS that cannot be chosen');
    return { name, flags, expiry: expiryField(ttlSeconds, this.#clock), value, cas };
  }
}

export const binaryEngine: ProtocolEngine = {
  async greet(socket: Socket, options: GreetingOptions): Promise<Greeted> {
    const protocol = new BinaryProtocol(options.clock);
    const wire = new Wire(socket, protocol, options);
    try {
      const facts = await handshake(wire, options);
      return {
        kind: 'greeted',
        facts,
        connect: (epoch) => new SocketConnection(wire, protocol, epoch),
      };
    } catch (error) {
      wire.destroy();
      throw error;
    }
  },
};
