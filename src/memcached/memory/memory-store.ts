/**
 * A memcached server's contents in memory, with memcached's own semantics: what several
 * MemoryServers (the clients of a simulation) share. Requests run one at a time, at once; how they
 * travel is memory-connection.ts's business. The controls at the end do to it what happens to
 * servers.
 */
import { assert } from '../../base/assert.ts';
import type { Clock } from '../../base/clock.ts';
import { FLAGS_BYTES, RELATIVE_TTL_MAX, expiryField, itemBytes } from '../item-limits.ts';
import {
  type Cas,
  type Item,
  type NewItem,
  type Outcome,
  type Refusal,
  refusedFor,
  type ServerFacts,
} from '../server.ts';

const ITEM_SIZE_MAX_DEFAULT = 1024 * 1024;

interface StoredItem {
  value: Buffer;
  flags: number;
  cas: Cas;
  /** By memcached's clock, which counts whole seconds; Infinity: never. */
  expiresAtSecond: number;
  /** Bumped, and neither stored nor looked at since. */
  isBumped: boolean;
}

export interface MemoryStoreOptions {
  readonly clock: Clock;
  /** Bytes, headers included; default 1 MiB. */
  readonly itemSizeMax?: number;
  /** As memcached from 1.6.27 on, in the meta protocol; default false. */
  readonly casByUs?: boolean;
}

/** What a store tells those who are connected to it. */
export interface StoreListener {
  /** The server process is gone, and with it every request that it had not executed. */
  restarted(): void;
  /** It runs on after `stop`. */
  resumed(): void;
}

export class MemoryStore {
  readonly clock: Clock;
  readonly itemSizeMax: number;
  readonly casByUs: boolean;
  readonly #items = new Map<string, StoredItem>();
  readonly #listeners = new Set<StoreListener>();
  #lastCas: Cas = 0n;
  #stopped = false;
  #full = false;

  constructor(options: MemoryStoreOptions) {
    this.clock = options.clock;
    this.itemSizeMax = options.itemSizeMax ?? ITEM_SIZE_MAX_DEFAULT;
    this.casByUs = options.casByUs ?? false;
  }

  get facts(): ServerFacts {
    const { itemSizeMax } = this;
    return {
      ...{ version: 'memory', protocol: 'memory', itemSizeMax },
      ...{ flagsBytes: FLAGS_BYTES, casByUs: this.casByUs },
    };
  }

  get(name: string): Outcome<Item> {
    const item = this.#find(name);
    if (item === undefined) return refused('missing');
    item.isBumped = false;
    return done(snapshot(item));
  }

