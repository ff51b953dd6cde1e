/**
 * Every state that the memcached server can be in. A state is known by its contents and its CAS
 * counter; the real in-memory engine runs once for each request in each state.
 */
import { MemoryStore } from '../../src/memcached/memory-store.ts';
import type { Cas, Item, NewItem, Outcome } from '../../src/memcached/server.ts';
import { cellName, lockName } from '../../src/memcached/item-names.ts';
import type { MemcachedRequest, Vocabulary } from './requests.ts';
import { KEY } from './worker.ts';
import { WorkerClock } from './worker-clock.ts';

export const CELL = cellName(KEY);
const LOCK = lockName(KEY);

/** What happens to a server besides requests. */
export type MemcachedFault = 'evict cell' | 'evict lock' | 'restart';
const FAULTS: readonly MemcachedFault[] = ['evict cell', 'evict lock', 'restart'];
/** Requests are numbers from 0 on; these are below, and a request without room further below. */
const numberOf = (fault: MemcachedFault): number => -1 - FAULTS.indexOf(fault);
const WITHOUT_ROOM = 1_000_000_000;

export interface MemcachedState {
  readonly id: number;
  /** How it came about the first time. */
  readonly parent: MemcachedState | undefined;
  readonly step: number;
  readonly cell: Item | undefined;
  readonly lock: Item | undefined;
  /** The text of the cell, for the checks; empty: there is none. */
  readonly cellText: string;
  readonly next: Map<number, { readonly state: MemcachedState; readonly outcome: number }>;
}

export class MemcachedStates {
  readonly #vocabulary: Vocabulary;
  readonly #damage: (store: MemoryStore) => void;
  readonly #byContents = new Map<string, MemcachedState>();
  readonly #states: MemcachedState[] = [];

  readonly #earlier: NewItem | undefined;

  /** @param earlier the cell that is there from the beginning */
  constructor(
    vocabulary: Vocabulary,
    earlier: NewItem | undefined,
    damage: (store: MemoryStore) => void,
  ) {
    this.#vocabulary = vocabulary;
    this.#earlier = earlier;
    this.#damage = damage;
  }

  get size(): number {
    return this.#states.length;
  }

  start(): MemcachedState {
    return this.#stateOf(this.#server(), undefined, 0);
  }

  at(id: number): MemcachedState {
    return this.#states[id] as MemcachedState;
  }

  /** `isFull`: there is no room for anything new just then. */
  execute(
    state: MemcachedState,
    request: number,
    isFull = false,
  ): { readonly state: MemcachedState; readonly outcome: number } {
    return this.#step(state, isFull ? request + WITHOUT_ROOM : request);
  }

  suffer(state: MemcachedState, fault: MemcachedFault): MemcachedState {
    return this.#step(state, numberOf(fault)).state;
  }

  #step(
    state: MemcachedState,
    step: number,
  ): { readonly state: MemcachedState; readonly outcome: number } {
    const known = state.next.get(step);
    if (known !== undefined) return known;
    const server = this.#server();
    for (const earlier of historyOf(state)) this.#run(server, earlier);
    const outcome = this.#run(server, step);
    const result = { state: this.#stateOf(server, state, step), outcome };
    state.next.set(step, result);
    return result;
  }

  #server(): Server {
    const server = new Server(this.#damage);
    const item = this.#earlier;
    if (item !== undefined) server.execute({ command: 'add', name: CELL, item }, false);
    return server;
  }

  #run(server: Server, step: number): number {
    if (step < 0) {
      server.suffer(FAULTS[-1 - step] as MemcachedFault);
      return -1;
    }
    const isFull = step >= WITHOUT_ROOM;
    const request = this.#vocabulary.memcachedAt(isFull ? step - WITHOUT_ROOM : step);
    return this.#vocabulary.outcome(server.execute(request, isFull));
  }

  #stateOf(server: Server, parent: MemcachedState | undefined, step: number): MemcachedState {
    const contents = server.contents();
    const known = this.#byContents.get(contents);
    if (known !== undefined) return known;
    const state: MemcachedState = {
      id: this.#states.length,
      parent,
      step,
      cell: server.store.peek(CELL),
      lock: server.store.peek(LOCK),
      cellText: server.store.peek(CELL)?.value.toString() ?? '',
      next: new Map(),
    };
    this.#byContents.set(contents, state);
    this.#states.push(state);
    return state;
  }
}

function historyOf(state: MemcachedState): number[] {
  const steps: number[] = [];
  for (let at = state; at.parent !== undefined; at = at.parent) steps.push(at.step);
  return steps.reverse();
}

/** The engine, and the last CAS that it gave out, which it does not show. */
class Server {
  readonly store: MemoryStore;
  #lastCas: Cas = 0n;

  constructor(damage: (store: MemoryStore) => void) {
    this.store = new MemoryStore({ clock: new WorkerClock() });
    damage(this.store);
  }

  execute(request: MemcachedRequest, isFull: boolean): Outcome<unknown> {
    this.store.full(isFull);
    const outcome = this.#execute(request);
    this.store.full(false);
    if (outcome.kind === 'done' && typeof outcome.value === 'bigint') this.#lastCas = outcome.value;
    return outcome;
  }

  suffer(fault: MemcachedFault): void {
    if (fault === 'evict cell') this.store.evict(CELL);
    else if (fault === 'evict lock') this.store.evict(LOCK);
    else {
      this.store.restart();
      this.#lastCas = 0n;
    }
  }

  contents(): string {
    const items = [CELL, LOCK].map((name) => {
      const item = this.store.peek(name);
      return item === undefined ? '' : `${item.cas} ${item.flags} ${item.value.toString('latin1')}`;
    });
    return `${this.#lastCas}\n${items.join('\n')}`;
  }

  #execute(request: MemcachedRequest): Outcome<unknown> {
    const { store } = this;
    switch (request.command) {
      case 'get':
        return store.get(request.name);
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
