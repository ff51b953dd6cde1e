/** The contract's requests as messages of the binary protocol, and what each answer means. */
import { assert } from '../../base/assert.ts';
import type { Clock } from '../../base/clock.ts';
import { OPCODE, plain, type RequestParts, STATUS } from '../binary/codec.ts';
import { expiryField } from '../expiry.ts';
import type { Reply } from '../binary/replies.ts';
import type { Cas, Connection, Item, NewItem, Outcome, Refusal } from '../server.ts';
import type { Meaning, Wire } from '../binary/wire.ts';

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

  /** memcached sends the answer to a miss by itself, which takes it longer than all the rest: so it gives none. */
  get(name: string): Promise<Outcome<Item>> {
    return this.#wire.request(OPCODE.getQuietly, plain(name), readItem, REFUSED.missing);
  }

  add(name: string, item: NewItem): Promise<Outcome<Cas>> {
    return this.#wire.request(OPCODE.add, this.#storing(name, item, 0n), readStored);
  }

  /** REPLACE, never SET: a SET that cannot be stored deletes what was there, whatever its CAS. */
  replace(name: string, item: NewItem, cas: Cas): Promise<Outcome<Cas>> {
    checkCondition(cas);
    return this.#wire.request(OPCODE.replace, this.#storing(name, item, cas), readStored);
  }

  delete(name: string, cas: Cas): Promise<Outcome<void>> {
    checkCondition(cas);
    return this.#wire.request(OPCODE.deleteQuietly, plain(name, cas), readDeleted, DELETED);
  }

  bump(name: string, cas: Cas): Promise<Outcome<Cas>> {
    checkCondition(cas);
    return this.#wire.request(OPCODE.append, plain(name, cas), readBumped);
  }

  getAndTouch(name: string, ttlSeconds: number): Promise<Outcome<Item>> {
    const expiry = expiryField(ttlSeconds, this.#clock);
    const parts = { name, flags: undefined, expiry, value: undefined, cas: 0n };
    return this.#wire.request(OPCODE.getAndTouch, parts, readItem);
  }

  destroy(): void {
    this.#wire.destroy();
  }

  /** Takes nothing more, waits for what is outstanding, then closes. */
  drain(): Promise<void> {
    return this.#wire.drain();
  }

  #storing(name: string, { flags, ttlSeconds, value }: NewItem, cas: Cas): RequestParts {
    return { name, flags, expiry: expiryField(ttlSeconds, this.#clock), value, cas };
  }
}

function checkCondition(cas: Cas): void {
  assert(cas !== 0n, 'a condition on CAS 0, which on the wire means no condition');
}

function readItem(reply: Reply): Meaning<Item> {
  const { status } = reply;
  if (status === STATUS.missing) return REFUSED.missing;
  if (status !== STATUS.ok) return 'status';
  const { cas, flags } = reply;
  if (cas === 0n) return 'cas-zero';
  if (flags === undefined) return 'garbled';
  return { kind: 'done', value: { value: reply.value, flags, cas } };
}

function readStored(reply: Reply): Meaning<Cas> {
  const { status } = reply;
  if (status !== STATUS.ok) return refusalOf(status);
  const { cas } = reply;
  return cas === 0n ? 'cas-zero' : { kind: 'done', value: cas };
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
