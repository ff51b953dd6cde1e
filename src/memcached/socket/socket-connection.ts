/** The contract's requests on one connection, in whatever protocol it speaks. */
import { assert } from '../../base/assert.ts';
import type { OwnedConnection, Protocol, Request } from '../protocol.ts';
import { type Cas, type Item, type NewItem, type Outcome, REFUSED } from '../server.ts';
import type { Wire } from './wire.ts';

export class SocketConnection<Q extends Request<Reply> = Request<unknown>, Reply = unknown>
  implements OwnedConnection
{
  readonly epoch: number;
  readonly #wire: Wire<Q, Reply>;
  readonly #protocol: Protocol<Q, Reply>;

  constructor(wire: Wire<Q, Reply>, protocol: Protocol<Q, Reply>, epoch: number) {
    this.#wire = wire;
    this.#protocol = protocol;
    this.epoch = epoch;
  }

  get casByUs(): boolean {
    return this.#protocol.casByUs;
  }

  get alive(): boolean {
    return this.#wire.alive;
  }

  get ended(): Promise<void> {
    return this.#wire.ended;
  }

  get(name: string): Promise<Outcome<Item>> {
    return this.#wire.request(this.#protocol.get(name));
  }

  add(name: string, item: NewItem): Promise<Outcome<Cas>> {
    if (!this.#protocol.fits(name, item)) return this.#tooLarge();
    return this.#wire.request(this.#protocol.add(name, item));
  }

  replace(name: string, item: NewItem, cas: Cas): Promise<Outcome<Cas>> {
    checkCondition(cas);
    if (!this.#protocol.fits(name, item)) return this.#tooLarge();
    return this.#wire.request(this.#protocol.replace(name, item, cas));
  }

  delete(name: string, cas: Cas): Promise<Outcome<void>> {
    checkCondition(cas);
    return this.#wire.request(this.#protocol.delete(name, cas));
  }

  bump(name: string, cas: Cas): Promise<Outcome<Cas>> {
    checkCondition(cas);
    return this.#wire.request(this.#protocol.bump(name, cas));
  }

  getAndTouch(name: string, ttlSeconds: number): Promise<Outcome<Item>> {
    return this.#wire.request(this.#protocol.getAndTouch(name, ttlSeconds));
  }

  destroy(): void {
    this.#wire.destroy();
  }

  drain(): Promise<void> {
    return this.#wire.drain();
  }

  #tooLarge(): Promise<Outcome<never>> {
    return Promise.resolve(REFUSED[this.alive ? 'too-large' : 'not-sent']);
  }
}

function checkCondition(cas: Cas): void {
  assert(cas !== 0n, 'a condition on CAS 0, which on the wire means no condition');
}
