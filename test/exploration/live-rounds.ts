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
import { CELLS } from './memcached-states.ts';
import type { Vocabulary } from './requests.ts';
import { isTime, TOLD, TOLD_KINDS } from './stimuli.ts';
import { KEYS, placeOf, type WorkerPlan } from './worker-plan.ts';
import { NO_ROUND } from './worker-rounds.ts';
import type { WorkerNode, WorkerTree } from './worker-tree.ts';

interface Kept {
  readonly live: ReadonlySet<number>;
  /** Of these, those that remember more than a lock. */
  readonly atWork: ReadonlySet<number>;
  /** The job looks at its cells before rounds begin that do so in the same step, and is answered first. */
  readonly looksFirst: boolean;
}

export class LiveRounds {
  readonly #vocabulary: Vocabulary;
  readonly #workers: WorkerTree;
  readonly #missing: number;

  constructor(vocabulary: Vocabulary, workers: WorkerTree) {
    this.#vocabulary = vocabulary;
    this.#workers = workers;
    this.#missing = vocabulary.idOf('outcome', { kind: 'refused', reason: 'missing' });
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
    const active = activeRounds(node, steps);
    const live = new Set([...active, ...roundsThatSaw(node, steps, gone)]);
    const ids = node.rounds.filter(({ number, id }) => live.has(number) && id > 0);
    const { plan, idsDrawn, owed, owedToJob } = node;
    const abandoned = ids.map(({ id }) => id);
    const goes = { ...plan, idsDrawn, abandoned, goesOn: phase, owed, owedToJob };
    const from = this.#workers.start({ ...goes, ...settling(node, steps) });
    const waiting = waitingRounds(node);
    const atWork = new Set([...active].filter((round) => !waiting.has(round)));
    for (const looksFirst of [true, false]) {
      const told = this.#told(from, steps, { live, atWork, looksFirst });
      if (told === undefined || drawn(told.rounds) !== abandoned.length) continue;
      if (visible(told, gone) === visible(node, gone)) return told;
    }
    return undefined;
  }

  #told(
    from: WorkerNode,
    steps: readonly WorkerNode[],
    { live, atWork, looksFirst }: Kept,
  ): WorkerNode | undefined {
    let at = from;
    let hasBegun = false;
    const settlesAt = from.plan.goesOn === 'settles' ? beginsToSettle(steps) : Infinity;
    for (const [index, { parent, stimulus, rounds }] of steps.entries()) {
      const before = parent as WorkerNode;
      const isOfDelivery = isAnswer(stimulus) && roundOf(before, stimulus) === NO_ROUND;
      const isKept = isOfDelivery ? index > settlesAt : (keeps(before, stimulus, live) ?? hasBegun);
      if (isKept && !hearsTheSame(at, before, stimulus)) return undefined;
      if (isKept) at = this.#workers.next(at, this.#needed(before, stimulus, atWork));
      if (index === settlesAt) hasBegun = true;
      const looks = TOLD.begins + KEYS.length * TOLD_KINDS;
      if (index === settlesAt && looksFirst) at = this.#workers.next(at, looks);
      for (const { number, key } of rounds.slice(before.rounds.length)) {
        if (!live.has(number)) continue;
        hasBegun = true;
        if (at.alive.has(key)) continue;
        const place = placeOf(key);
        at = this.#workers.next(at, TOLD.begins + place * TOLD_KINDS);
      }
      if (index === settlesAt && !looksFirst) at = this.#workers.next(at, looks);
    }
    return at;
  }

  /** Of a round of which but the lock counts that it saw, there may as well have been no cell. */
  #needed(before: WorkerNode, stimulus: number, atWork: ReadonlySet<number>): number {
    const isOver = isAnswer(stimulus) && !atWork.has(roundOf(before, stimulus));
    if (!isOver || roundOf(before, stimulus) === NO_ROUND) return stimulus;
    const isRead = stimulus % TOLD_KINDS === TOLD.answer && this.#isReadOfCell(before.requests[0]);
    return isRead ? TOLD.answer + this.#missing * TOLD_KINDS : stimulus;
  }

  #isReadOfCell(request: number | undefined): boolean {
    if (request === undefined) return false;
    const { command, name } = this.#vocabulary.at('memcached', request);
    return command === 'get' && CELLS.includes(name);
  }
}

/**
 * Those that go on, or of which an answer is still to come. Of combiners that bring cells up, all rounds: from one of the earlier
 * ones they may know that it is done.
 */
