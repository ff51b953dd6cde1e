/**
 * Every state that a worker can be in, as a tree: a node is what a worker has been told, in order.
 * The search walks over these numbers; the real code runs once for each node, when it is first
 * needed, and never for the millions of states in which the same worker meets other circumstances.
 */
import type { Vocabulary } from './requests.ts';
import {
  TOLD,
  TOLD_KINDS,
  Worker,
  type WorkerDamage,
  type WorkerEvent,
  type WorkerPlan,
} from './worker.ts';

/** Workers that are kept running, so that most nodes need one step, not a run from the beginning. */
const LIVE_MAX = 20_000;

export interface WorkerNode {
  readonly id: number;
  readonly parent: WorkerNode | undefined;
  readonly stimulus: number;
  readonly plan: WorkerPlan;
  /** Requests and calls without an answer, oldest first. */
  readonly requests: readonly number[];
  readonly calls: readonly number[];
  readonly epoch: number;
  readonly connected: boolean;
  readonly pausing: boolean;
  readonly working: boolean;
  readonly running: boolean;
  readonly over: boolean;
  /** What happened in the last step. */
  readonly events: readonly WorkerEvent[];
  /** How often a pause of it has ended. */
  readonly pauses: number;
  /** The answer to its look at a lock that somebody holds, if that is what it last heard; else -1. */
  readonly sawHeld: number;
  readonly children: Map<number, WorkerNode>;
}

export class WorkerTree {
  readonly #vocabulary: Vocabulary;
  readonly #damage: WorkerDamage;
  readonly #nodes: WorkerNode[] = [];
  readonly #live = new Map<number, Worker>();
  /** How often the real code ran one step. */
  steps = 0;

  constructor(vocabulary: Vocabulary, damage: WorkerDamage) {
    this.#vocabulary = vocabulary;
    this.#damage = damage;
  }

  get size(): number {
    return this.#nodes.length;
  }

  /** A worker that has just started. */
  start(plan: WorkerPlan): WorkerNode {
    const worker = new Worker(plan, this.#vocabulary, this.#damage);
    return this.#add(undefined, -1, plan, worker);
  }

  at(id: number): WorkerNode {
    return this.#nodes[id] as WorkerNode;
  }

  next(node: WorkerNode, stimulus: number): WorkerNode {
    const known = node.children.get(stimulus);
    if (known !== undefined) return known;
    const worker = this.#workerAt(node);
    worker.tell(stimulus);
    this.steps++;
    const child = this.#add(node, stimulus, node.plan, worker);
    node.children.set(stimulus, child);
    return child;
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
    this.steps += told.length;
    worker.takeEvents();
    return worker;
  }

  #add(
    parent: WorkerNode | undefined,
    stimulus: number,
    plan: WorkerPlan,
    worker: Worker,
  ): WorkerNode {
    const node: WorkerNode = {
      id: this.#nodes.length,
      parent,
      stimulus,
      plan,
      requests: worker.requests,
      calls: worker.calls,
      epoch: worker.epoch,
      connected: worker.connected,
      pausing: worker.pausing,
      working: worker.working,
      running: worker.running,
      over: worker.over,
      events: worker.takeEvents(),
      pauses: (parent?.pauses ?? 0) + (stimulus === TOLD.paused ? 1 : 0),
      sawHeld: this.#sawHeld(parent, stimulus),
      children: new Map(),
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

  /** It asked for the lock, was told that it exists, and has looked at it. */
  #sawHeld(parent: WorkerNode | undefined, stimulus: number): number {
    if (parent === undefined || stimulus % TOLD_KINDS !== TOLD.answer) return -1;
    const answer = Math.floor(stimulus / TOLD_KINDS);
    const asked = parent.requests[0];
    const isLook = asked !== undefined && this.#isLook(asked) && this.#wasRefused(parent);
    return isLook && this.#vocabulary.outcomeAt(answer).kind === 'done' ? answer : -1;
  }

  #isLook(request: number): boolean {
    const { command, name } = this.#vocabulary.memcachedAt(request);
    return command === 'get' && name.startsWith('toril:lock:');
  }

  #wasRefused({ parent, stimulus }: WorkerNode): boolean {
    const asked = parent?.requests[0];
    if (asked === undefined || stimulus % TOLD_KINDS !== TOLD.answer) return false;
    const { command, name } = this.#vocabulary.memcachedAt(asked);
    const outcome = this.#vocabulary.outcomeAt(Math.floor(stimulus / TOLD_KINDS));
    const isAcquiring =
      name.startsWith('toril:lock:') && (command === 'add' || command === 'replace');
    return isAcquiring && outcome.kind === 'refused' && outcome.reason === 'exists';
  }
}
