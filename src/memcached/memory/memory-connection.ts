/**
 * A connection to a MemoryStore. A request is first gathered (for a moment), then sent, then
 * executed, then answered. Each step is a hop of its own through the clock, so that requests of
 * other connections run in between, and so that a fault can strike between any two steps. Within
 * the connection order is kept whatever the clock does: a hop always serves the head of its queue.
 */
import { assert } from '../../base/assert.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import { TorilError } from '../../errors.ts';
import type { MemoryStore, StoreListener } from './memory-store.ts';
import type { Cas, Connection, Item, NewItem, Outcome } from '../server.ts';

/** What becomes of the requests that were sent, but not executed, when a connection is cut. */
export interface CutOptions {
  /** How many of them, from the first, have reached the server and will be executed; default 0. */
  readonly lands?: number;
  /** When they are executed: milliseconds from now; default 0, before `cut` returns. */
  readonly afterMs?: number;
}

export interface MemoryConnectionOptions {
  readonly store: MemoryStore;
  readonly clock: Clock;
  readonly epoch: number;
  readonly address: string;
  readonly requestDeadlineMs: number;
  /** Milliseconds for one way; undefined: one hop of the clock. */
  readonly oneWayMs: (() => number) | undefined;
}

interface Exchange {
  readonly run: () => Outcome<unknown>;
  readonly settle: (outcome: Outcome<unknown>) => void;
  sentAtMs: number;
  /** Set when it has been executed. */
  outcome: Outcome<unknown> | undefined;
}

export class MemoryConnection implements Connection, StoreListener {
  readonly epoch: number;
  readonly ended: Promise<void>;
  readonly #options: MemoryConnectionOptions;
  readonly #store: MemoryStore;
  readonly #clock: Clock;
  #resolveEnded: () => void = () => {};
  #alive = true;
  #over = false;
  #gathered: Exchange[] = [];
  /** Sent and not yet answered. */
  #outstanding: Exchange[] = [];
  /** Sent and not yet executed; outlives the connection. */
  #unexecuted: Exchange[] = [];
  /** How many of #unexecuted have reached the server. */
  #arrived = 0;
  /** A hop that will execute the next one is under way, or waits until the store resumes. */
  #executing = false;
  /** Cut: what is left of #unexecuted runs all at once, at its time, no longer hop by hop. */
  #landsLater = false;
  #deadline: Timer | undefined;

  constructor(options: MemoryConnectionOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#clock = options.clock;
    this.epoch = options.epoch;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    this.#store.listen(this);
  }

