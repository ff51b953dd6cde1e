/**
 * A worker that begins an attempt, waits for the lock, or has just got it, and has nothing else left
 * of the attempts before, does what a new process would do. Then it is taken for that one, so that
 * states do not differ by what nobody remembers. What a process does remember of attempts that are
 * over:
 *
 * - the last lock that it saw in other hands (`LockObservations`): it must have forgotten it, or stand where
 *   a new process stands that has just seen the same lock;
 * - its own owner ids that may still stand in a lock (`abandon`): those that are there, or under way
 *   to it, are abandoned by the new process, too;
 * - how many ids it has drawn, and how often its user has called withLease: a new process goes on
 *   counting where it was;
 * - when it asked for the lock: no time may have passed since;
 * - that a commit of its own was refused, and may still be in the cell: it is not taken for a new one;
 * - the CAS of its own last commit (`OwnCommits`): whoever has just made one is taken for a new process that has
 *   made one commit, by the shortest way; later it must have forgotten it, or have asked for a new CAS in its place and
 *   seen it gone for good;
 * - how often in a row it had to wait: that only makes its pauses longer.
 *
 * `exploration-fresh-starts.test.ts` tells both the same for a while, and compares what they do.
 */
import { cellName, lockName } from '../../src/memcached/item-names.ts';
import { encodeLock } from '../../src/lock/lock-item.ts';
import { type Cas, type Item, type Outcome, refusedFor } from '../../src/memcached/server.ts';
import { lockByCas } from './chosen-cas.ts';
import { Memories } from './memories.ts';
import { LiveRounds } from './live-rounds.ts';
import { CELL, LOCK, LOCKS } from './memcached-states.ts';
import { itemIn, ownerIn, type Vocabulary } from './requests.ts';
import type { State } from './state.ts';
import { isTime, TOLD, TOLD_KINDS } from './stimuli.ts';
import { LEASE_MS } from './worker-plan.ts';
import { isOwn, isWritten, looksBehind, type WorkerNode, type WorkerTree } from './worker-tree.ts';

const MISSING: Outcome<never> = { kind: 'refused', reason: 'missing' };
const EXISTS: Outcome<never> = { kind: 'refused', reason: 'exists' };

export class FreshStarts {
  readonly #vocabulary: Vocabulary;
  readonly #workers: WorkerTree;
  readonly #liveRounds: LiveRounds;
  readonly #memories = new Memories();

  constructor(vocabulary: Vocabulary, workers: WorkerTree) {
    this.#vocabulary = vocabulary;
    this.#workers = workers;
    this.#liveRounds = new LiveRounds(vocabulary, workers);
  }

  /** The worker itself, or the new process that it is taken for. */
  standIn(node: WorkerNode, who: number, state: State): WorkerNode {
    const { requests, calls, isDecided, working, wasRefused, over, parent, commit, plan } = node;
    if (plan.path === 'joint') return this.#memories.same(this.#standInForJoint(node, who, state));
    if (parent === undefined || calls.length > 1) return node;
    if (isDecided || working || over) return node;
    if (wasRefused) return node;
    const hasJustCommitted =
      node.events.some(isWritten) && calls.length === 1 && requests.length === 1;
    if (commit !== undefined && !hasJustCommitted && !isForgotten(node, state)) return node;
    const abandoned = this.#abandoned(node, who, state);
    const key = `${hasJustCommitted ? 'committed ' : ''}${abandoned.join(' ')}`;
    const known = node.fresh.get(key);
    if (known !== undefined) return known;
    const fresh = hasJustCommitted ? this.#committed(node, abandoned) : this.#find(node, abandoned);
    node.fresh.set(key, fresh ?? node);
    return fresh ?? node;
  }

  /** The first one that remembers the same. */
  same(node: WorkerNode): WorkerNode {
    return node.over || node.plan.path !== 'joint' ? node : this.#memories.same(node);
  }

