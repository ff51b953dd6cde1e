/**
 * Every state that the memcached server can be in: the cell and the lock of each key, and its CAS counter. The real
 * in-memory engine runs once for each request in each state.
 */
import { decodeItem } from '../../src/cells/envelope.ts';
import { cellName, lockName } from '../../src/memcached/item-names.ts';
import { MemoryStore } from '../../src/memcached/memory/memory-store.ts';
import type { Item, NewItem, Outcome } from '../../src/memcached/server.ts';
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
 * counted by themselves, from a multiple of this on. Not if memcached may restart: then the one counter decides which old CAS come back.
 */
export const CAS_OF_ITEM = 1_000;

/** What happens to a server besides requests. */
export type MemcachedFault = { readonly evicted: string } | 'restart';
/** Requests are numbers from 0 on; these are below (a restart, then an eviction of each name), and a request without room is far above. */
const RESTART = -1;
const WITHOUT_ROOM = 1_000_000_000;

interface Contents {
  /** By name. */
  readonly items: ReadonlyMap<string, Item>;
  /** One for all items, or by item: `NAMES`. */
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
  readonly #mayRestart: boolean;
  readonly #damage: (store: MemoryStore) => void;
  readonly #byContents = new Map<string, MemcachedState>();

  constructor(
    vocabulary: Vocabulary,
    protocol: WireProtocol,
    mayRestart: boolean,
    damage: (store: MemoryStore) => void,
  ) {
    this.#vocabulary = vocabulary;
    this.#protocol = protocol;
    this.#mayRestart = mayRestart;
    this.#damage = damage;
  }

  /** @param earlier the cells that are there from the beginning, by key */
  start(earlier: readonly NewItem[]): MemcachedState {
    const lastCas = this.#mayRestart ? [0] : NAMES.map((_, at) => at * CAS_OF_ITEM);
    const items = new Map<string, Item>();
    for (const [at, cell] of earlier.entries()) {
      const counter = this.#mayRestart ? 0 : at;
      const cas = (lastCas[counter] as number) + 1;
      lastCas[counter] = cas;
      items.set(CELLS[at] as string, { ...cell, cas: BigInt(cas) });
    }
    return this.#stateOf({ items, lastCas, isBumped: false });
  }

  /** `isFull`: there is no room for anything new just then. */
  execute(state: MemcachedState, request: number, isFull = false): Step {
    return this.#step(state, isFull ? request + WITHOUT_ROOM : request);
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
    const isFull = step >= WITHOUT_ROOM;
    const request = this.#vocabulary.at('memcached', isFull ? step - WITHOUT_ROOM : step);
    return this.#vocabulary.idOf('outcome', server.execute(request, isFull));
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

function tokenIn(item: Item | undefined): number | undefined {
  const content = item && decodeItem(item);
  return content?.kind === 'envelope' ? content.envelope.token : undefined;
}

function textOf(item: Item | undefined): string {
  return item === undefined ? '' : `${item.cas} ${item.flags} ${item.value.toString('latin1')}`;
}

/** The real engine, brought to some contents. */
class Server {
  readonly #store: MemoryStore;
  readonly #lastCas: number[];

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

  execute(request: MemcachedRequest, isFull: boolean): Outcome<unknown> {
    this.#store.full(isFull);
    const counter = this.#lastCas.length === 1 ? 0 : NAMES.indexOf(request.name);
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
    this.#lastCas.fill(0);
  }

  contents(): Contents {
    const items = new Map<string, Item>();
    for (const name of NAMES) {
      const item = this.#store.peek(name);
      if (item !== undefined) items.set(name, item);
    }
    return { items, lastCas: this.#lastCas, isBumped: this.#store.isBumped(CELL) };
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