  get casByUs(): boolean {
    return this.#store.casByUs;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** How many requests were sent and are not yet executed. */
  get unexecuted(): number {
    return this.#unexecuted.length;
  }

  get(name: string): Promise<Outcome<Item>> {
    return this.#request(() => this.#store.get(name));
  }

  add(name: string, item: NewItem): Promise<Outcome<Cas>> {
    const sent = copyOf(item);
    return this.#request(() => this.#store.add(name, sent));
  }

  replace(name: string, item: NewItem, cas: Cas): Promise<Outcome<Cas>> {
    assert(cas !== 0n, 'a condition on CAS 0, which is none');
    const sent = copyOf(item);
    return this.#request(() => this.#store.replace(name, sent, cas));
  }

  delete(name: string, cas: Cas): Promise<Outcome<void>> {
    assert(cas !== 0n, 'a condition on CAS 0, which is none');
    return this.#request(() => this.#store.delete(name, cas));
  }

  bump(name: string, cas: Cas): Promise<Outcome<Cas>> {
    assert(cas !== 0n, 'a condition on CAS 0, which is none');
    return this.#request(() => this.#store.bump(name, cas));
  }

  getAndTouch(name: string, ttlSeconds: number): Promise<Outcome<Item>> {
    return this.#request(() => this.#store.getAndTouch(name, ttlSeconds));
  }

  /** What was sent before is executed all the same. */
  destroy(): void {
    this.#end('MEMCACHED_CLOSED', 'was closed here');
  }

  /** Takes nothing more, waits for what is outstanding, then ends. */
  drain(): Promise<void> {
    this.#flush();
    this.#alive = false;
    if (this.#outstanding.length === 0) this.destroy();
    return this.ended;
  }

  /** The network between this client and the server breaks. */
  cut({ lands = 0, afterMs = 0 }: CutOptions): void {
    if (this.#over) return;
    this.#unexecuted.length = Math.min(this.#unexecuted.length, lands);
    this.#landsLater = true;
    if (afterMs === 0) this.#landAll();
    else this.#clock.after(afterMs, () => this.#landAll());
    this.#end('MEMCACHED_CLOSED', 'was cut');
  }

  restarted(): void {
    this.#unexecuted = [];
    this.#end('MEMCACHED_CLOSED', 'was closed by the server');
    this.#store.unlisten(this);
  }

  resumed(): void {
    if (this.#landsLater) return this.#landAll();
    if (this.#executing) this.#clock.soon(() => this.#executeHead());
  }

  #request<T>(run: () => Outcome<T>): Promise<Outcome<T>> {
    if (!this.#alive) return Promise.resolve({ kind: 'refused', reason: 'not-sent' });
    return new Promise((resolve) => {
      if (this.#gathered.length === 0) this.#clock.soon(() => this.#flush());
      const settle = resolve as (outcome: Outcome<unknown>) => void;
      this.#gathered.push({ run, settle, sentAtMs: 0, outcome: undefined });
    });
  }

  #flush(): void {
    const batch = this.#gathered;
    if (batch.length === 0) return;
    this.#gathered = [];
    const now = this.#clock.monotonicMs();
    for (const exchange of batch) exchange.sentAtMs = now;
    this.#outstanding.push(...batch);
    this.#unexecuted.push(...batch);
    this.#watchDeadline();
    this.#travel(() => this.#arrive(batch.length));
  }

  #travel(arrive: () => void): void {
    if (this.#options.oneWayMs === undefined) this.#clock.soon(arrive);
    else this.#clock.after(this.#options.oneWayMs(), arrive, { keepAlive: true });
  }

  #arrive(count: number): void {
    this.#arrived += count;
    if (this.#executing) return;
    this.#executing = true;
    this.#clock.soon(() => this.#executeHead());
  }

  #executeHead(): void {
    if (this.#landsLater || this.#store.stopped) return; // `resumed` calls again
    const exchange = this.#arrived === 0 ? undefined : this.#unexecuted.shift();
    if (exchange === undefined) return;
    exchange.outcome = exchange.run();
    this.#arrived--;
    this.#executing = this.#arrived > 0;
    if (this.#executing) this.#clock.soon(() => this.#executeHead());
    if (this.#over) this.#forgetIfDone();
    else this.#travel(() => this.#answerHead());
  }

  #answerHead(): void {
    const head = this.#outstanding[0];
    if (head?.outcome === undefined) return;
    this.#outstanding.shift();
    head.settle(head.outcome);
    if (!this.#alive && this.#outstanding.length === 0) this.destroy();
  }

  #landAll(): void {
    if (this.#store.stopped) return; // `resumed` calls again
    for (const exchange of this.#unexecuted.splice(0)) exchange.outcome = exchange.run();
    this.#forgetIfDone();
  }

  #forgetIfDone(): void {
    if (this.#unexecuted.length === 0) this.#store.unlisten(this);
  }

  /** One timer for the oldest outstanding request. */
  #watchDeadline(): void {
    const oldest = this.#outstanding[0];
    if (this.#deadline !== undefined || oldest === undefined || this.#over) return;
    const dueMs = oldest.sentAtMs + this.#options.requestDeadlineMs;
    const delayMs = Math.max(0, dueMs - this.#clock.monotonicMs());
    this.#deadline = this.#clock.after(delayMs, () => {
      this.#deadline = undefined;
      const overdue = this.#outstanding[0] === oldest;
      if (overdue) this.#end('MEMCACHED_TIMED_OUT', 'did not answer within the request deadline');
      else this.#watchDeadline();
    });
  }

  #end(code: 'MEMCACHED_CLOSED' | 'MEMCACHED_TIMED_OUT', how: string): void {
    if (this.#over) return;
    this.#alive = false;
    this.#over = true;
    this.#deadline?.cancel();
    const cause = new TorilError(
      code,
      `the connection to memcached at ${this.#options.address} ${how}`,
    );
    for (const { settle } of this.#outstanding.splice(0)) settle({ kind: 'unknown', cause });
    for (const { settle } of this.#gathered.splice(0))
      settle({ kind: 'refused', reason: 'not-sent' });
    this.#forgetIfDone();
    this.#resolveEnded();
  }
}

/** A real engine encodes at once, so that reusing the buffer changes nothing. */
function copyOf(item: NewItem): NewItem {
  return { ...item, value: Buffer.from(item.value) };
}
