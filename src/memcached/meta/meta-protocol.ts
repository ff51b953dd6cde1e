/** The meta protocol as an engine, from memcached 1.6.13 on: in order, nothing quiet, no numbers. */
import type { Socket } from 'node:net';
import { assert } from '../../base/assert.ts';
import type { Clock } from '../../base/clock.ts';
import { EXPIRY_MAX_TEXT, FLAGS_BYTES, expiryField, itemBytes } from '../item-limits.ts';
import type {
  Greeted,
  GreetingOptions,
  NotSpoken,
  Protocol,
  ProtocolEngine,
  ReplyParser,
  ReplySink,
} from '../protocol.ts';
import type { Cas, NewItem } from '../server.ts';
import type { Room } from '../socket/room.ts';
import { SocketConnection } from '../socket/socket-connection.ts';
import { Wire } from '../socket/wire.ts';
import { sayHello } from './hello.ts';
import { MetaParser, type MetaReply } from './replies.ts';
import { ADD_CHOSEN, REPLACE_CHOSEN } from './chosen-cas.ts';
import { ADD_ALONE, ADD_LAST, REPLACE_ALONE, REPLACE_LAST } from './classic-stores.ts';
import { ADD, BUMP, DELETE, GET, GET_AND_TOUCH, NOOP, REPLACE } from './commands.ts';
import { MetaRequest, type Operation } from './requests.ts';

/** Bytes that an item has beside its value, at the most. */
const SURELY_BESIDE_BYTES = 1024;

class MetaProtocol implements Protocol<MetaRequest, MetaReply> {
  readonly goodbye: Buffer = Buffer.from('quit\r\n');
  /** What the server can hold, as it told in the hello. */
  itemSizeMax = 0;
  flagsBytes = FLAGS_BYTES;
  casByUs = false;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(name: string): MetaRequest {
    return new MetaRequest(GET, { name });
  }

  add(name: string, item: NewItem): MetaRequest {
    if (item.chosenCas !== undefined) return this.#chosen(ADD_CHOSEN, name, item, 0n);
    const alone = item.isLast === true ? ADD_LAST : ADD_ALONE;
    return new MetaRequest(item.isCopied === true ? ADD : alone, this.#storing(name, item, 0n));
  }

  replace(name: string, item: NewItem, cas: Cas): MetaRequest {
    if (item.chosenCas !== undefined) return this.#chosen(REPLACE_CHOSEN, name, item, cas);
    const alone = item.isLast === true ? REPLACE_LAST : REPLACE_ALONE;
    return new MetaRequest(
      item.isCopied === true ? REPLACE : alone,
      this.#storing(name, item, cas),
    );
  }

  delete(name: string, cas: Cas): MetaRequest {
    return new MetaRequest(DELETE, { name, cas });
  }

  bump(name: string, cas: Cas): MetaRequest {
    return new MetaRequest(BUMP, { name, cas });
  }

  getAndTouch(name: string, ttlSeconds: number): MetaRequest {
    return new MetaRequest(GET_AND_TOUCH, { name, expiry: this.#expiry(ttlSeconds) });
  }

  /** Decided here: an `ms` that is too large deletes what is there. */
  fits(name: string, item: NewItem): boolean {
    const { itemSizeMax, flagsBytes } = this;
    // Nearly all are far smaller: counting the bytes of the name takes a call out of JavaScript.
    if (item.value.length + SURELY_BESIDE_BYTES <= itemSizeMax) return true;
    return itemBytes(name, item, flagsBytes) <= itemSizeMax;
  }

  bytesAtMost(request: MetaRequest): number {
    return request.bytesAtMost;
  }

  write(request: MetaRequest, _number: number, room: Room): void {
    request.operation.write(room, request);
  }

  parser(sink: ReplySink<MetaReply>): ReplyParser {
    return new MetaParser(sink);
  }

  /** The oldest is the one. */
  answers(): boolean {
    return true;
  }

  described({ words }: MetaReply): string {
    return JSON.stringify(words.slice(0, 80));
  }

  barrier(): MetaRequest {
    return new MetaRequest(NOOP, { name: '' });
  }

  #chosen(operation: Operation, name: string, item: NewItem, cas: Cas): MetaRequest {
    const { value, flags, ttlSeconds, chosenCas } = item;
    const isAllowed = this.casByUs && flags === 0 && value.length === 0 && chosenCas !== 0n;
    assert(isAllowed, 'a CAS that cannot be chosen');
    return new MetaRequest(operation, { name, expiry: this.#expiry(ttlSeconds), cas, chosenCas });
  }

  #storing(name: string, item: NewItem, cas: Cas): ConstructorParameters<typeof MetaRequest>[1] {
    const { value, flags, ttlSeconds } = item;
    return { name, value, flags, expiry: this.#expiry(ttlSeconds), cas };
  }

  #expiry(ttlSeconds: number): number {
    return Math.min(EXPIRY_MAX_TEXT, expiryField(ttlSeconds, this.#clock));
  }
}

export const metaEngine: ProtocolEngine = {
  async greet(socket: Socket, options: GreetingOptions): Promise<Greeted | NotSpoken> {
    const protocol = new MetaProtocol(options.clock);
    const wire = new Wire(socket, protocol, options);
    try {
      const hello = await sayHello(wire, options);
      if (hello.kind === 'not-spoken') {
        wire.destroy();
        return hello;
      }
      const { facts } = hello;
      protocol.itemSizeMax = facts.itemSizeMax;
      protocol.flagsBytes = facts.flagsBytes;
      protocol.casByUs = facts.casByUs && options.locks === 'cas';
      const connect = (epoch: number): SocketConnection<MetaRequest, MetaReply> =>
        new SocketConnection(wire, protocol, epoch);
      return { kind: 'greeted', facts, connect };
    } catch (error) {
      wire.destroy();
      throw error;
    }
  },
};