  add(name: string, item: NewItem): Outcome<Cas> {
    if (item.chosenCas !== undefined) return this.#addChosen(name, item);
    if (itemBytes(name, item) > this.itemSizeMax) return refused('too-large');
    if (this.#full) return this.#noRoom(name, item);
    if (this.#find(name) !== undefined) return refused('exists');
    return done(this.#store(name, item));
  }

  /** The size is looked at first, the item second, the CAS last: as memcached does it. */
  replace(name: string, item: NewItem, cas: Cas): Outcome<Cas> {
    if (item.chosenCas !== undefined) return this.#replaceChosen(name, item, cas);
    if (itemBytes(name, item) > this.itemSizeMax) return refused('too-large');
    if (this.#full) return this.#noRoom(name, item);
    const refusal = this.#mismatch(name, cas);
    return refusal ?? done(this.#store(name, item));
  }

  delete(name: string, cas: Cas): Outcome<void> {
    const refusal = this.#mismatch(name, cas);
    if (refusal !== undefined) return refusal;
    this.#items.delete(name);
    return done(undefined);
  }

  /** Without room an append answers "not stored", as it does on a missing item. */
  bump(name: string, cas: Cas): Outcome<Cas> {
    const refusal = this.#mismatch(name, cas);
    if (refusal !== undefined) return refusal;
    const item = this.#find(name);
    if (item === undefined || this.#full) return refused('missing');
    item.cas = this.#nextCas();
    item.isBumped = true;
    return done(item.cas);
  }

  /** The CAS, for the first who looks at the item since the last bump: as a get of the meta protocol tells it. */
  bumped(name: string): Outcome<Cas> {
    const item = this.#find(name);
    if (item === undefined) return refused('missing');
    if (!item.isBumped) return refused('exists');
    item.isBumped = false;
    return done(item.cas);
  }

  getAndTouch(name: string, ttlSeconds: number): Outcome<Item> {
    const item = this.#find(name);
    if (item === undefined) return refused('missing');
    item.expiresAtSecond = this.#expiresAtSecond(ttlSeconds);
    return done(snapshot(item));
  }

  // Controls

  /** What is stored now, without a request. */
  peek(name: string): Item | undefined {
    const item = this.#find(name);
    return item === undefined ? undefined : snapshot(item);
  }

  /** Whether the next look at it will be the first one since a bump, without one. */
  isBumped(name: string): boolean {
    return this.#find(name)?.isBumped === true;
  }

  /** Brings it there. */
  markBumped(name: string): void {
    const item = this.#find(name);
    if (item !== undefined) item.isBumped = true;
  }

  /** The names of all items, in the order of their first storing. */
  names(): string[] {
    return [...this.#items.keys()].filter((name) => this.#find(name) !== undefined);
  }

  /** A write of somebody who knows nothing of us: unconditional. */
  put(name: string, value: Buffer, flags = 0, ttlSeconds = 0): Cas {
    return this.#store(name, { value, flags, ttlSeconds });
  }

  /** The next CAS that it gives is the one behind: other items' writes have moved its counter. */
  moveCas(last: Cas): void {
    this.#lastCas = last;
  }

  /** As memcached does it for want of room, at any moment, and a refused `ms` to what was there. True if it was there. */
  evict(name: string): boolean {
    const present = this.#find(name) !== undefined;
    this.#items.delete(name);
    return present;
  }

  /** Everything gone; CAS counter and connections go on. */
  flushAll(): void {
    this.#items.clear();
  }

  /** A new process behind the address: contents gone, CAS starts over, every connection ends. */
  restart(): void {
    this.#items.clear();
    this.#lastCas = 0n;
    this.#stopped = false;
    for (const listener of [...this.#listeners]) listener.restarted();
  }

  /** As SIGSTOP: connections stay, nothing is executed; what arrives runs after `resume`. */
  stop(): void {
    this.#stopped = true;
  }

  resume(): void {
    this.#stopped = false;
    for (const listener of [...this.#listeners]) listener.resumed();
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** No room for anything new, as with `-M`. */
  full(on: boolean): void {
    this.#full = on;
  }

  listen(listener: StoreListener): void {
    this.#listeners.add(listener);
  }

  unlisten(listener: StoreListener): void {
    this.#listeners.delete(listener);
  }

  #find(name: string): StoredItem | undefined {
    const item = this.#items.get(name);
    if (item === undefined || item.expiresAtSecond > this.#second()) return item;
    this.#items.delete(name);
    return undefined;
  }

  /** As a get that makes what is missing: it looks first, and sees what there is. */
  #addChosen(name: string, item: NewItem): Outcome<Cas> {
    this.#checkChosen(item);
    const found = this.#find(name);
    if (found !== undefined) return refusedFor(snapshot(found));
    return this.#full ? refused('out-of-memory') : done(this.#store(name, item));
  }

  /** What stands there gets CAS and expiry, and is otherwise left as it is. */
  #replaceChosen(name: string, item: NewItem, cas: Cas): Outcome<Cas> {
    this.#checkChosen(item);
    const refusal = this.#mismatch(name, cas);
    if (refusal !== undefined) return refusal;
    const standing = this.#items.get(name) as StoredItem;
    standing.cas = item.chosenCas as Cas;
    standing.expiresAtSecond = this.#expiresAtSecond(item.ttlSeconds);
    return done(standing.cas);
  }

  #checkChosen({ value, flags, chosenCas }: NewItem): void {
    const isAllowed = this.casByUs && value.length === 0 && flags === 0 && chosenCas !== 0n;
    assert(isAllowed, 'a CAS that cannot be chosen');
  }

  /** As an `ms` of the meta protocol: whatever its condition. */
  #noRoom(name: string, { isCopied }: NewItem): Outcome<never> {
    if (isCopied === true) this.evict(name);
    return refused('out-of-memory');
  }

  #mismatch(name: string, cas: Cas): Outcome<never> | undefined {
    assert(cas !== 0n, 'a condition on CAS 0, which is none');
    const item = this.#find(name);
    if (item === undefined) return refused('missing');
    return item.cas === cas ? undefined : refused('exists');
  }

  #store(name: string, { value, flags, ttlSeconds, chosenCas }: NewItem): Cas {
    assert(flags === flags >>> 0, `flags ${flags}, which are not 32 bits`);
    const cas = chosenCas ?? this.#nextCas();
    const expiresAtSecond = this.#expiresAtSecond(ttlSeconds);
    this.#items.set(name, {
      value: Buffer.from(value),
      flags,
      cas,
      expiresAtSecond,
      isBumped: false,
    });
    return cas;
  }

  #nextCas(): Cas {
    this.#lastCas += 1n;
    return this.#lastCas;
  }

  /** The clock ticks in whole seconds, so that an item lives between N-1 and N of them. */
  #second(): number {
    return Math.floor(this.clock.monotonicMs() / 1000);
  }

  #expiresAtSecond(ttlSeconds: number): number {
    const field = expiryField(ttlSeconds, this.clock);
    if (field === 0) return Infinity;
    if (field <= RELATIVE_TTL_MAX) return this.#second() + field;
    return this.#second() + field - Math.floor(this.clock.wallMs() / 1000);
  }
}

function snapshot({ value, flags, cas }: StoredItem): Item {
  return { value: Buffer.from(value), flags, cas };
}

function done<T>(value: T): Outcome<T> {
  return { kind: 'done', value };
}

function refused(reason: Refusal): Outcome<never> {
  return { kind: 'refused', reason };
}
