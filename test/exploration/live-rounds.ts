/**
 * A worker's story, made as short as what it remembers. On the joint path a worker is a few combiners, each in a round of its
 * own (worker-rounds.ts), and its job. So of its story only this is kept, in order:
 *
 * - that its job has an outcome, and all that it was told since, until its cells are written;
 * - the rounds that combiners are in, and those of which an answer is still to come;
 * - the round in which it first saw a lock, as it is, in other hands (`LockObservations`): from then on it waits for a takeover;
 * - what concerns all of them, pauses, time that passes, connections that end, from the first of these rounds on.
 *
 * Then a process whose combiners were told to begin just these rounds, and the same in them, is taken for the worker, if it has
 * sent and waits for the same. What is not kept: how often in a row a combiner had to wait, which makes its pauses longer, and
 * in the end leaves the lane to its jobs' deliveries.
 */
import { TOLD, TOLD_KINDS } from './stimuli.ts';
import { KEYS } from './worker-plan.ts';
import { NO_ROUND } from './worker-rounds.ts';
import type { WorkerNode, WorkerTree } from './worker-tree.ts';

export class LiveRounds {
  readonly #workers: WorkerTree;

  constructor(workers: WorkerTree) {
    this.#workers = workers;
  }

  /**
   * Undefined: it is what it is.
   * @param gone locks that it saw in other hands, and that nobody will see again
   */
  shortened(node: WorkerNode, gone: readonly string[]): WorkerNode | undefined {
    const { phase, requestRounds, callRounds, over } = node;
    if (over || phase === 'is delivered') return undefined;
    const settles = phase === 'settles';
    if (!settles && [...requestRounds, ...callRounds].includes(NO_ROUND)) return undefined;
    const steps = stepsTo(node);
    if (remembersCells(node, steps)) return undefined;
    const live = liveRounds(node, steps, gone);
    const ids = node.rounds.filter(({ number, id }) => live.has(number) && id > 0);
    const { plan, idsDrawn } = node;
    const abandoned = ids.map(({ id }) => id);
    const outcome = settles ? node.outcome : '';
    const from = this.#workers.start({ ...plan, idsDrawn, abandoned, goesOn: phase, outcome });
    const told = this.#told(from, steps, live);
    return told !== undefined && visible(told, gone) === visible(node, gone) ? told : undefined;
  }

  #told(
    from: WorkerNode,
    steps: readonly WorkerNode[],
    live: ReadonlySet<number>,
  ): WorkerNode | undefined {
    let at = from;
    let hasBegun = false;
    const settlesAt = firstThatSettles(from, steps);
    for (const [index, { parent, stimulus, rounds }] of steps.entries()) {
      const before = parent as WorkerNode;
      const isOfDelivery = isAnswer(stimulus) && roundOf(before, stimulus) === NO_ROUND;
      const isKept = isOfDelivery ? index > settlesAt : (keeps(before, stimulus, live) ?? hasBegun);
      if (isKept && !hearsTheSame(at, before, stimulus)) return undefined;
      if (isKept) at = this.#workers.next(at, stimulus);
      if (index === settlesAt) {
        hasBegun = true;
        at = this.#workers.next(at, TOLD.begins + KEYS.length * TOLD_KINDS);
      }
      for (const { number, key } of rounds.slice(before.rounds.length)) {
        if (!live.has(number)) continue;
        hasBegun = true;
        if (at.alive.has(key)) continue;
        const place = (KEYS as readonly string[]).indexOf(key);
        at = this.#workers.next(at, TOLD.begins + place * TOLD_KINDS);
      }
    }
    return at;
  }
}

/** From its start, without it. */
function stepsTo(node: WorkerNode): WorkerNode[] {
  const steps: WorkerNode[] = [];
  for (let at = node; at.parent !== undefined; at = at.parent) steps.push(at);
  return steps.reverse();
}

