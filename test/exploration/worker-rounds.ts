/**
 * Which of a worker's combiners has sent what. Each attempt to get a key's lease begins a round: what its combiner was told
 * before, nobody remembers any more. Requests and calls are known by the round in whose course they were sent.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { LeaseLocks } from '../../src/lock/lock.ts';
import type { Arrival } from '../../src/workers/deliveries/arrival.ts';
import { Gate } from '../../src/workers/gate/gate.ts';
import type { GateContext } from '../../src/workers/gate/gate-context.ts';
import { encodeDecision, JOINT_MARK, type JobOutcome } from '../../src/updates/outcome.ts';
import { LOCKS } from './memcached-states.ts';
import { KEYS } from './worker-plan.ts';

/** Sent by nobody's combiner: of a delivery. */
export const NO_ROUND = 0;

export interface Round {
  /** From 1 on. */
  readonly number: number;
  readonly key: string;
  /** Of its owner id; 0: it has drawn none yet. */
  id: number;
}

/** A combiner waits for nothing but time, or until one of these keys has gone on. */
export interface Rest {
  readonly key: string;
  readonly wakers: readonly string[];
}

/** One for all workers: each further one costs every promise, and thousands of workers are kept. */
const ROUNDS = new AsyncLocalStorage<Round>();
const NOWHERE: Round = { number: NO_ROUND, key: '', id: 0 };

export class WorkerRounds {
  readonly all: Round[] = [];
  /** Of each key that has a combiner, the last one: by key, in the order of keys. */
  readonly #last = new Map<string, Round>();
  readonly #rests = new Map<AbortController, Rest>();
  /** Keys whose cells are being brought up, and for whom, */
  readonly #owed = new Set<{ readonly key: string; readonly seenTo: ReadonlySet<string> }>();
  /** or were, for the job that waits for its cells. */
  seenTo: Set<string>;

  constructor(seenTo: readonly string[] = []) {
    this.seenTo = new Set(seenTo);
  }

  /** Of what begins in it, nothing is taken for a round of whoever called. */
  static apart(work: () => void): void {
    ROUNDS.run(NOWHERE, work);
  }

  /** The key whose combiner is at work right now; empty: none. */
  get currentKey(): string {
    return roundNow().key;
  }

  /** The round in whose course something is sent right now. */
  get current(): number {
    return roundNow().number;
  }

  get alive(): ReadonlyMap<string, number> {
    const alive = new Map<string, number>();
    for (const key of KEYS) {
      const last = this.#last.get(key);
      if (last !== undefined) alive.set(key, last.number);
    }
    return alive;
  }

  get rests(): readonly Rest[] {
    return [...this.#rests.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  get owed(): readonly string[] {
    return sortedKeys(this.#owed);
  }

  /** Not for what it waited for before. */
  get owedToJob(): readonly string[] {
    return sortedKeys([...this.#owed].filter(({ seenTo }) => seenTo === this.seenTo));
  }

  idDrawn(id: number): void {
    const round = roundNow();
    if (round !== NOWHERE) round.id = id;
  }

  /** A gate whose combiners are known. @param decided see `GateWatch` */
  gate(
    context: Omit<GateContext, 'locks'>,
    locks: LeaseLocks,
    decided: GateWatch['decided'],
  ): Gate {
    const over = (key: string): void => void this.#last.delete(key);
    const watched = { ...context, locks: this.#watched(locks) };
    const gate = new WatchedGate(watched, { over, decided });
    const bringUp = gate.bringUp.bind(gate);
    gate.bringUp = async (key) => {
      const owed = { key, seenTo: this.seenTo };
      this.#owed.add(owed);
      const isUp = await bringUp(key);
      this.#owed.delete(owed);
      return isUp;
    };
    const { laneWaits } = gate;
    const rest = laneWaits.rest.bind(laneWaits);
    laneWaits.rest = async (clock, forMs, wakers, resting) => {
      this.#rests.set(resting, { key: roundNow().key, wakers });
      await rest(clock, forMs, wakers, resting);
      this.#rests.delete(resting);
    };
    return gate;
  }

  /** As it was in the worker that this one goes on as. */
  bringUp(gate: Gate, key: string, isForJob: boolean): void {
    const { seenTo: ofJob } = this;
    const seenTo = isForJob ? ofJob : new Set<string>();
    this.seenTo = seenTo;
    void gate.bringUp(key).then((isUp) => isUp && seenTo.add(key));
    this.seenTo = ofJob;
  }

  #watched(locks: LeaseLocks): LeaseLocks {
    return {
      attempt: (server, lockName, beside, leaseMs) => {
        const key = KEYS[LOCKS.indexOf(lockName)] as string;
        const round: Round = { number: this.all.length + 1, key, id: 0 };
        this.all.push(round);
        this.#last.set(key, round);
        ROUNDS.enterWith(round); // until the combiner's next one
        return locks.attempt(server, lockName, beside, leaseMs);
      },
      close: () => locks.close(),
    };
  }
}

function sortedKeys(owed: Iterable<{ readonly key: string }>): readonly string[] {
  return [...new Set([...owed].map(({ key }) => key))].sort();
}

function roundNow(): Round {
  return ROUNDS.getStore() ?? NOWHERE;
}

interface GateWatch {
  /** A key's combiner is over. */
  readonly over: (key: string) => void;
  /** The worker's job is, and it is told so: as Redis has it. */
  readonly decided: (outcome: string) => void;
}

class WatchedGate extends Gate {
  readonly #over: (key: string) => void;
  readonly #decided: (outcome: string) => void;

  constructor(context: GateContext, { over, decided }: GateWatch) {
    super(context);
    this.#over = over;
    this.#decided = decided;
  }

  override arrive(key: string, arrival: Arrival): void {
    super.arrive(key, {
      ...arrival,
      settle: (settlement) => {
        if (settlement.kind === 'decided') this.#decided(textOf(settlement.outcome));
        arrival.settle(settlement);
      },
    });
  }

  override forget(key: string): void {
    this.#over(key);
    super.forget(key);
  }
}

function textOf(outcome: JobOutcome): string {
  const { joint } = outcome;
  return joint === undefined ? '' : `${JOINT_MARK}${joint}:${encodeDecision(outcome)}`;
}
