/**
 * Every state that the memcached server can be in: its two items and its CAS counter. The real
 * in-memory engine runs once for each request in each state.
 */
import { cellName, lockName } from '../../src/memcached/item-names.ts';
import { MemoryStore } from '../../src/memcached/memory/memory-store.ts';
import type { Item, NewItem, Outcome } from '../../src/memcached/server.ts';
import { Numbers, renamedItem, type Renaming } from './renaming.ts';
import type { MemcachedRequest, Vocabulary } from './requests.ts';
import { KEY, type WireProtocol } from './worker-plan.ts';
import { WorkerClock } from './worker-clock.ts';

export const CELL = cellName(KEY);
export const LOCK = lockName(KEY);
const NAMES = [CELL, LOCK];
/** Makes the counter move. */
const OTHER = 'other';

/** What happens to a server besides requests. */
export type MemcachedFault = 'evict cell' | 'evict lock' | 'restart';
const FAULTS: readonly MemcachedFault[] = ['evict cell', 'evict lock', 'restart'];
/** Requests are numbers from 0 on; these are below, and a request without room is far above. */
const WITHOUT_ROOM = 1_000_000_000;

interface Contents {
  readonly cell: Item | undefined;
  readonly lock: Item | undefined;
  readonly lastCas: number;
  /** In the meta protocol: the next look at the cell will be the first one since it was bumped. */
  readonly isBumped: boolean;
}

export interface MemcachedState extends Contents {
  readonly id: number;
  /** The text of the cell, for the checks; empty: there is none. */
  readonly cellText: string;
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

  /** @param earlier the cell that is there from the beginning */
  start(earlier: NewItem | undefined): MemcachedState {
    if (earlier === undefined)
      return this.#stateOf({ cell: undefined, lock: undefined, lastCas: 0, isBumped: false });
    const cell = { ...earlier, cas: 1n };
    return this.#stateOf({ cell, lock: undefined, lastCas: 1, isBumped: false });
  }

  /** `isFull`: there is no room for anything new just then. */
  execute(state: MemcachedState, request: number, isFull = false): Step {
    return this.#step(state, isFull ? request + WITHOUT_ROOM : request);
  }

  suffer(state: MemcachedState, fault: MemcachedFault): MemcachedState {
    return this.#step(state, -1 - FAULTS.indexOf(fault)).state;
  }

  renamed(state: MemcachedState, lastCas: number, to: Renaming): MemcachedState {
    const key = `${lastCas} ${state.numbers.keyOf(to)}`;
    const known = state.renamed.get(key);
    if (known !== undefined) return known;
    const { cell, lock, isBumped } = state;
    const renamed = this.#stateOf({
      cell: cell && renamedItem(cell, to),
      lock: lock && renamedItem(lock, to),
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
      server.suffer(FAULTS[-1 - step] as MemcachedFault);
      return -1;
    }
    const isFull = step >= WITHOUT_ROOM;
    const request = this.#vocabulary.at('memcached', isFull ? step - WITHOUT_ROOM : step);
    return this.#vocabulary.idOf('outcome', server.execute(request, isFull));
  }

  #stateOf(found: Contents): MemcachedState {
    // Nobody looks for the mark in the binary protocol.
    const contents = { ...found, isBumped: found.isBumped && this.#protocol === 'meta' };
    const { cell, lock, lastCas, isBumped } = contents;
    const text = `${lastCas}${isBumped ? '*' : ''}\n${textOf(cell)}\n${textOf(lock)}`;
    const known = this.#byContents.get(text);
    if (known !== undefined) return known;
    const state: MemcachedState = {
      ...contents,
      id: this.#byContents.size,
      cellText: cell?.value.toString() ?? '',
      numbers: Numbers.in((to) => [cell && renamedItem(cell, to), lock && renamedItem(lock, to)]),
      next: new Map(),
      renamed: new Map(),
    };
    this.#byContents.set(text, state);
    return state;
  }
}

function textOf(item: Item | undefined): string {
  return item === undefined ? '' : `${item.cas} ${item.flags} ${item.value.toString('latin1')}`;
}

/** The real engine, brought to some contents. */
class Server {
  readonly #store: MemoryStore;
  #lastCas: number;

  constructor({ cell, lock, lastCas, isBumped }: Contents, damage: (store: MemoryStore) => void) {
    this.#store = new MemoryStore({ clock: new WorkerClock() });
    for (let cas = 1; cas <= lastCas; cas++) {
      if (cell !== undefined && Number(cell.cas) === cas) this.#put(CELL, cell);
      else if (lock !== undefined && Number(lock.cas) === cas) this.#put(LOCK, lock);
      else this.#store.put(OTHER, Buffer.alloc(0));
    }
    this.#store.evict(OTHER);
    if (isBumped) this.#store.markBumped(CELL);
    this.#lastCas = lastCas;
    damage(this.#store);
  }

  execute(request: MemcachedRequest, isFull: boolean): Outcome<unknown> {
    this.#store.full(isFull);
    const outcome = this.#execute(request);
    const isNew = request.command !== 'look';
    if (isNew && outcome.kind === 'done' && typeof outcome.value === 'bigint') {
      this.#lastCas = Number(outcome.value);
    }
    return outcome;
  }

  suffer(fault: MemcachedFault): void {
    if (fault === 'evict cell') this.#store.evict(CELL);
    else if (fault === 'evict lock') this.#store.evict(LOCK);
    else {
      this.#store.restart();
      this.#lastCas = 0;
    }
  }

  contents(): Contents {
    const [cell, lock] = NAMES.map((name) => this.#store.peek(name));
    return { cell, lock, lastCas: this.#lastCas, isBumped: this.#store.isBumped(CELL) };
  }

  #put(name: string, { value, flags }: Item): void {
    this.#store.put(name, value, flags);
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