function liveRounds(
  node: WorkerNode,
  steps: readonly WorkerNode[],
  gone: readonly string[],
): Set<number> {
  const live = new Set([...node.alive.values(), ...node.requestRounds, ...node.callRounds]);
  if (node.phase === 'settles') {
    const since = steps.slice(steps.findLastIndex(({ parent }) => parent?.phase !== 'settles'));
    for (const { alive } of since) for (const number of alive.values()) live.add(number);
  }
  for (const [name, seen] of node.sightings) {
    if (gone.includes(name)) continue;
    const first = steps.findLast(({ parent }) => parent?.sightings.get(name) !== seen);
    if (first !== undefined) live.add(roundOf(first.parent as WorkerNode, first.stimulus));
  }
  return live;
}

/** From where on it sees to its job's cells: since it knows the outcome; if it was delivered several times, for the last time. */
function firstThatSettles({ plan }: WorkerNode, steps: readonly WorkerNode[]): number {
  if (plan.goesOn !== 'settles') return Number.POSITIVE_INFINITY;
  return steps.findLastIndex(({ parent }) => parent?.phase !== 'settles');
}

/**
 * Whoever sees to cells remembers for which he has done so, and of each key's combiner that it must not take a missing cell for
 * lost: of the worker's own job until that is over, and of others' (the sweep) for good.
 */
function remembersCells({ phase, alive }: WorkerNode, steps: readonly WorkerNode[]): boolean {
  const sweeps = steps.some(({ parent, stimulus }) => {
    const { phase: then = 'is delivered' } = parent ?? {};
    const isBetween = then === 'waits' || then === 'is over';
    return isBetween && isAnswer(stimulus) && roundOf(parent as WorkerNode, stimulus) === NO_ROUND;
  });
  if (sweeps || phase !== 'is over') return sweeps;
  return [...alive.keys()].some((key) => {
    const since = steps.findLastIndex(({ parent }) => parent?.alive.has(key) !== true);
    return steps.slice(Math.max(0, since)).some(({ parent }) => parent?.phase === 'settles');
  });
}

function isAnswer(stimulus: number): boolean {
  const kind = stimulus % TOLD_KINDS;
  return kind === TOLD.answer || kind === TOLD.reply;
}

/** Of an answer or a reply. */
function roundOf({ requestRounds, callRounds }: WorkerNode, stimulus: number): number {
  const [round] = stimulus % TOLD_KINDS === TOLD.reply ? callRounds : requestRounds;
  return round ?? NO_ROUND;
}

/** Undefined: it concerns all rounds. */
function keeps(
  before: WorkerNode,
  stimulus: number,
  live: ReadonlySet<number>,
): boolean | undefined {
  if (isAnswer(stimulus)) return live.has(roundOf(before, stimulus));
  return stimulus % TOLD_KINDS === TOLD.begins ? false : undefined; // by its round
}

function hearsTheSame(one: WorkerNode, other: WorkerNode, stimulus: number): boolean {
  switch (stimulus % TOLD_KINDS) {
    case TOLD.answer:
      return one.requests[0] === other.requests[0];
    case TOLD.reply:
      return one.calls[0] === other.calls[0];
    default:
      return true;
  }
}

/** As far as can be seen from outside. */
function visible(node: WorkerNode, gone: readonly string[]): string {
  const { requests, calls, requestRounds, callRounds, rounds, alive, sightings } = node;
  const { rests, phase, outcome, connected, pausing, hurrying, running, over, idsDrawn } = node;
  const remembered = [...sightings].filter(([name]) => !gone.includes(name));
  const seen = remembered.map(([name, lock]) => `${name} ${lock}`);
  const keyOf = (number: number): string => rounds[number - 1]?.key ?? '';
  return JSON.stringify([
    ...[requests, calls, requestRounds.map(keyOf), callRounds.map(keyOf)],
    ...[[...alive.keys()], seen.sort()],
    ...[
      rests,
      phase,
      phase === 'settles' ? outcome : '',
      connected,
      pausing,
      hurrying,
      running,
      over,
      idsDrawn,
    ],
  ]);
}
