/**
 * Every state that the memcached server can be in: the cell and the lock of each key, and its CAS counter. The real
 * in-memory engine runs once for each request in each state.
 */
import { decodeItem } from '../../src/cells/envelope.ts';
import { cellName, lockName } from '../../src/memcached/item-names.ts';
import { MemoryStore } from '../../src/memcached/memory/memory-store.ts';
import type { Cas, Item, NewItem, Outcome } from '../../src/memcached/server.ts';
import { ownerByCas } from './chosen-cas.ts';
import { Numbers, renamedItem, type Renaming } from './renaming.ts';
import type { MemcachedRequest, Vocabulary } from './requests.ts';
import { KEY, KEYS, type WireProtocol } from './worker-plan.ts';
import { WorkerClock } from './worker-clock.ts';

export const CELL = cellName(KEY);
export const LOCK = lockName(KEY);
/** By key. */
export const CELLS: readonly string[] = KEYS.map(cellName);
export const LOCKS: readonly string[] = KEYS.map(lockName);
const NAMES = [...CELLS, ...LOCKS];

/**
 * An item's CAS is compared with that item's alone, so which of two items was written first is seen by nobody. Each item's are
 * counted by themselves, from a multiple of this on.
 */
export const CAS_OF_ITEM = 1_000;
/**
 * CAS from before a restart are above it. The counter has started over, so any of them may be given out again. That makes a
 * difference only if somebody still sends one: then both are tried, that the item has it by now, and that it does not.
 */
export const OLD_CAS = 1_000_000;

/** What happens to a server besides requests. */
export type MemcachedFault = { readonly evicted: string } | 'restart';
/** `without room`: there is none for anything new just then. `by an old CAS`: the item has got the one that the request goes by. */
export type Manner = 'as it is' | 'without room' | 'by an old CAS';
/** Requests are numbers from 0 on; these are below (a restart, then an eviction of each name), and the other manners are far above. */
const RESTART = -1;
const MANNERS: readonly Manner[] = ['as it is', 'without room', 'by an old CAS'];
const OF_MANNER = 1_000_000_000;

interface Contents {
  /** By name. */
  readonly items: ReadonlyMap<string, Item>;
  /** By item: `NAMES`. */
  readonly lastCas: readonly number[];
  /** In the meta protocol: the next look at the cell will be the first one since it was bumped. */
  readonly isBumped: boolean;
}

export interface MemcachedState extends Contents {
  readonly id: number;
  /** The texts of the cells, by key, for the checks; empty: there is none. */
  readonly cellTexts: readonly string[];
  /** By key; undefined: there is none. */
  readonly cellTokens: readonly (number | undefined)[];
  readonly numbers: Numbers;
  readonly next: Map<number, Step>;
  /** By what has become of its numbers. */
  readonly renamed: Map<string, MemcachedState>;
}

interface Step {
  readonly state: MemcachedState;
  readonly outcome: number;
}

export class MemcachedStates {
  readonly #vocabulary: Vocabulary;
  readonly #protocol: WireProtocol;
  readonly #damage: (store: MemoryStore) => void;
  readonly #byContents = new Map<string, MemcachedState>();

  constructor(
    vocabulary: Vocabulary,
    protocol: WireProtocol,
    damage: (store: MemoryStore) => void,
  ) {
    this.#vocabulary = vocabulary;
    this.#protocol = protocol;
    this.#damage = damage;
  }

  /** @param earlier the cells that are there from the beginning, by key */
  start(earlier: readonly NewItem[]): MemcachedState {
    const lastCas = firstCas();
    const items = new Map<string, Item>();
    for (const [at, cell] of earlier.entries()) {
      const cas = (lastCas[at] as number) + 1;
      lastCas[at] = cas;
      items.set(CELLS[at] as string, { ...cell, cas: BigInt(cas) });
    }
    return this.#stateOf({ items, lastCas, isBumped: false });
  }

  execute(state: MemcachedState, request: number, manner: Manner): Step {
    return this.#step(state, request + MANNERS.indexOf(manner) * OF_MANNER);
  }

  suffer(state: MemcachedState, fault: MemcachedFault): MemcachedState {
    const step = fault === 'restart' ? RESTART : RESTART - 1 - NAMES.indexOf(fault.evicted);
    return this.#step(state, step).state;
  }

