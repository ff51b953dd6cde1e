/**
 * Brings a state's numbers to the smallest ones in the same order (renaming.ts). Only numbers that
 * somebody still knows are counted: the ones that nobody does leave no gap. A server's counter goes
 * on behind the highest of them, or, after a restart, behind those that were given out since.
 *
 * Which of the old CAS values the new ones hit after a restart is chance, since other keys' writes
 * move the counter, too. Two cases are searched: as soon as possible, and never (`far`).
 */
import type { Watch } from './checks.ts';
import { CAS_OF_ITEM, type MemcachedStates } from './memcached-states.ts';
import type { RedisStates } from './redis-states.ts';
import type { Numbers, Renaming } from './renaming.ts';
import type { Vocabulary } from './requests.ts';
import type { Orphan, Place, State } from './state.ts';
import type { WorkerTree } from './worker-tree.ts';

/** Old CAS values that no new one hits are above it. */
export const FAR = 1_000_000;

export interface CanonicalParts {
  readonly vocabulary: Vocabulary;
  readonly memcached: MemcachedStates;
  readonly redis: RedisStates;
  readonly workers: WorkerTree;
}

export class Canonical {
  readonly #parts: CanonicalParts;

  constructor(parts: CanonicalParts) {
    this.#parts = parts;
  }

  /** `far`: all CAS values are old ones, and will not be given out again. */
  of(state: State, far = false): State {
    const ranks = new Ranks(this.#parts.redis.lastSequence, far);
    this.#count(state, ranks);
    return ranks.close(state) ? state : this.#renamed(state, ranks);
  }

  #count({ memcached, redis, places, orphans }: State, ranks: Ranks): void {
    const { vocabulary } = this.#parts;
    ranks.count(memcached.numbers);
    ranks.count(redis.numbers);
    for (const { node, outcomes, replies, left } of places) {
      if (!node.over) ranks.count(node.numbers);
      for (const outcome of outcomes) ranks.count(vocabulary.numbersIn('outcome', outcome));
      for (const reply of replies) ranks.count(vocabulary.numbersIn('reply', reply));
      for (const request of left) ranks.count(vocabulary.numbersIn('memcached', request));
    }
    for (const { to, requests } of orphans) {
      for (const request of requests) ranks.count(vocabulary.numbersIn(to, request));
    }
  }

  #renamed(state: State, to: Ranks): State {
    const { memcached, redis } = this.#parts;
    return {
      ...state,
      memcached: memcached.renamed(state.memcached, to.lastCas, to),
      redis: redis.renamed(state.redis, to.lastToken, to),
      places: state.places.map((place) => this.#renamedPlace(place, to)),
      orphans: state.orphans.map((orphan) => this.#renamedOrphan(orphan, to)),
      watch: to.watch(state.watch),
    };
  }

  #renamedPlace(place: Place, to: Ranks): Place {
    const { vocabulary, workers } = this.#parts;
    const { node, outcomes, replies, left } = place;
    return {
      ...place,
      node: node.over ? node : workers.renamed(node, to),
      outcomes: outcomes.map((id) => vocabulary.renamed('outcome', id, to)),
      replies: replies.map((id) => vocabulary.renamed('reply', id, to)),
      left: left.map((id) => vocabulary.renamed('memcached', id, to)),
    };
  }

  #renamedOrphan(orphan: Orphan, to: Ranks): Orphan {
    const { vocabulary } = this.#parts;
    const requests = orphan.requests.map((id) => vocabulary.renamed(orphan.to, id, to));
    return { ...orphan, requests };
  }
}

class Ranks implements Renaming {
  readonly #lastSequence: number;
  readonly #far: boolean;
  readonly #cas = new Set<number>();
  readonly #tokens = new Set<number>();
  readonly #ids = new Map<string, Set<number>>();
  #casInOrder: readonly number[] = [];
  #tokensInOrder: readonly number[] = [];
  readonly #casRanks = new Map<number, number>();
  #tokenRanks = new Map<number, number>();
  readonly #idRanks = new Map<string, Map<number, number>>();
  lastCas: readonly number[] = [];
  lastToken = 0;

  constructor(lastSequence: number, far: boolean) {
    this.#lastSequence = lastSequence;
    this.#far = far;
  }

