/**
 * Brings a state's numbers to the smallest ones in the same order (renaming.ts). Only numbers that
 * somebody still knows are counted: the ones that nobody does leave no gap. A server's counter goes
 * on behind the highest of them, or, after a restart, behind those that were given out since.
 *
 * CAS values from before a restart are equal to no new one but by chance (OLD_CAS). So nothing comes of it that two
 * workers know the same: each one's are counted by themselves.
 */
import type { Watch } from './checks.ts';
import { CAS_OF_ITEM, type MemcachedStates, OLD_CAS } from './memcached-states.ts';
import type { RedisStates } from './redis-states.ts';
import type { Numbers, Renaming } from './renaming.ts';
import type { Vocabulary } from './requests.ts';
import type { Orphan, Place, State } from './state.ts';
import type { WorkerTree } from './worker-tree.ts';

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

  /** `hasRestarted`: just now, so that all CAS values are old ones. */
  of(state: State, hasRestarted = false): State {
    const ranks = new Ranks(this.#parts.redis.lastSequence, hasRestarted);
    this.#count(state, ranks);
    return ranks.close(state) ? state : this.#renamed(state, ranks);
  }

  #count({ memcached, redis, places, orphans }: State, ranks: Ranks): void {
    const { vocabulary } = this.#parts;
    ranks.count(memcached.numbers);
    ranks.count(redis.numbers);
    for (const [who, { node, outcomes, replies, left, cutOff }] of places.entries()) {
      if (!node.over) ranks.turnTo(who, cutOff !== undefined).count(node.numbers);
      ranks.turnTo(who);
      for (const outcome of outcomes) ranks.count(vocabulary.numbersIn('outcome', outcome));
      for (const reply of replies) ranks.count(vocabulary.numbersIn('reply', reply));
      for (const request of left) ranks.count(vocabulary.numbersIn('memcached', request));
    }
    for (const { to, owner, requests } of orphans) {
      ranks.turnTo(owner);
      for (const request of requests) ranks.count(vocabulary.numbersIn(to, request));
    }
  }

  #renamed(state: State, to: Ranks): State {
    const { memcached, redis } = this.#parts;
    return {
      ...state,
      memcached: memcached.renamed(state.memcached, to.lastCas, to),
      redis: redis.renamed(state.redis, to.lastToken, to),
      places: state.places.map((place, who) => this.#renamedPlace(place, who, to)),
      orphans: state.orphans.map((orphan) => this.#renamedOrphan(orphan, to.turnTo(orphan.owner))),
      watch: to.watch(state.watch),
    };
  }

  #renamedPlace(place: Place, who: number, to: Ranks): Place {
    const { vocabulary, workers } = this.#parts;
    const { outcomes, replies, left, cutOff } = place;
    to.turnTo(who, cutOff !== undefined);
    const node = place.node.over ? place.node : workers.renamed(place.node, to);
    to.turnTo(who);
    return {
      ...place,
      node,
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

/** What a worker knows from before a restart. */
interface OldCas {
  readonly values: Set<number>;
  readonly ranks: Map<number, number>;
}

class Ranks implements Renaming {
  readonly #lastSequence: number;
  readonly #hasRestarted: boolean;
  readonly #cas = new Set<number>();
  readonly #tokens = new Set<number>();
  readonly #ids = new Map<string, Set<number>>();
  /** By worker. */
  readonly #old = new Map<number, OldCas>();
  #who = 0;
  #isCutOff = false;
  #casInOrder: readonly number[] = [];
  #tokensInOrder: readonly number[] = [];
  readonly #casRanks = new Map<number, number>();
  #tokenRanks = new Map<number, number>();
  readonly #idRanks = new Map<string, Map<number, number>>();
  lastCas: readonly number[] = [];
  lastToken = 0;

  constructor(lastSequence: number, hasRestarted: boolean) {
    this.#lastSequence = lastSequence;
    this.#hasRestarted = hasRestarted;
  }

  /** What is counted or renamed from here on is known to this worker; `isCutOff`: for whom memcached has restarted already. */
  turnTo(who: number, isCutOff = false): this {
    this.#who = who;
    this.#isCutOff = isCutOff;
    return this;
  }

  count({ cas, tokens, ids }: Numbers): void {
    for (const value of cas) {
      if (this.#isOld(value)) this.#oldOf(this.#who).values.add(value);
      else this.#cas.add(value);
    }
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
      return first + this.#casInOrder.filter(isOfIt).length;
    });
    this.lastToken = this.#lastSequence + this.#tokens.size;
    const areCasInPlace = this.#rankCas();
    const isInPlace =
      areCasInPlace &&
      memcached.lastCas.every((last, counter) => last === this.lastCas[counter]) &&
      redis.lastToken === this.lastToken &&
      isDense(this.#tokensInOrder, this.#lastSequence + 1) &&
      this.#areIdsDense(places);
    if (isInPlace && watch.begun + watch.landed + watch.deniedBits === 0) return true;
    this.#rank();
    return isInPlace && isSame(watch, this.watch(watch));
  }

  #isOld(value: number): boolean {
    return this.#hasRestarted || this.#isCutOff || value > OLD_CAS;
  }

  #oldOf(who: number): OldCas {
    let known = this.#old.get(who);
    if (known === undefined) this.#old.set(who, (known = { values: new Set(), ranks: new Map() }));
    return known;
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
      rank = Math.max(rank, value - (value % CAS_OF_ITEM)) + 1;
      this.#casRanks.set(value, rank);
      isInPlace &&= rank === value;
    }
    for (const { values, ranks } of this.#old.values()) {
      const counts = new Map<number, number>();
      for (const value of sorted(values)) {
        const ofItem = OLD_CAS + (value % OLD_CAS) - (value % CAS_OF_ITEM);
        const count = (counts.get(ofItem) ?? 0) + 1;
        counts.set(ofItem, count);
        ranks.set(value, ofItem + count);
        isInPlace &&= ofItem + count === value;
      }
    }
    return isInPlace;
  }

  #rank(): void {
    this.#tokenRanks = ranksFrom(this.#lastSequence + 1, this.#tokensInOrder);
    for (const [worker, ids] of this.#ids) this.#idRanks.set(worker, ranksFrom(1, sorted(ids)));
  }

  cas(value: number): number {
    if (value === 0) return 0;
    const ranks = this.#isOld(value) ? this.#oldOf(this.#who).ranks : this.#casRanks;
    return ranks.get(value) as number;
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