  renamed(state: MemcachedState, lastCas: readonly number[], to: Renaming): MemcachedState {
    const key = `${lastCas.join(' ')} ${state.numbers.keyOf(to)}`;
    const known = state.renamed.get(key);
    if (known !== undefined) return known;
    const { items, isBumped } = state;
    const renamed = this.#stateOf({
      items: new Map([...items].map(([name, item]) => [name, renamedItem(item, to)])),
      ...{ lastCas, isBumped },
    });
    state.renamed.set(key, renamed);
    return renamed;
  }

  #step(state: MemcachedState, step: number): Step {
    const known = state.next.get(step);
    if (known !== undefined) return known;
    const server = new Server(state, this.#damage);
    const outcome = this.#run(server, step);
    const result = { state: this.#stateOf(server.contents()), outcome };
    state.next.set(step, result);
    return result;
  }

  #run(server: Server, step: number): number {
    if (step < 0) {
      server.suffer(
        step === RESTART ? 'restart' : { evicted: NAMES[RESTART - 1 - step] as string },
      );
      return -1;
    }
    const request = this.#vocabulary.at('memcached', step % OF_MANNER);
    const manner = MANNERS[Math.floor(step / OF_MANNER)] as Manner;
    return this.#vocabulary.idOf('outcome', server.execute(request, manner));
  }

  #stateOf(found: Contents): MemcachedState {
    // Nobody looks for the mark in the binary protocol.
    const contents = { ...found, isBumped: found.isBumped && this.#protocol === 'meta' };
    const { items, lastCas, isBumped } = contents;
    const texts = NAMES.map((name) => textOf(items.get(name)));
    const text = [`${lastCas.join(' ')}${isBumped ? '*' : ''}`, ...texts].join('\n');
    const known = this.#byContents.get(text);
    if (known !== undefined) return known;
    const state: MemcachedState = {
      ...contents,
      id: this.#byContents.size,
      cellTexts: CELLS.map((name) => items.get(name)?.value.toString() ?? ''),
      cellTokens: CELLS.map((name) => tokenIn(items.get(name))),
      numbers: Numbers.in((to) => [...items.values()].map((item) => renamedItem(item, to))),
      next: new Map(),
      renamed: new Map(),
    };
    this.#byContents.set(text, state);
    return state;
  }
}

/** Before anything was written. */
function firstCas(): number[] {
  return NAMES.map((_, at) => at * CAS_OF_ITEM);
}

/** Given out before a restart. One that a lock's writer has chosen is not: it is an owner id. */
export function isOld(cas: Cas): boolean {
  return cas > OLD_CAS && ownerByCas(cas) === undefined;
}

export function tokenIn(item: Pick<Item, 'flags' | 'value'> | undefined): number | undefined {
  const content = item && decodeItem({ ...item, cas: 0n });
  return content?.kind === 'envelope' ? content.envelope.token : undefined;
}

function textOf(item: Item | undefined): string {
  return item === undefined ? '' : `${item.cas} ${item.flags} ${item.value.toString('latin1')}`;
}

/** The real engine, brought to some contents. */
class Server {
  readonly #store: MemoryStore;
  #lastCas: number[];

  constructor({ items, lastCas, isBumped }: Contents, damage: (store: MemoryStore) => void) {
    this.#store = new MemoryStore({ clock: new WorkerClock(), casByUs: true });
    for (const [name, { value, flags, cas }] of items) {
      this.#store.moveCas(cas - 1n);
      if (ownerByCas(cas) === undefined) this.#store.put(name, value, flags);
      else this.#store.add(name, { value, flags, ttlSeconds: 0, chosenCas: cas });
    }
    if (isBumped) this.#store.markBumped(CELL);
    this.#lastCas = [...lastCas];
    damage(this.#store);
  }

  execute(given: MemcachedRequest, manner: Manner): Outcome<unknown> {
    const request = manner === 'by an old CAS' ? this.#withItsCas(given) : given;
    this.#store.full(manner === 'without room');
    const counter = NAMES.indexOf(request.name);
    this.#store.moveCas(BigInt(this.#lastCas[counter] as number));
    const outcome = this.#execute(request);
    const isGiven =
      request.command !== 'look' && !('item' in request && request.item.chosenCas !== undefined);
    if (isGiven && outcome.kind === 'done' && typeof outcome.value === 'bigint') {
      this.#lastCas[counter] = Number(outcome.value);
    }
    return outcome;
  }

  suffer(fault: MemcachedFault): void {
    if (fault !== 'restart') {
      this.#store.evict(fault.evicted);
      return;
    }
    this.#store.restart();
    this.#lastCas = firstCas();
  }

  contents(): Contents {
    const items = new Map<string, Item>();
    for (const name of NAMES) {
      const item = this.#store.peek(name);
      if (item !== undefined) items.set(name, item);
    }
    return { items, lastCas: this.#lastCas, isBumped: this.#store.isBumped(CELL) };
  }

  #withItsCas(request: MemcachedRequest): MemcachedRequest {
    const item = this.#store.peek(request.name);
    return 'cas' in request && item !== undefined ? { ...request, cas: item.cas } : request;
  }

  #execute(request: MemcachedRequest): Outcome<unknown> {
    const store = this.#store;
    switch (request.command) {
      case 'get':
        return store.get(request.name);
      case 'look':
        return store.bumped(request.name);
      case 'add':
        return store.add(request.name, request.item);
      case 'replace':
        return store.replace(request.name, request.item, request.cas);
      case 'delete':
        return store.delete(request.name, request.cas);
      case 'bump':
        return store.bump(request.name, request.cas);
    }
  }
}