export function activeRounds(node: WorkerNode, steps: readonly WorkerNode[]): Set<number> {
  const { alive, requestRounds, callRounds, owed } = node;
  const rounds = new Set([...alive.values(), ...requestRounds, ...callRounds]);
  for (const key of owed) {
    for (let at = steps.length - 1; steps[at]?.alive.has(key) === true; at--)
      rounds.add(steps[at]?.alive.get(key) as number);
  }
  return rounds;
}

/** Whoever was refused the lock, and waits, reads all anew when it tries again. */
export function waitingRounds({ alive, held, requestRounds }: WorkerNode): Set<number> {
  const waits = ([key, round]: [string, number]): boolean =>
    held.has(key) && !requestRounds.includes(round);
  return new Set([...alive].filter(waits).map(([, round]) => round));
}

/** How many have drawn their owner id. */
export function drawn(rounds: WorkerNode['rounds']): number {
  return rounds.filter(({ id }) => id > 0).length;
}

/** From its start, without it. */
export function stepsTo(node: WorkerNode): WorkerNode[] {
  const steps: WorkerNode[] = [];
  for (let at = node; at.parent !== undefined; at = at.parent) steps.push(at);
  return steps.reverse();
}

/** In which it first saw locks that it remembers. */
function roundsThatSaw(
  node: WorkerNode,
  steps: readonly WorkerNode[],
  gone: readonly string[],
): Set<number> {
  const live = new Set<number>();
  for (const [name, seen] of node.sightings) {
    if (gone.includes(name)) continue;
    const first = steps.findLast(({ parent }) => parent?.sightings.get(name) !== seen);
    if (first !== undefined) live.add(roundOf(first.parent as WorkerNode, first.stimulus));
  }
  return live;
}

/** Where it began to look at its job's cells for the last time; or else where it was told the outcome, behind its last delivery. */
function beginsToSettle(steps: readonly WorkerNode[]): number {
  const since = steps.findLastIndex(({ parent }) => parent?.phase !== 'settles');
  const looks = steps.findLastIndex((step) => beginsToLook(step));
  // For how long it has looked it remembers: after a while, its job goes back.
  const hasTimePassed = steps.slice(since, looks + 1).some(({ stimulus }) => isTime(stimulus));
  return hasTimePassed ? since : Math.max(since, looks);
}

function beginsToLook({ parent, phase, requestRounds, stimulus }: WorkerNode): boolean {
  const ofDelivery = (rounds: readonly number[] = []): number =>
    rounds.filter((round) => round === NO_ROUND).length;
  const [before, now] = [ofDelivery(parent?.requestRounds), ofDelivery(requestRounds)];
  const isHeard = stimulus % TOLD_KINDS === TOLD.answer && parent?.requestRounds[0] === NO_ROUND;
  return phase === 'settles' && now > (isHeard ? before - 1 : before);
}

/** What a worker that waits for its job's cells begins with. */
function settling(
  { phase, outcome, looksAt, seenTo }: WorkerNode,
  steps: readonly WorkerNode[],
): Pick<WorkerPlan, 'outcome' | 'looksAt' | 'seenTo'> {
  if (phase !== 'settles') return { outcome: '', looksAt: undefined, seenTo: [] };
  const from = steps[beginsToSettle(steps)];
  const looks = from !== undefined && beginsToLook(from);
  return { outcome, looksAt: looks ? looksAt : undefined, seenTo };
}

function isAnswer(stimulus: number): boolean {
  const kind = stimulus % TOLD_KINDS;
  return kind === TOLD.answer || kind === TOLD.reply;
}

/** Of an answer or a reply. */
export function roundOf({ requestRounds, callRounds }: WorkerNode, stimulus: number): number {
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
export function visible(node: WorkerNode, gone: readonly string[]): string {
  const { requests, calls, requestRounds, callRounds, rounds, alive, sightings } = node;
  const { rests, phase, outcome, connected, pausing, hurrying, running, over, idsDrawn } = node;
  const { owed, owedToJob, seenTo } = node;
  const remembered = [...sightings].filter(([name]) => !gone.includes(name));
  const seen = remembered.map(([name, lock]) => `${name} ${lock}`);
  const keyOf = (number: number): string => rounds[number - 1]?.key ?? '';
  return JSON.stringify([
    ...[requests, calls, requestRounds.map(keyOf), callRounds.map(keyOf)],
    ...[[...alive.keys()], seen.sort()],
    ...[
      rests,
      phase,
      phase === 'settles' ? [outcome, seenTo, owedToJob] : '',
      owed,
      connected,
      pausing,
      hurrying,
      running,
      over,
      idsDrawn,
    ],
  ]);
}
