/**
 * Every state that a worker can be in, as a tree: a node is what a worker has been told, in order.
 * The search walks over these numbers; the real code runs once for each node, when it is first
 * needed, and never for the millions of states in which the same worker meets other circumstances.
 */
import { Numbers, renamedOutcomeText, type Renaming } from './renaming.ts';
import { itemIn, ownerIn, type Vocabulary } from './requests.ts';
import { TOLD, TOLD_KINDS } from './stimuli.ts';
import { Worker } from './worker.ts';
import type { JobPhase, WorkerDamage, WorkerEvent, WorkerPlan } from './worker-plan.ts';
import type { Rest, Round } from './worker-rounds.ts';

/** Workers that are kept running, so that most nodes need one step, not a run from the beginning. */
const LIVE_MAX = 20_000;

const LOCK_PREFIX = 'toril:lock:';

/** It was refused the lock, and saw then that nobody has it any more. */
export const SAW_FREE = -1;

const NOTHING_SEEN: ReadonlyMap<string, number> = new Map();

export interface OwnCommit {
  readonly cas: bigint;
  readonly epoch: number;
  /** It has asked for a new CAS in its place. */
  readonly isUsed: boolean;
  /** How many of its user's writes are done. */
  readonly count: number;
}

export interface WorkerNode {
  readonly id: number;
  readonly parent: WorkerNode | undefined;
  readonly stimulus: number;
  readonly plan: WorkerPlan;
  /** How many stimuli. */
  readonly told: number;
  /** Requests and calls without an answer, oldest first. */
  readonly requests: readonly number[];
  readonly calls: readonly number[];
  /** In whose course these were sent; */
  readonly requestRounds: readonly number[];
  readonly callRounds: readonly number[];
  /** and all rounds that it has begun (worker-rounds.ts): `joint`. */
  readonly rounds: readonly Readonly<Round>[];
  /** Of each key that has a combiner, the last one. */
  readonly alive: ReadonlyMap<string, number>;
  readonly rests: readonly Rest[];
  /** Keys whose cells its combiners bring up; */
  readonly owed: readonly string[];
  /** for the outcome that its job settles; */
  readonly owedToJob: readonly string[];
  /** and, while its job waits for its cells, those that were; */
  readonly seenTo: readonly string[];
  /** and at which it looks, over and over. */
  readonly looksAt: readonly string[];
  /** By key, the lock as its combiner has just seen it in other hands: outcomes; or SAW_FREE. */
  readonly held: ReadonlyMap<string, number>;
  readonly phase: JobPhase;
  readonly outcome: string;
  readonly epoch: number;
  readonly connected: boolean;
  readonly pausing: boolean;
  readonly working: boolean;
  readonly wasRefused: boolean;
  readonly running: boolean;
  readonly over: boolean;
  /** Its own last commit, whose CAS it remembers; undefined: it has made none. */
  readonly commit: OwnCommit | undefined;
  /** What happened in the last step. */
  readonly events: readonly WorkerEvent[];
  readonly hurrying: boolean;
  readonly idsDrawn: number;
  /** Owner ids of its own that it has given up without knowing whether they stand in a lock. */
  readonly abandoned: ReadonlySet<string>;
  readonly callsMade: number;
  /** Its job is decided, though it may go on with others. */
  readonly isDecided: boolean;
  /** By name, the locks as it last saw them in somebody's hands, if that is what it remembers: outcomes. */
  readonly sightings: ReadonlyMap<string, number>;
  /** The same, if that is what it last heard: it waits. */
  readonly sawHeld: number;
  /** See fresh-starts.ts; by the owner ids that it has abandoned. */
  readonly fresh: Map<string, WorkerNode>;
  /** What it may remember: all that it has heard, and its owner ids. */
  readonly numbers: Numbers;
  readonly children: Map<number, WorkerNode>;
  /** By what has become of its numbers. */
  readonly renamed: Map<string, WorkerNode>;
}

export class WorkerTree {
  readonly #vocabulary: Vocabulary;
  readonly #damage: WorkerDamage;
  readonly #nodes: WorkerNode[] = [];
  readonly #live = new Map<number, Worker>();
  readonly #roots = new Map<string, WorkerNode>();

  constructor(vocabulary: Vocabulary, damage: WorkerDamage) {
    this.#vocabulary = vocabulary;
    this.#damage = damage;
  }