  /** Owner ids that it has given up it must remember: they may stand in a lock. */
  #standInForJoint(node: WorkerNode, who: number, state: State): WorkerNode {
    if (node.over) return node;
    const gone = this.#gone(node, state);
    const key = gone.join(' ');
    let shortened = node.fresh.get(key);
    if (shortened === undefined) {
      shortened = this.#liveRounds.shortened(node, gone) ?? node;
      node.fresh.set(key, shortened);
    }
    const { abandoned } = shortened.plan;
    const isHeld = this.#abandoned(node, who, state).every((id) => abandoned.includes(id));
    return isHeld ? shortened : node;
  }

  /** Locks that it saw in other hands, and that are others now, or none, for good: owner and CAS together never come back. */
  #gone({ sightings }: WorkerNode, state: State): string[] {
    const gone: string[] = [];
    for (const [name, seen] of sightings) {
      const cas = itemIn(this.#vocabulary.at('outcome', seen))?.cas ?? 0n;
      if (state.memcached.items.get(name)?.cas !== cas) gone.push(name);
    }
    return gone;
  }

  #find(node: WorkerNode, abandoned: readonly number[]): WorkerNode | undefined {
    const told = this.#toldBegins(node) ?? this.#toldWaits(node) ?? this.#toldHolds(node);
    if (told === undefined || this.#hasRead(node.commit, told)) return undefined;
    const { plan, callsMade, idsDrawn } = node;
    const calls = plan.path === 'lease' ? callsMade - 1 : 0;
    const commits = plan.commits - (node.commit?.count ?? 0);
    const begun = { ...plan, commits, abandoned, idsDrawn: idsDrawn - 1, callsMade: calls };
    // If it has abandoned attempts, it has made them since its delivery (worker.ts).
    const isDelivered = plan.path !== 'lease' && abandoned.length === 0;
    const delivered = isDelivered ? [this.#reply({ outcome: '' })] : [];
    return this.#toldTo(begun, [...delivered, ...told.map(answer)], node);
  }

  /** Its last commit is not as gone as it seems. */
  #hasRead(commit: WorkerNode['commit'], told: readonly number[]): boolean {
    if (commit === undefined) return false;
    return told.some((id) => {
      const outcome = this.#vocabulary.at('outcome', id);
      return outcome.kind === 'done' && (outcome.value as { cas?: bigint }).cas === commit.cas;
    });
  }

  /** The shortest way to a commit with this CAS: there was no cell, and nobody else. Its lock is being deleted. */
  #committed(node: WorkerNode, abandoned: readonly number[]): WorkerNode | undefined {
    const { plan, requests, callsMade, idsDrawn, commit, sightings } = node;
    const vocabulary = this.#vocabulary;
    const release = vocabulary.at('memcached', requests[0] as number);
    if (release.command !== 'delete' || commit === undefined || sightings.size > 0)
      return undefined;
    const { cas } = release;
    const lock = ownLock(node, cas);
    if (lock === undefined) return undefined;
    const commits = plan.commits - commit.count + 1;
    const begun = { ...plan, commits, abandoned, idsDrawn: idsDrawn - 1, callsMade: callsMade - 2 };
    let fresh = this.#told(this.#workers.start(begun), MISSING);
    fresh = this.#toldStored(fresh, cas);
    fresh = this.#workers.next(fresh, this.#reply(0));
    fresh = this.#toldStored(fresh, commit.cas);
    fresh = this.#told(fresh, { kind: 'done', value: lock });
    fresh = this.#workers.next(fresh, TOLD.worked);
    fresh = this.#toldStored(fresh, commit.cas);
    return isSame(fresh, node) ? fresh : undefined;
  }

  #reply(reply: unknown): number {
    return TOLD.reply + this.#vocabulary.idOf('reply', reply) * TOLD_KINDS;
  }

  #told(node: WorkerNode, outcome: Outcome<unknown>): WorkerNode {
    return this.#workers.next(node, answer(this.#vocabulary.idOf('outcome', outcome)));
  }

  /** Its oldest request was carried out; in the meta protocol it sees behind it what stands there. */
  #toldStored(node: WorkerNode, cas: bigint): WorkerNode {
    const request = this.#vocabulary.at('memcached', node.requests[0] as number);
    const stored = this.#told(node, { kind: 'done', value: cas });
    if (node.plan.protocol === 'binary' || !('item' in request)) return stored;
    const { value, flags, chosenCas } = request.item;
    if (chosenCas !== undefined) return stored;
    return this.#told(stored, { kind: 'done', value: { value, flags, cas } });
  }

  #toldTo(
    plan: WorkerNode['plan'],
    told: readonly number[],
    node: WorkerNode,
  ): WorkerNode | undefined {
    let fresh = this.#workers.start(plan);
    for (const stimulus of told) fresh = this.#workers.next(fresh, stimulus);
    return isSame(fresh, node) ? fresh : undefined;
  }

  /** What a new process has heard when it has just asked for the cell and the lock. */
  #toldBegins(node: WorkerNode): number[] | undefined {
    const { requests, calls, pausing, sightings, plan } = node;
    const asks = looksBehind(plan) ? 3 : 2;
    if (requests.length !== asks || calls.length > 0 || pausing || sightings.size > 0)
      return undefined;
    const [get, add] = requests.map((request) => this.#vocabulary.at('memcached', request));
    const [cell, lock] = [cellName(plan.keys[0] ?? ''), lockName(plan.keys[0] ?? '')];
    const begins =
      get?.command === 'get' && get.name === cell && add?.command === 'add' && add.name === lock;
    return begins && !hasTimePassedSince(requests[1] as number, node) ? [] : undefined;
  }

  /** When it has asked for the lock, has seen that somebody else holds it, and waits. */
  #toldWaits(node: WorkerNode): number[] | undefined {
    const { requests, calls, pausing, hurrying, sawHeld, connected, plan } = node;
    const waits = sawHeld !== -1 && pausing && !hurrying && connected;
    if (!waits || requests.length > 0 || calls.length > 0) return undefined;
    const vocabulary = this.#vocabulary;
    const missing = vocabulary.idOf('outcome', MISSING);
    if (plan.locks === 'value') return [missing, vocabulary.idOf('outcome', EXISTS), sawHeld];
    const held = itemIn(vocabulary.at('outcome', sawHeld)) as Item;
    return [missing, vocabulary.idOf('outcome', refusedFor(held))];
  }

  /** When it has just got the lock, and asks Redis for a token. */
  #toldHolds(node: WorkerNode): number[] | undefined {
    const { requests, calls, parent, plan } = node;
    if (requests.length > 0 || calls.length !== 1 || parent === undefined) return undefined;
    const granted = looksBehind(plan) ? parent : node;
    if (!this.#isGranted(granted)) return undefined;
    const cell = this.#lastReadOfCell(granted.parent as WorkerNode);
    if (cell === undefined) return undefined;
    const told = granted === node ? [granted] : [granted, node];
    return [cell, ...told.map(({ stimulus }) => Math.floor(stimulus / TOLD_KINDS))];
  }

  #isGranted({ parent, stimulus }: WorkerNode): boolean {
    const asked = parent?.requests[0];
    const isAnswer = stimulus % TOLD_KINDS === TOLD.answer;
    if (parent === undefined || asked === undefined || !isAnswer) return false;
    const { command, name } = this.#vocabulary.at('memcached', asked);
    if (name !== LOCK || (command !== 'add' && command !== 'replace')) return false;
    return !hasTimePassedSince(asked, parent);
  }

  #lastReadOfCell(node: WorkerNode): number | undefined {
    for (let at = node; at.parent !== undefined; at = at.parent) {
      const [asked] = at.parent.requests;
      if (asked === undefined || at.stimulus % TOLD_KINDS !== TOLD.answer) continue;
      const { command, name } = this.#vocabulary.at('memcached', asked);
      if (command === 'get' && name === CELL) return Math.floor(at.stimulus / TOLD_KINDS);
    }
    return undefined;
  }

  /**
   * Its owner ids of earlier attempts that stand in a lock, or may come to stand there. On the joint path, of all attempts: the one
   * that drew the last id may be over while others go on.
   */
  #abandoned(node: WorkerNode, who: number, { memcached, orphans }: State): number[] {
    const ids = new Set<number>();
    const isJoint = node.plan.path === 'joint';
    const note = (owner: string): void => {
      if (!isOwn(owner, node)) return;
      const id = Number(owner.slice(owner.indexOf('-') + 1));
      if (isJoint || id < node.idsDrawn) ids.add(id);
    };
    for (const name of LOCKS) note(ownerIn(memcached.items.get(name)));
    for (const { to, owner, requests } of orphans) {
      if (to === 'redis' || owner !== who) continue;
      for (const id of requests) {
        const request = this.#vocabulary.at('memcached', id);
        if ('item' in request) note(ownerIn(request.item));
      }
    }
    return [...ids].sort((a, b) => a - b);
  }
}

