/**
 * The search takes a worker that begins again for a new process (test/exploration/fresh-starts.ts).
 * Here both are told the same, at random, and must do the same.
 */
import { describe, expect, test } from 'vitest';
import { lockName } from '../../src/memcached/item-names.ts';
import { seededFraction } from '../../src/base/random.ts';
import { NO_FAULTS, worldOf } from '../exploration/configuration.ts';
import { inMacrotask } from '../exploration/macrotask.ts';
import { itemIn, ownerIn } from '../exploration/requests.ts';
import { Search } from '../exploration/search.ts';
import { stepsTo } from '../exploration/live-rounds.ts';
import type { World } from '../exploration/world.ts';
import { isTime, TOLD, TOLD_KINDS } from '../exploration/stimuli.ts';
import type { LockForm, Path } from '../exploration/worker-plan.ts';
import { isOwn, type WorkerNode } from '../exploration/worker-tree.ts';

const PAIRS = 120;
/** On the joint path there are thousands, and no time is spent on waiting for more. */
const JOINT_PAIRS = 1_500;
/** Fewer would show little. */
const PAIRS_MIN = 100;
/** That are searched; on the joint path all. By time, no two runs would compare the same. */
const STATES = 60_000;
const SECONDS_MAX = 100;
const WALKS = 4;
const STEPS = 16;
/**
 * A worker that waits is taken for one that has just seen the lock. They differ once 11,010 ms have passed since one of them first
 * saw it: in one step (an expiry), or by four renewals, of which the search has one.
 * With two commits there are none: behind its first one, a worker that is told of two still differs. No row has two.
 */
const RENEWALS = 2;

/** How often time may yet pass in one walk. */
interface Left {
  leases: number;
  renewals: number;
  /** How often a connection may yet end, */
  connections: number;
  /** and how. */
  readonly endings: readonly number[];
}

interface Row {
  readonly path: Path;
  readonly commits: number;
  readonly locks: LockForm;
  /** `joint`: one of these, and nothing else. */
  readonly fault?: 'expiries' | 'renewals' | 'evictions' | 'restarts' | 'refusals' | 'timeouts';
  readonly jobs?: number;
}

const ROWS: readonly Row[] = [
  { path: 'queue', commits: 1, locks: 'value' },
  { path: 'strict', commits: 1, locks: 'value' },
  { path: 'lease', commits: 1, locks: 'value' },
  { path: 'lease', commits: 2, locks: 'value' },
  { path: 'queue', commits: 1, locks: 'cas' },
  { path: 'strict', commits: 1, locks: 'cas' },
  { path: 'lease', commits: 1, locks: 'cas' },
  { path: 'lease', commits: 2, locks: 'cas' },
  { path: 'joint', commits: 1, locks: 'value' },
  // The same transaction, delivered to both: two of them would be ten times as many states.
  { path: 'joint', commits: 1, locks: 'value', jobs: 1, fault: 'expiries' },
  { path: 'joint', commits: 1, locks: 'value', jobs: 1, fault: 'renewals' },
  { path: 'joint', commits: 1, locks: 'value', jobs: 1, fault: 'restarts' },
];

interface Pair {
  readonly worn: WorkerNode;
  readonly fresh: WorkerNode;
  readonly abandoned: readonly number[];
}

/** Every worker of a search, and what it was answered somewhere. */
class Searched {
  readonly pairs: Pair[] = [];
  readonly #world: World;
  readonly #outcomes = new Map<number, Set<number>>();
  readonly #replies = new Map<number, Set<number>>();

  constructor(world: World) {
    this.#world = world;
    for (let id = 0; id < world.workers.size; id++) this.#note(world.workers.at(id));
  }

  /** What can happen to a worker, as a stimulus; undefined: nothing that is known. */
  stimulus(
    node: WorkerNode,
    { worn, abandoned }: Pair,
    left: Left,
    chance: () => number,
  ): number | undefined {
    const stimuli: number[] = [];
    if (left.leases > 0) stimuli.push(TOLD.lease);
    if (left.renewals > 0) stimuli.push(TOLD.renewal);
    if (node.pausing) stimuli.push(TOLD.paused, TOLD.paused);
    if (node.working) stimuli.push(TOLD.worked, TOLD.worked);
    if (node.connected && left.connections > 0) stimuli.push(...left.endings);
    for (const reply of this.#replies.get(node.calls[0] ?? -1) ?? []) {
      stimuli.push(TOLD.reply + reply * TOLD_KINDS);
    }
    for (const outcome of this.#outcomes.get(node.requests[0] ?? -1) ?? []) {
      const isPossible =
        !this.#isImpossible(outcome, worn, abandoned) && this.#isOfItsKey(outcome, node);
      if (isPossible && !this.#isBack(outcome, worn) && this.#isAnswered(outcome, node)) {
        stimuli.push(TOLD.answer + outcome * TOLD_KINDS);
      }
    }
    return stimuli[Math.floor(chance() * stimuli.length)];
  }

