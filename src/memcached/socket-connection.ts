/** The contract's requests as messages of the binary protocol, and what each answer means. */
import { assert } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import {
  expiryExtras,
  OPCODE,
  type Opcode,
  type Reply,
  type RequestParts,
  STATUS,
  storageExtras,
} from './codec.ts';
import { expiryField } from './expiry.ts';
import type { Cas, Connection, Item, NewItem, Outcome, Refusal } from './server.ts';
import type { Meaning, Wire } from './wire.ts';

const FLAGS_BYTES = 4;

export class SocketConnection implements Connection {
  readonly epoch: number;
  readonly #wire: Wire;
  readonly #clock: Clock;

  constructor(wire: Wire, epoch: number, clock: Clock) {
    this.#wire = wire;
    this.epoch = epoch;
    this.#clock = clock;
  }

  get alive(): boolean {
    return this.#wire.alive;
  }

  get ended(): Promise<void> {
    return this.#wire.ended;
  }

  get(name: string): Promise<Outcome<Item>> {
    return this.#wire.request(OPCODE.get, { name }, readItem);
  }

  add(name: string, item: NewItem): Promise<Outcome<Cas>> {
    return this.#wire.request(OPCODE.add, this.#storing(name, item), readStored);
  }

  /** REPLACE, never SET: a SET that cannot be stored deletes what was there, whatever its CAS. */
  replace(name: string, item: NewItem, cas: Cas): Promise<Outcome<Cas>> {
    return this.#conditional(OPCODE.replace, cas, this.#storing(name, item), readStored);
  }

  delete(name: string, cas: Cas): Promise<Outcome<void>> {
    return this.#conditional(OPCODE.delete, cas, { name }, readDeleted);
  }

  bump(name: string, cas: Cas): Promise<Outcome<Cas>> {
    return this.#conditional(OPCODE.append, cas, { name }, readBumped);
  }

  getAndTouch(name: string, ttlSeconds: number): Promise<Outcome<Item>> {
    const extras = expiryExtras(expiryField(ttlSeconds, this.#clock.wallMs()));
    return this.#wire.request(OPCODE.getAndTouch, { name, extras }, readItem);
  }

  destroy(): void {
    this.#wire.destroy();
  }

  /** Takes nothing more, waits for what is outstanding, then closes. */
  drain(): Promise<void> {
    return this.#wire.drain();
  }

  #storing(name: string, item: NewItem): RequestParts {
    const extras = storageExtras(item, expiryField(item.ttlSeconds, this.#clock.wallMs()));
    return { name, extras, value: item.value };
  }

  #conditional<T>(
    opcode: Opcode,
    cas: Cas,
    parts: RequestParts,
    read: (reply: Reply) => Meaning<T>,
  ): Promise<Outcome<T>> {
    assert(cas !== 0n, 'a condition on CAS 0, which on the wire means no condition');
    return this.#wire.request(opcode, { ...parts, cas }, read);
  }
}

function readItem({ status, cas, extras, value }: Reply): Meaning<Item> {
  if (status === STATUS.missing) return REFUSED.missing;
  if (status !== STATUS.ok) return 'status';
  if (cas === 0n) return 'cas-zero';
  if (extras.length < FLAGS_BYTES) return 'garbled';
  return { kind: 'done', value: { value, flags: extras.readUInt32BE(0), cas } };
}

function readStored({ status, cas }: Reply): Meaning<Cas> {
  if (status === STATUS.ok) return cas === 0n ? 'cas-zero' : { kind: 'done', value: cas };
  return refusalOf(status);
}

/**
 * An append answers "not stored" on a missing item, and also when there is no room for its new
 * copy; both mean that nothing was changed, and whoever then adds the item finds out which.
 */
function readBumped(reply: Reply): Meaning<Cas> {
  return reply.status === STATUS.notStored ? REFUSED.missing : readStored(reply);
}

function readDeleted({ status }: Reply): Meaning<void> {
  return status === STATUS.ok ? DELETED : refusalOf(status);
}

/**
 * Any other status is no refusal: nobody vouches that nothing was done. memcached gives none to a
 * well-formed request; a server that does is not to be trusted with the next one either.
 */
function refusalOf(status: number): Meaning<never> {
  switch (status) {
    case STATUS.missing:
      return REFUSED.missing;
    case STATUS.exists:
      return REFUSED.exists;
    case STATUS.tooLarge:
      return REFUSED['too-large'];
    case STATUS.outOfMemory:
      return REFUSED['out-of-memory'];
    default:
      return 'status';
  }
}

const DELETED: Outcome<void> = { kind: 'done', value: undefined };
const REFUSED: { readonly [R in Refusal]: Outcome<never> } = {
  missing: { kind: 'refused', reason: 'missing' },
  exists: { kind: 'refused', reason: 'exists' },
  'too-large': { kind: 'refused', reason: 'too-large' },
  'out-of-memory': { kind: 'refused', reason: 'out-of-memory' },
  'not-sent': { kind: 'refused', reason: 'not-sent' },
};