  get size(): number {
    return this.#nodes.length;
  }

  /** A worker that has just started. */
  start(plan: WorkerPlan): WorkerNode {
    const { name, commits, idsDrawn, abandoned, callsMade, goesOn, outcome } = plan;
    const cells = [plan.looksAt, plan.seenTo, plan.owed, plan.owedToJob];
    const root = JSON.stringify([
      ...[name, commits, idsDrawn, callsMade, abandoned, goesOn, outcome, cells],
    ]);
    const known = this.#roots.get(root);
    if (known !== undefined) return known;
    const node = this.#add(undefined, -1, plan, new Worker(plan, this.#vocabulary, this.#damage));
    this.#roots.set(root, node);
    return node;
  }

  at(id: number): WorkerNode {
    return this.#nodes[id] as WorkerNode;
  }

  next(node: WorkerNode, stimulus: number): WorkerNode {
    const known = node.children.get(stimulus);
    if (known !== undefined) return known;
    const worker = this.#workerAt(node);
    worker.tell(stimulus);
    const child = this.#add(node, stimulus, node.plan, worker);
    node.children.set(stimulus, child);
    return child;
  }

  /** The worker that has heard the same with other numbers. */
  renamed(node: WorkerNode, to: Renaming): WorkerNode {
    if (node.numbers.isEmpty && node.plan.idsDrawn === 0) return node;
    const key = `${to.idsUpTo(node.plan.name, node.plan.idsDrawn)} ${node.numbers.keyOf(to)}`;
    const known = node.renamed.get(key);
    if (known !== undefined) return known;
    const renamed = this.#rename(node, to);
    if (renamed.requests.length !== node.requests.length || renamed.over !== node.over) {
      throw new Error('a worker does something else with other numbers: it computes with them');
    }
    node.renamed.set(key, renamed);
    return renamed;
  }

  #rename({ parent, stimulus, plan }: WorkerNode, to: Renaming): WorkerNode {
    if (parent === undefined) {
      const idsDrawn = to.idsUpTo(plan.name, plan.idsDrawn);
      const abandoned = plan.abandoned.map((id) => to.id(plan.name, id));
      const outcome = renamedOutcomeText(plan.outcome, to);
      return this.start({ ...plan, idsDrawn, abandoned, outcome });
    }
    const kind = stimulus % TOLD_KINDS;
    const about = Math.floor(stimulus / TOLD_KINDS);
    const renamedAbout =
      kind === TOLD.answer || kind === TOLD.reply
        ? this.#vocabulary.renamed(kind === TOLD.answer ? 'outcome' : 'reply', about, to)
        : about;
    return this.next(this.#rename(parent, to), kind + renamedAbout * TOLD_KINDS);
  }