  /** A lock in which an owner id stands that nobody can write there any more. */
  #isImpossible(id: number, worn: WorkerNode, abandoned: readonly number[]): boolean {
    const owner = ownerIn(itemIn(this.#world.vocabulary.at('outcome', id)));
    const number = Number(owner.split('-')[1]);
    // On the joint path those of live rounds are among the abandoned ones (fresh-starts.ts); elsewhere the last one is that of its attempt.
    const isOver = worn.plan.path === 'joint' ? number <= worn.idsDrawn : number < worn.idsDrawn;
    return isOwn(owner, worn) && isOver && !abandoned.includes(number);
  }

  /** On the joint path: an owner id of its own stands in the lock of the key for which it was drawn. */
  #isOfItsKey(id: number, node: WorkerNode): boolean {
    const { vocabulary } = this.#world;
    const owner = ownerIn(itemIn(vocabulary.at('outcome', id)));
    if (node.plan.path !== 'joint' || !isOwn(owner, node)) return true;
    const drawn = node.rounds.find((round) => round.id === Number(owner.split('-')[1]));
    const { name } = vocabulary.at('memcached', node.requests[0] as number);
    return drawn === undefined || name === lockName(drawn.key);
  }

  /** What is told to who looks at its job's cells (looks.ts) is told to nobody else. */
  #isAnswered(id: number, { requestRounds }: WorkerNode): boolean {
    return itemIn(this.#world.vocabulary.at('outcome', id))?.cas !== 0n || requestRounds[0] === 0;
  }

  /** On the joint path none is forgotten that stands in a lock (fresh-starts.ts). */
  #sawOwnLock(node: WorkerNode): boolean {
    const { sightings, plan } = node;
    const seen = [...sightings.values()].map((id) => this.#world.vocabulary.at('outcome', id));
    return plan.path === 'joint' && seen.some((one) => isOwn(ownerIn(itemIn(one)), node));
  }

  /** A CAS that the cell has had, and that the worker has seen gone. */
  #isBack(id: number, { commit }: WorkerNode): boolean {
    if (commit?.isUsed !== true) return false;
    return itemIn(this.#world.vocabulary.at('outcome', id))?.cas === commit.cas;
  }

