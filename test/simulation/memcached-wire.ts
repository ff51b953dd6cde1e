/**
 * One simulated TCP connection between a process and a memcached. It takes the place of
 * memory-connection.ts, since here client and server must be able to fail apart: while the client is
 * paused or dead, what it has sent is executed all the same. Requests and replies keep their order;
 * requests of other connections run in between.
 *
 *   made -> gathered (a moment) -> under way -> executed -> reply under way -> settled
 *
 * A fault can strike at each arrow. In the meta protocol some requests are two commands, between which those of
 * other connections may run (src/memcached/meta/commands.ts).
 */
import { assert } from '../../src/base/assert.ts';
import { TorilError } from '../../src/errors.ts';
import type { MemoryStore, StoreListener } from '../../src/memcached/memory/memory-store.ts';
import {
  type Cas,
  type Connection,
  type Item,
  type NewItem,
  type Outcome,
  REFUSED,
  refusedFor,
} from '../../src/memcached/server.ts';
import type { Timer } from '../../src/base/clock.ts';
import type { Network } from './network.ts';
import type { ProcessClock } from './process-clock.ts';

export interface WireOptions {
  readonly network: Network;
  readonly clock: ProcessClock;
  readonly store: MemoryStore;
  readonly epoch: number;
  readonly requestDeadlineMs: number;
  readonly protocol: 'meta' | 'binary';
  readonly casByUs: boolean;
  /** Whose connection it is. */
  readonly process: string;
  /** For the trace. */
  readonly note: (what: string) => void;
}

interface Exchange {
  readonly what: string;
  readonly run: () => Outcome<unknown>;
  readonly settle: (outcome: Outcome<unknown>) => void;
  outcome: Outcome<unknown> | undefined;
}

/** Of a lock by CAS, nothing else tells whose it is. */
export interface SentItem extends NewItem {
  readonly sender: string;
}

/** Requests that arrive together. */
interface Parcel {
  readonly exchanges: readonly Exchange[];
  lost: boolean;
}

export class Wire implements Connection, StoreListener {
  readonly epoch: number;
  readonly ended: Promise<void>;
  readonly #options: WireOptions;
  #resolveEnded: () => void = () => {};
  #alive = true;
  #over = false;
  #gathered: Exchange[] = [];
  /** Sent and not yet settled. */
  #outstanding: { exchange: Exchange; sentAtMs: number }[] = [];
  #parcels: Parcel[] = [];
  /** Arrived while the server was stopped. */
  #waiting: Parcel[] = [];
  #deadline: Timer | undefined;
  /** Nothing that is sent now will arrive. */
  #upBroken = false;
  /** No reply will arrive. */
  #downBroken = false;
  /** The server process that it was connected to is gone. */
  #serverGone = false;
  #upFreeMs = 0;
  #downFreeMs = 0;

  constructor(options: WireOptions) {
    this.#options = options;
    this.epoch = options.epoch;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    options.store.listen(this); // to the end of the run: what was sent outlives the connection
  }

  get casByUs(): boolean {
    return this.#options.casByUs;
  }

  get alive(): boolean {
    return this.#alive;
  }

  get(name: string): Promise<Outcome<Item>> {
    return this.#request(`get ${name}`, () => this.#options.store.get(name));
  }

  add(name: string, item: NewItem): Promise<Outcome<Cas>> {
    const sent = this.#sent(item);
    const added = this.#request(`add ${name}`, () => this.#options.store.add(name, sent));
    return this.#isAlone(item) ? this.#standing(name, sent, added) : added;
  }