  count({ cas, tokens, ids }: Numbers): void {
    for (const value of cas) this.#cas.add(value);
    for (const value of tokens) if (value > this.#lastSequence) this.#tokens.add(value);
    for (const { worker, id } of ids) {
      const known = this.#ids.get(worker);
      if (known === undefined) this.#ids.set(worker, new Set([id]));
      else known.add(id);
    }
  }

  /** Everything is counted. True: every number is what it should be. */
  close({ memcached, redis, watch, places }: State): boolean {
    this.#casInOrder = sorted(this.#cas);
    this.#tokensInOrder = sorted(this.#tokens);
    this.lastCas = memcached.lastCas.map((last, counter) => {
      const first = counter * CAS_OF_ITEM;
      const isOfIt = (value: number): boolean => value > first && value <= last;
      return (
        first + this.#casInOrder.filter((value) => !this.#isFar(value) && isOfIt(value)).length
      );
    });
    this.lastToken = this.#lastSequence + this.#tokens.size;
    const areCasInPlace = this.#rankCas();
    const isInPlace =
      areCasInPlace &&
      memcached.lastCas.every((last, counter) => last === this.lastCas[counter]) &&
      redis.lastToken === this.lastToken &&
      !this.#far &&
      isDense(this.#tokensInOrder, this.#lastSequence + 1) &&
      this.#areIdsDense(places);
    if (isInPlace && watch.begun + watch.landed + watch.deniedBits === 0) return true;
    this.#rank();
    return isInPlace && isSame(watch, this.watch(watch));
  }

  #isFar(value: number): boolean {
    return this.#far || value > FAR;
  }

  #areIdsDense(places: State['places']): boolean {
    for (const { node } of places)
      if (!node.over && this.idsUpTo(node.plan.name, node.idsDrawn) !== node.idsDrawn) return false;
    for (const ids of this.#ids.values()) if (!isDense(sorted(ids), 1)) return false;
    return true;
  }

  /** True: every one is what it should be. */
  #rankCas(): boolean {
    let isInPlace = true;
    let rank = 0;
    for (const value of this.#casInOrder) {
      rank = Math.max(rank, this.#isFar(value) ? FAR : value - (value % CAS_OF_ITEM)) + 1;
      this.#casRanks.set(value, rank);
      isInPlace &&= rank === value;
    }
    return isInPlace;
  }

  #rank(): void {
    this.#tokenRanks = ranksFrom(this.#lastSequence + 1, this.#tokensInOrder);
    for (const [worker, ids] of this.#ids) this.#idRanks.set(worker, ranksFrom(1, sorted(ids)));
  }

  cas(value: number): number {
    return value === 0 ? 0 : (this.#casRanks.get(value) as number);
  }

  token(value: number): number {
    return value <= this.#lastSequence ? value : (this.#tokenRanks.get(value) as number);
  }

  id(worker: string, value: number): number {
    const rank = this.#idRanks.get(worker)?.get(value);
    if (rank === undefined) throw new Error(`an owner id that nobody knows: ${worker}-${value}`);
    return rank;
  }

  idsUpTo(worker: string, count: number): number {
    let known = 0;
    for (const id of this.#ids.get(worker) ?? []) if (id <= count) known++;
    return known;
  }

  /** Tokens that nobody knows any more are only remembered as lying between others. */
  watch(watch: Watch): Watch {
    let { begun, landed } = watch;
    if (begun > this.#lastSequence) {
      begun = this.lastToken + 1;
      for (const [token, rank] of this.#tokenRanks) {
        if (token >= watch.begun) begun = Math.min(begun, rank);
      }
    }
    if (landed > this.#lastSequence) {
      landed = this.#lastSequence;
      for (const [token, rank] of this.#tokenRanks) {
        if (token <= watch.landed) landed = Math.max(landed, rank);
      }
    }
    let landedBits = 0;
    let deniedBits = 0;
    for (const [token, rank] of this.#tokenRanks) {
      if ((watch.landedBits & (2 ** token)) !== 0) landedBits |= 2 ** rank;
      if ((watch.deniedBits & (2 ** token)) !== 0) deniedBits |= 2 ** rank;
    }
    return { ...watch, begun, landed, landedBits, deniedBits };
  }
}

function sorted(values: ReadonlySet<number>): number[] {
  return [...values].sort((a, b) => a - b);
}

function ranksFrom(first: number, values: readonly number[]): Map<number, number> {
  return new Map(values.map((value, index) => [value, first + index]));
}

function isDense(inOrder: readonly number[], first: number): boolean {
  return inOrder.length === 0 || inOrder.at(-1) === first + inOrder.length - 1;
}

function isSame(a: Watch, b: Watch): boolean {
  return (
    a.begun === b.begun &&
    a.landed === b.landed &&
    a.landedBits === b.landedBits &&
    a.deniedBits === b.deniedBits
  );
}
