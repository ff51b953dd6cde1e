/** One turn of a key: what it was given, where it stands, and how it can end. Every step of it works on this record. */
import type { TorilError } from '../../errors.ts';
import type { LaneEntry } from '../../jobs/lane.ts';
import type { Lease } from '../../lock/lock.ts';
import type { MemcachedServer } from '../../memcached/server.ts';
import type { TurnObserver } from '../../telemetry/observer.ts';
import type { Arrival, Settlement } from '../deliveries/arrival.ts';
import type { Arrivals } from '../deliveries/arrivals.ts';
import type { FoldTurn } from '../fold/batch.ts';
import type { GateContext } from '../gate/gate-context.ts';
import type { KeyMemory } from '../gate/key-memory.ts';
import { type KnownCell, NO_CELL } from './known-cell.ts';

/** How a turn ended, and so what the combiner does next. */
export type TurnEnd =
  /** The lane is empty. */
  | { readonly kind: 'idle' }
  /** More jobs wait, but somebody else may want the lease. */
  | { readonly kind: 'more' }
  /** Something came in between: start again from the beginning. */
  | { readonly kind: 'again' }
  /** The lane's head waits for these keys: look again once one of them has gone on here, or soon, and within so many milliseconds. */
  | { readonly kind: 'waits'; readonly forKeys: readonly string[]; readonly withinMs?: number }
  /** Somebody is deciding the lane's head right now, together with other jobs: that will be over soon. */
  | { readonly kind: 'in-hand' }
  /** The lane's head cannot be decided now; look again in a while. */
  | { readonly kind: 'blocked'; readonly delayMs: number }
  /** A server is out of reach. */
  | { readonly kind: 'unavailable'; readonly cause: TorilError };

/** How a batch ended: the turn with it, or the next one may follow under the same lease. */
export type BatchEnd = TurnEnd | { readonly kind: 'next' };

export const IDLE: TurnEnd = { kind: 'idle' };
export const MORE: TurnEnd = { kind: 'more' };
export const AGAIN: TurnEnd = { kind: 'again' };
export const NEXT: BatchEnd = { kind: 'next' };

const NOTHING: readonly LaneEntry[] = [];
const NO_KEYS: ReadonlySet<string> = new Set();

/** The key that is worked on, in this process. */
export interface TurnSite {
  readonly context: GateContext;
  readonly key: string;
  readonly server: MemcachedServer;
  readonly cellName: string;
  readonly arrivals: Arrivals;
  readonly memory: KeyMemory;
  readonly neighbours: Neighbours;
  /** The worker closes: nothing more is begun. */
  readonly closing: () => boolean;
}

/** The other keys of this process. */
export interface Neighbours {
  /** Visits a key: its cell and its lane are looked at. */
  visit(key: string): void;
  /** Those that wait for the key's lane look again. */
  goneOn(key: string): void;
  /** Whoever waits at the key looks at once. */
  wake(key: string): void;
  /** A job that was delivered here, and waits at this key, its first one. */
  arrivalOf(key: string, jobId: string): Arrival | undefined;
  /** Tells it. */
  settle(key: string, jobId: string, settlement: Settlement): void;
}

export class Turn implements TurnSite, FoldTurn {
  readonly context: GateContext;
  readonly key: string;
  readonly server: MemcachedServer;
  readonly cellName: string;
  readonly lease: Lease;
  readonly arrivals: Arrivals;
  readonly memory: KeyMemory;
  readonly neighbours: Neighbours;
  readonly closing: () => boolean;
  /** Undefined: nobody measures. */
  readonly observer: TurnObserver | undefined;
  /** Keys to visit when the turn is over: nobody else does that for a key that it drives until then. */
  readonly toVisit: Set<string> = new Set();
  /** As it was read with the lease, or as we last committed it. */
  cell: KnownCell = NO_CELL;
  /** The token of a batch that was taken, while nothing of it has been sent to memcached; 0: none. */
  takenToken = 0;
  /** The keys whose lanes it was taken from. */
  takenKeys: readonly string[] = [];
  /** In this batch, jobs that were not delivered here must not be applied. */
  restricted = false;
  /** Since when an asynchronous update has been waited for: monotonic milliseconds. */
  awaitingSinceMs: number | undefined;
  /** The job that was begun alone under this lease, since it had stalled before. */
  begunAlone: string | undefined;
  #driven: readonly string[] = [];
  #applying: readonly LaneEntry[] = NOTHING;
  #applyingCount = 0;
  #released = false;

  constructor(site: TurnSite, lease: Lease, observer?: TurnObserver) {
    this.context = site.context;
    this.key = site.key;
    this.server = site.server;
    this.cellName = site.cellName;
    this.lease = lease;
    this.arrivals = site.arrivals;
    this.memory = site.memory;
    this.neighbours = site.neighbours;
    this.closing = site.closing;
    this.observer = observer;
  }

  onlyDelivered(): boolean {
    return this.restricted || this.context.resting();
  }

  /**
   * From now on it is this turn that decides transactions of these keys in this process, and of no others. Those that wait for
   * one that it no longer decides look again.
   */
  drive(keys: readonly string[]): void {
    const { driven } = this.memory.worker;
    const before = this.#driven;
    for (const key of before) driven.delete(key);
    for (const key of keys) driven.set(key, this);
    this.#driven = keys;
    for (const key of before) if (!driven.has(key)) this.neighbours.goneOn(key);
  }

  /** The first `count` entries of a batch are applied, or the last of them is being applied. */
  beginApply(entries: readonly LaneEntry[], count: number): void {
    this.#applying = entries;
    this.#applyingCount = count;
  }

  endApply(): void {
    this.#applying = NOTHING;
    this.#applyingCount = 0;
    this.awaitingSinceMs = undefined;
  }

  /** The job's wait is over: from now on it must not be snoozed, or it could not be charged. */
  isApplying(jobId: string): boolean {
    return this.#applying.slice(0, this.#applyingCount).some((entry) => entry.jobId === jobId);
  }

  /** Milliseconds for which the asynchronous update that is being applied has been waited for; 0: there is none. */
  awaitedMs(nowMs: number): number {
    return this.awaitingSinceMs === undefined ? 0 : nowMs - this.awaitingSinceMs;
  }

  /**
   * Nobody has to wait for what stays behind: the next holder may take it later, or never.
   * @param decided keys of a commit, which are put back by it
   */
  putBack(decided: ReadonlySet<string> = NO_KEYS): void {
    if (this.takenToken === 0) return;
    const left = this.takenKeys.filter((key) => !decided.has(key));
    if (left.length > 0) this.context.lanes.putBack(left, this.takenToken).catch(() => undefined);
    this.takenToken = 0;
  }

  /**
   * A job that was begun alone is still undecided: this process has lived through it, and must not say so only when the
   * job's delivery ends, since somebody else may be about to put a death down to it.
   */
  tellSurvived(): void {
    const { begunAlone, arrivals, memory, context } = this;
    if (begunAlone === undefined || arrivals.get(begunAlone) === undefined) return;
    const survived = memory.worker.isolatedStarts.survivedOf(begunAlone);
    context.lanes.noteSurvived(begunAlone, survived).catch(() => undefined); // it is told again
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    void this.lease.release();
  }

  /** Only an operator can make the lane go on. */
  held(cause: TorilError): TurnEnd {
    const { context, key } = this;
    context.report('laneHeld', { key, jobId: undefined, reason: cause.message, code: cause.code });
    return { kind: 'blocked', delayMs: context.options.blockedMs };
  }

  lost(): TurnEnd {
    this.context.report('leaseLost', { key: this.key });
    return AGAIN;
  }
}