  #numbers(
    parent: WorkerNode | undefined,
    stimulus: number,
    idsDrawn: number,
    plan: WorkerPlan,
  ): Numbers {
    const idsBefore = parent?.idsDrawn ?? plan.idsDrawn;
    const own = Array.from({ length: idsDrawn - idsBefore }, (_, index) => idsBefore + 1 + index);
    if (parent === undefined) own.push(...plan.abandoned);
    const about = Math.floor(stimulus / TOLD_KINDS);
    const kind = parent === undefined ? -1 : stimulus % TOLD_KINDS;
    const heard =
      kind === TOLD.answer || kind === TOLD.reply
        ? this.#vocabulary.numbersIn(kind === TOLD.answer ? 'outcome' : 'reply', about)
        : parent === undefined
          ? Numbers.in((to) => renamedOutcomeText(plan.outcome, to))
          : undefined;
    return Numbers.of(
      parent?.numbers,
      heard,
      own.map((id) => ({ worker: plan.name, id })),
    );
  }

  /** The live one, if it still stands there; it moves on. Else another one is told the same again. */
  #workerAt(node: WorkerNode): Worker {
    const live = this.#live.get(node.id);
    if (live !== undefined) {
      this.#live.delete(node.id);
      return live;
    }
    const told: number[] = [];
    for (let at = node; at.parent !== undefined; at = at.parent) told.push(at.stimulus);
    const worker = new Worker(node.plan, this.#vocabulary, this.#damage);
    for (const stimulus of told.reverse()) worker.tell(stimulus);
    worker.takeEvents();
    return worker;
  }

  #add(
    parent: WorkerNode | undefined,
    stimulus: number,
    plan: WorkerPlan,
    worker: Worker,
  ): WorkerNode {
    const events = worker.takeEvents();
    const node: WorkerNode = {
      id: this.#nodes.length,
      parent,
      stimulus,
      plan,
      told: parent === undefined ? 0 : parent.told + 1,
      requests: worker.requests,
      calls: worker.calls,
      requestRounds: worker.requestRounds,
      callRounds: worker.callRounds,
      rounds: worker.rounds.all.map((round) => ({ ...round })),
      alive: worker.rounds.alive,
      rests: worker.rounds.rests,
      owed: worker.rounds.owed,
      owedToJob: worker.job.phase === 'settles' ? worker.rounds.owedToJob : [],
      seenTo: [...worker.rounds.seenTo].sort(),
      looksAt: worker.looksAt,
      phase: worker.job.phase,
      outcome: worker.job.outcome,
      epoch: worker.epoch,
      connected: worker.connected,
      pausing: worker.pausing,
      working: worker.working,
      wasRefused: worker.wasRefused,
      running: worker.running,
      over: worker.over,
      commit: this.#commit(parent, stimulus, worker, events),
      events,
      hurrying: worker.hurrying,
      idsDrawn: worker.idsDrawn,
      abandoned: this.#abandoned(parent, worker),
      callsMade: worker.callsMade,
      isDecided: parent?.isDecided === true || events.some(isDecision),
      sightings: this.#sightings(parent, stimulus),
      sawHeld: this.#sawHeld(parent, stimulus),
      held: this.#held(parent, stimulus),
      fresh: new Map(),
      numbers: this.#numbers(parent, stimulus, worker.idsDrawn, plan),
      children: new Map(),
      renamed: new Map(),
    };
    this.#nodes.push(node);
    this.#live.set(node.id, worker);
    if (this.#live.size > LIVE_MAX) {
      for (const oldest of this.#live.keys()) {
        this.#live.delete(oldest);
        break;
      }
    }
    return node;
  }

  /** One set for all that have given up the same: it only grows. */
  #abandoned(parent: WorkerNode | undefined, { abandoned }: Worker): ReadonlySet<string> {
    const before = parent?.abandoned;
    return before?.size === abandoned.size ? before : new Set(abandoned);
  }

  #commit(
    parent: WorkerNode | undefined,
    stimulus: number,
    worker: Worker,
    events: readonly WorkerEvent[],
  ): OwnCommit | undefined {
    const before = parent?.commit;
    const count = (before?.count ?? 0) + (events.some(isWritten) ? 1 : 0);
    const asked = parent?.requests[0];
    const outcome = Math.floor(stimulus / TOLD_KINDS);
    if (asked !== undefined && stimulus % TOLD_KINDS === TOLD.answer) {
      const request = this.#vocabulary.at('memcached', asked);
      const answer = this.#vocabulary.at('outcome', outcome);
      const isOfCell = !request.name.startsWith(LOCK_PREFIX);
      if (request.command === 'replace' && isOfCell && answer.kind === 'done') {
        const { epoch } = worker;
        return { cas: answer.value as bigint, epoch, isUsed: false, count };
      }
    }
    if (before === undefined) return undefined;
    const isUsed = before.isUsed || worker.requests.some((id) => this.#isBumpOf(id, before.cas));
    return { ...before, isUsed, count };
  }

  #isBumpOf(id: number, cas: bigint): boolean {
    const request = this.#vocabulary.at('memcached', id);
    return request.command === 'bump' && request.cas === cas;
  }

  /** What `LockObservations` remembers, or more: when in doubt, it remembers. */
  #sightings(parent: WorkerNode | undefined, stimulus: number): ReadonlyMap<string, number> {
    const asked = parent?.requests[0];
    const before = parent?.sightings ?? NOTHING_SEEN;
    if (asked === undefined || stimulus % TOLD_KINDS !== TOLD.answer) return before;
    const answer = Math.floor(stimulus / TOLD_KINDS);
    const outcome = this.#vocabulary.at('outcome', answer);
    const { command, name } = this.#vocabulary.at('memcached', asked);
    if (!name.startsWith(LOCK_PREFIX)) return before;
    const found = itemIn(outcome);
    if (found !== undefined) {
      const isConfirmed =
        command === 'get' &&
        isOwn(ownerIn(found), parent as WorkerNode) &&
        !this.#wasRefused(parent as WorkerNode);
      return isConfirmed ? before : new Map([...before, [name, answer]]);
    }
    const isMissing = outcome.kind === 'refused' && outcome.reason === 'missing';
    // Behind a refused add, in the meta protocol: it looks once more.
    const { plan } = parent as WorkerNode;
    if (isMissing && looksBehind(plan) && this.#isRefusal(parent as WorkerNode)) return before;
    const isFreeOrOurs = outcome.kind === 'done' || isMissing;
    if (!isFreeOrOurs || command === 'delete' || !before.has(name)) return before;
    return new Map([...before].filter(([seen]) => seen !== name));
  }

  #held(parent: WorkerNode | undefined, stimulus: number): ReadonlyMap<string, number> {
    const before = parent?.held ?? NOTHING_SEEN;
    const asked = parent?.requests[0];
    if (asked === undefined || stimulus % TOLD_KINDS !== TOLD.answer) return before;
    const key = parent?.rounds.find(({ number }) => number === parent.requestRounds[0])?.key;
    if (key === undefined) return before;
    const held = new Map(before);
    held.delete(key);
    if (!this.#isLook(asked)) return held;
    const answer = Math.floor(stimulus / TOLD_KINDS);
    const isHeld = itemIn(this.#vocabulary.at('outcome', answer)) !== undefined;
    return held.set(key, isHeld ? answer : SAW_FREE);
  }

  /** It asked for the lock, was told that it exists, and has looked at it, or was told what it is. */
  #sawHeld(parent: WorkerNode | undefined, stimulus: number): number {
    if (parent === undefined || stimulus % TOLD_KINDS !== TOLD.answer) return -1;
    const answer = Math.floor(stimulus / TOLD_KINDS);
    const asked = parent.requests[0];
    const outcome = this.#vocabulary.at('outcome', answer);
    if (asked === undefined || itemIn(outcome) === undefined) return -1;
    if (outcome.kind === 'refused') return answer;
    return this.#isLook(asked) && this.#wasRefused(parent) ? answer : -1;
  }

  #isLook(request: number): boolean {
    const { command, name } = this.#vocabulary.at('memcached', request);
    return command === 'get' && name.startsWith(LOCK_PREFIX);
  }

  /** It has heard that the lock which it asked for exists; in the meta protocol maybe also that it was gone by then. */
  #wasRefused(node: WorkerNode): boolean {
    return this.#isRefusal(node) || this.#isGoneBehindRefusal(node);
  }

  #isGoneBehindRefusal({ parent, stimulus, plan }: WorkerNode): boolean {
    if (!looksBehind(plan) || parent === undefined || !this.#isRefusal(parent)) return false;
    const outcome = this.#vocabulary.at('outcome', Math.floor(stimulus / TOLD_KINDS));
    return stimulus % TOLD_KINDS === TOLD.answer && outcome.kind === 'refused';
  }

  #isRefusal({ parent, stimulus }: WorkerNode): boolean {
    const asked = parent?.requests[0];
    if (asked === undefined || stimulus % TOLD_KINDS !== TOLD.answer) return false;
    const { command, name } = this.#vocabulary.at('memcached', asked);
    const outcome = this.#vocabulary.at('outcome', Math.floor(stimulus / TOLD_KINDS));
    const isAcquiring =
      name.startsWith(LOCK_PREFIX) && (command === 'add' || command === 'replace');
    return isAcquiring && outcome.kind === 'refused' && outcome.reason === 'exists';
  }
}

/** A lock by value is a classic store in the meta protocol, with a get behind it. */
export function looksBehind({ protocol, locks }: WorkerPlan): boolean {
  return protocol === 'meta' && locks === 'value';
}

/** Drawn by this very process, not by the one whose place it has taken. */
export function isOwn(owner: string, { plan }: WorkerNode): boolean {
  return owner.startsWith(`${plan.name}-`);
}

export function isWritten(event: WorkerEvent): boolean {
  return event.kind === 'told' && event.fate === 'written';
}

function isDecision(event: WorkerEvent): boolean {
  return event.kind === 'ended' && event.end !== 'back';
}