  replace(name: string, item: NewItem, cas: Cas): Promise<Outcome<Cas>> {
    checkCas(cas);
    const sent = this.#sent(item);
    const replaced = this.#request(`replace ${name} #${cas}`, () =>
      this.#options.store.replace(name, sent, cas),
    );
    return this.#isAlone(item) ? this.#standing(name, sent, replaced) : replaced;
  }

  delete(name: string, cas: Cas): Promise<Outcome<void>> {
    checkCas(cas);
    return this.#request(`delete ${name} #${cas}`, () => this.#options.store.delete(name, cas));
  }

  bump(name: string, cas: Cas): Promise<Outcome<Cas>> {
    checkCas(cas);
    const { store, protocol } = this.#options;
    const bumped = this.#request(`bump ${name} #${cas}`, () => this.#options.store.bump(name, cas));
    if (protocol === 'binary') return bumped;
    return this.#marked(
      bumped,
      this.#request(`look at ${name}`, () => store.bumped(name)),
    );
  }

  getAndTouch(name: string, ttlSeconds: number): Promise<Outcome<Item>> {
    return this.#request(`gat ${name}`, () => this.#options.store.getAndTouch(name, ttlSeconds));
  }

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

  // Faults

  /** How many parcels have been sent and have not arrived. */
  get underWay(): number {
    return this.#parcels.length;
  }

  /**
   * The connection breaks. The first `lands` parcels under way still arrive, `lateMs` later than
   * they would; `noticed`: the client is told, else it finds out when a deadline passes.
   */
  break(lands: number, lateMs: number, noticed: boolean): void {
    this.#upBroken = true;
    this.#downBroken = true;
    for (const [index, parcel] of this.#parcels.splice(0).entries()) {
      parcel.lost = true;
      if (index >= lands) continue;
      const late: Parcel = { exchanges: parcel.exchanges, lost: false };
      this.#options.network.after(lateMs, () => this.#arrive(late));
    }
    if (noticed) this.#noticeEnd('was cut');
  }

  /** Requests arrive, replies do not. */
  deafen(): void {
    this.#downBroken = true;
  }

  /** What is under way from now on takes so much longer. */
  hold(ms: number): void {
    this.#upFreeMs = Math.max(this.#upFreeMs, this.#options.network.nowMs + ms);
  }

  /** What the server answers from now on takes so much longer. */
  holdReplies(ms: number): void {
    this.#downFreeMs = Math.max(this.#downFreeMs, this.#options.network.nowMs + ms);
  }

  /** The server process is gone, and with it all that it had not executed. */
  restarted(): void {
    if (this.#serverGone) return;
    this.#serverGone = true;
    this.#upBroken = true;
    this.#downBroken = true;
    this.#waiting = [];
    this.#noticeEnd('was closed by the server');
  }

  /** The server runs on after it was stopped. */
  resumed(): void {
    for (const parcel of this.#waiting.splice(0)) this.#execute(parcel);
  }

  // Two commands

  /** A classic store, and a get behind it that tells the CAS. */
  #isAlone({ isCopied, isLast, chosenCas }: NewItem): boolean {
    if (this.#options.protocol !== 'meta' || isLast === true) return false;
    return isCopied !== true && chosenCas === undefined;
  }

  async #standing(
    name: string,
    sent: NewItem,
    storing: Promise<Outcome<Cas>>,
  ): Promise<Outcome<Cas>> {
    const looking = this.get(name);
    const [stored, found] = await Promise.all([storing, looking]);
    if (stored.kind === 'unknown' || found.kind === 'unknown')
      return stored.kind === 'unknown' ? stored : (found as Outcome<never>);
    const item = found.kind === 'done' ? found.value : undefined;
    if (stored.kind === 'refused')
      return stored.reason === 'exists' && item !== undefined ? refusedFor(item) : stored;
    const isOurs = item?.flags === sent.flags && item.value.equals(sent.value);
    // Not the CAS that it has now: somebody may have bumped it in between (the real engine knows by a mark).
    if (item !== undefined && isOurs) return stored;
    const cause = this.#end(
      'MEMCACHED_REFUSED',
      'answered STORED, but something else stands there',
    );
    return { kind: 'unknown', cause };
  }

  /** A bump, and a get behind it that tells the CAS if it is the first one since. */
  async #marked(
    bumping: Promise<Outcome<Cas>>,
    looking: Promise<Outcome<Cas>>,
  ): Promise<Outcome<Cas>> {
    const [bumped, found] = await Promise.all([bumping, looking]);
    return bumped.kind === 'done' ? found : bumped;
  }

  // The way of a request

  #request<T>(what: string, run: () => Outcome<T>): Promise<Outcome<T>> {
    if (!this.#alive) return Promise.resolve(REFUSED['not-sent']);
    return new Promise((resolve) => {
      if (this.#gathered.length === 0) this.#options.clock.soon(() => this.#flush());
      const settle = resolve as (outcome: Outcome<unknown>) => void;
      this.#gathered.push({ what, run, settle, outcome: undefined });
    });
  }

  #flush(): void {
    const batch = this.#gathered;
    if (batch.length === 0) return;
    this.#gathered = [];
    const sentAtMs = this.#options.clock.monotonicMs();
    for (const exchange of batch) this.#outstanding.push({ exchange, sentAtMs });
    this.#watchDeadline();
    if (this.#upBroken) return;
    if (batch.length > 1 && this.#options.network.splits()) {
      for (const exchange of batch) this.#send([exchange]);
    } else this.#send(batch);
  }

  #send(exchanges: readonly Exchange[]): void {
    const { network } = this.#options;
    const parcel: Parcel = { exchanges, lost: false };
    this.#parcels.push(parcel);
    this.#upFreeMs = Math.max(this.#upFreeMs, network.nowMs + network.latencyMs());
    network.after(this.#upFreeMs - network.nowMs, () => this.#arrive(parcel));
  }

  #arrive(parcel: Parcel): void {
    if (parcel.lost || this.#serverGone) return;
    if (this.#parcels[0] === parcel) this.#parcels.shift();
    if (this.#options.store.stopped) this.#waiting.push(parcel);
    else this.#execute(parcel);
  }

  #execute({ exchanges }: Parcel): void {
    const { network, clock, note } = this.#options;
    for (const exchange of exchanges) {
      exchange.outcome = exchange.run();
      note(`${exchange.what}: ${answerOf(exchange.outcome)}${this.#over ? ' (to nobody)' : ''}`);
    }
    if (this.#downBroken) return;
    this.#downFreeMs = Math.max(this.#downFreeMs, network.nowMs + network.latencyMs());
    network.after(this.#downFreeMs - network.nowMs, () => {
      if (!this.#downBroken) clock.run('arrival', () => this.#answer(exchanges.length));
    });
  }

  #answer(count: number): void {
    for (let answered = 0; answered < count && !this.#over; answered++) {
      const { exchange } = this.#outstanding.shift() as { exchange: Exchange };
      exchange.settle(exchange.outcome as Outcome<unknown>);
    }
    if (!this.#alive && this.#outstanding.length === 0) this.destroy();
  }

  /** One timer for the oldest outstanding request. */
  #watchDeadline(): void {
    const oldest = this.#outstanding[0];
    if (this.#deadline !== undefined || oldest === undefined || this.#over) return;
    const { clock, requestDeadlineMs } = this.#options;
    const dueMs = oldest.sentAtMs + requestDeadlineMs;
    this.#deadline = clock.after(Math.max(0, dueMs - clock.monotonicMs()), () => {
      this.#deadline = undefined;
      const isOverdue = this.#outstanding[0] === oldest;
      if (isOverdue) this.#end('MEMCACHED_TIMED_OUT', 'did not answer within the deadline');
      else this.#watchDeadline();
    });
  }

  #noticeEnd(how: string): void {
    const { network, clock } = this.#options;
    network.after(network.latencyMs(), () => {
      clock.run('arrival', () => void this.#end('MEMCACHED_CLOSED', how));
    });
  }

  #end(
    code: 'MEMCACHED_CLOSED' | 'MEMCACHED_TIMED_OUT' | 'MEMCACHED_REFUSED',
    how: string,
  ): TorilError {
    const cause = new TorilError(code, `the connection to memcached ${how}`);
    if (this.#over) return cause;
    this.#alive = false;
    this.#over = true;
    this.#deadline?.cancel();
    for (const { exchange } of this.#outstanding.splice(0)) {
      exchange.settle({ kind: 'unknown', cause });
    }
    for (const { settle } of this.#gathered.splice(0)) {
      settle({ kind: 'refused', reason: 'not-sent' });
    }
    this.#resolveEnded();
    return cause;
  }

  /** A real engine encodes at once, so that whoever reuses the buffer changes nothing. */
  #sent(item: NewItem): SentItem {
    const { protocol, process, casByUs } = this.#options;
    assert(item.chosenCas === undefined || casByUs, 'a CAS that cannot be chosen');
    const isCopied = item.isCopied === true && protocol === 'meta';
    return { ...item, value: Buffer.from(item.value), isCopied, sender: process };
  }
}

function checkCas(cas: Cas): void {
  assert(cas !== 0n, 'a condition on CAS 0, which is none');
}

function answerOf(outcome: Outcome<unknown>): string {
  if (outcome.kind === 'refused') return outcome.reason;
  if (outcome.kind === 'unknown') return 'unknown';
  const { value } = outcome;
  if (typeof value === 'bigint') return `#${value}`;
  return value === undefined ? 'done' : `#${(value as Item).cas}`;
}