/** It cannot be tried any more, and makes no difference to what is tried after the last write. */
function isForgotten({ commit, epoch, plan }: WorkerNode, { memcached }: State): boolean {
  if (commit === undefined || plan.commits - commit.count > 1) return false;
  return commit.epoch !== epoch || (commit.isUsed && memcached.items.get(CELL)?.cas !== commit.cas);
}

/** The last lock that it has written, as it reads it; undefined: this CAS is another one's. */
function ownLock({ plan, idsDrawn }: WorkerNode, cas: Cas): Item | undefined {
  if (plan.locks === 'value') return { ...encodeLock(`${plan.name}-${idsDrawn}`, LEASE_MS), cas };
  const { value, flags, chosenCas } = lockByCas({ worker: plan.name, id: idsDrawn });
  return chosenCas === cas ? { value, flags, cas } : undefined;
}

function answer(outcome: number): number {
  return TOLD.answer + outcome * TOLD_KINDS;
}

function isSame(fresh: WorkerNode, node: WorkerNode): boolean {
  return isEqual(fresh.requests, node.requests) && isEqual(fresh.calls, node.calls);
}

/** Trust in a lease counts from the moment at which it was asked for. */
function hasTimePassedSince(request: number, node: WorkerNode): boolean {
  for (let at = node; at.parent?.requests.includes(request) === true; at = at.parent) {
    if (isTime(at.stimulus)) return true;
  }
  return false;
}

function isEqual(some: readonly number[], others: readonly number[]): boolean {
  return some.length === others.length && some.every((one, at) => one === others[at]);
}