  /** Nor is one compared that remembers a lock which the other one has forgotten, once time has passed: see `leftFor`. */
  #mayTakeOver(node: WorkerNode, fresh: WorkerNode): boolean {
    if (node.plan.path !== 'joint' || node.sightings.size === fresh.sightings.size) return false;
    return hasPassed(node);
  }

  #note(node: WorkerNode): void {
    this.#noteStimuli(node);
    if (this.#sawOwnLock(node)) return;
    for (const [key, fresh] of node.fresh) {
      const abandoned = (key.match(/\d+/g) ?? []).map(Number);
      if (fresh === node || this.#mayTakeOver(node, fresh)) continue;
      const { path } = node.plan;
      const ids = path === 'joint' ? fresh.rounds.map(({ id }) => id) : abandoned;
      this.pairs.push({ worn: node, fresh, abandoned: ids });
    }
    const same = this.#world.freshStarts.same(node);
    if (same !== node)
      this.pairs.push({ worn: node, fresh: same, abandoned: same.rounds.map(({ id }) => id) });
  }

  #noteStimuli(node: WorkerNode): void {
    for (const stimulus of node.children.keys()) {
      const about = Math.floor(stimulus / TOLD_KINDS);
      const kind = stimulus % TOLD_KINDS;
      if (kind === TOLD.answer) note(this.#outcomes, node.requests[0] as number, about);
      if (kind === TOLD.reply) note(this.#replies, node.calls[0] as number, about);
    }
  }
}

/**
 * How often time passes in a walk, and connections end. On the joint path, locks that nobody will see again are forgotten (live-rounds.ts): once time
 * enough has passed, who remembers one tries to take it over first, is refused, and only then does what the other one does.
 */
function leftFor({ worn, fresh }: Pair, { path, commits, fault }: Row): Left {
  const anyEnd = { connections: STEPS, endings: [TOLD.timedOut, TOLD.closed] };
  if (path !== 'joint') return { leases: STEPS, renewals: commits === 1 ? RENEWALS : 0, ...anyEnd };
  const isSame = worn.sightings.size === fresh.sightings.size;
  const times = isSame ? 1 : 0;
  if (fault === undefined) return { leases: times, renewals: times, ...anyEnd };
  // What has struck once does not strike again.
  const may = (kind: Row['fault']): number => (fault === kind && !hasPassed(worn) ? times : 0);
  const connections = fault === 'restarts' && !hasHeard(worn, TOLD.closed) ? 1 : 0;
  const end = { connections, endings: [TOLD.closed] };
  return { leases: may('expiries'), renewals: may('renewals'), ...end };
}

/** Time, for a worker. */
function hasPassed(node: WorkerNode): boolean {
  return stepsTo(node).some(({ stimulus }) => isTime(stimulus));
}

function hasHeard(node: WorkerNode, told: number): boolean {
  return stepsTo(node).some(({ stimulus }) => stimulus === told);
}

function note(map: Map<number, Set<number>>, asked: number, answer: number): void {
  const known = map.get(asked);
  if (known === undefined) map.set(asked, new Set([answer]));
  else known.add(answer);
}

function deeds({
  requests,
  calls,
  pausing,
  working,
  running,
  over,
  connected,
  events,
}: WorkerNode): string {
  return JSON.stringify({ requests, calls, pausing, working, running, over, connected, events });
}

/** What a worker was told, and then in the walk, in words. */
function storyOf(world: World, node: WorkerNode, told: readonly number[]): string[] {
  const { vocabulary, workers } = world;
  const names = Object.fromEntries(Object.entries(TOLD).map(([name, kind]) => [kind, name]));
  const line = ({ requests, calls }: WorkerNode, stimulus: number): string => {
    const kind = stimulus % TOLD_KINDS;
    const about = Math.floor(stimulus / TOLD_KINDS);
    if (kind === TOLD.answer)
      return `${vocabulary.text('memcached', requests[0] ?? 0)} -> ${vocabulary.text('outcome', about)}`;
    if (kind === TOLD.reply)
      return `${vocabulary.text('redis', calls[0] ?? 0)} -> ${vocabulary.text('reply', about)}`;
    return `${names[kind]} ${about}`;
  };
  const lines = stepsTo(node).map(({ parent, stimulus }) => line(parent as WorkerNode, stimulus));
  lines.unshift(`worker ${node.id}: ${JSON.stringify(node.plan)}`);
  lines.push('and then');
  let at = node;
  for (const stimulus of told) {
    lines.push(line(at, stimulus));
    at = workers.next(at, stimulus);
  }
  return lines;
}

async function searched(row: Row): Promise<{ world: World; known: Searched }> {
  const { path, commits, locks, fault, jobs = NO_FAULTS.jobs } = row;
  const isJoint = path === 'joint';
  // The joint path is searched to its end. Whoever has lost a connection there tries to take over its own lock, which the other one has
  // forgotten, and is refused: fresh-starts.ts forgets none that stands there.
  const one = { expiries: 1, renewals: 1, timeouts: 1, restarts: 1, evictions: 1, faults: 1 };
  const ofJoint = fault === undefined ? {} : { [fault]: 1, endings: 'one' as const };
  const faults = isJoint ? ofJoint : one;
  const protocol = locks === 'cas' ? 'meta' : 'binary';
  const given = { path, commits, jobs, protocol, locks, pauses: 'all' } as const;
  const { world, first } = await inMacrotask(() => worldOf({ ...NO_FAULTS, ...faults, ...given }));
  const statesMax = isJoint ? Number.POSITIVE_INFINITY : STATES;
  const { complete, states } = await new Search(world, first).run(SECONDS_MAX, statesMax);
  expect(complete || states >= statesMax).toBe(true);
  return { world, known: new Searched(world) };
}

describe('a worker that begins again does what a new process does', () => {
  test.each(ROWS)('%o', { timeout: 120_000 }, async (row) => {
    const { path } = row;
    const { world, known } = await searched(row);
    const chance = seededFraction(path);
    expect(known.pairs.length).toBeGreaterThan(PAIRS_MIN);
    let steps = 0;
    await inMacrotask(() => {
      for (let n = 0; n < (path === 'joint' ? JOINT_PAIRS : PAIRS); n++) {
        const pair = known.pairs[Math.floor(chance() * known.pairs.length)] as Pair;
        for (let walk = 0; walk < WALKS; walk++) {
          let { worn, fresh } = pair;
          const told: number[] = [];
          const left = leftFor(pair, row);
          for (let step = 0; step < STEPS && !worn.over; step++) {
            const stimulus = known.stimulus(worn, pair, left, chance);
            if (stimulus === undefined) break;
            if (stimulus === TOLD.renewal) left.renewals--;
            if (stimulus === TOLD.lease) left.leases--;
            if (stimulus === TOLD.timedOut || stimulus === TOLD.closed) left.connections--;
            told.push(stimulus);
            worn = world.workers.next(worn, stimulus);
            fresh = world.workers.next(fresh, stimulus);
            if (deeds(worn) !== deeds(fresh)) {
              expect.fail(
                [
                  deeds(worn),
                  deeds(fresh),
                  ...storyOf(world, pair.worn, told),
                  ...storyOf(world, pair.fresh, told),
                ].join('\n'),
              );
            }
            steps++;
          }
        }
      }
    });
    expect(steps).toBeGreaterThan(2_000);
  });
});
