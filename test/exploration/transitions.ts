/**
 * What can happen in a state, and what comes of it. A transition is one number: its kind, and whom
 * it concerns.
 */
import type { Canonical } from './canonical.ts';
import type { Checks } from './checks.ts';
import type { FreshStarts } from './fresh-starts.ts';
import {
  CELL,
  type MemcachedFault,
  type MemcachedState,
  type MemcachedStates,
} from './memcached-states.ts';
import type { RedisStates } from './redis-states.ts';
import type { Vocabulary } from './requests.ts';
import type { Budget, Orphan, Place, State } from './state.ts';
import { TOLD, TOLD_KINDS, type WorkerPlan } from './worker.ts';
import type { WorkerNode, WorkerTree } from './worker-tree.ts';

const KINDS = [
  // Without faults
  'executes',
  'hears the answer',
  'hears of the closing',
  'calls',
  'hears the reply',
  'ends its pause',
  'ends its work',
  // Faults
  'lands late',
  'lease passes',
  'all leases pass',
  'renewal is due',
  'times out',
  'crashes',
  'finds no room',
  'cell is evicted',
  'lock is evicted',
  'restarts',
  'restarts far away',
] as const;
export type Kind = (typeof KINDS)[number];
const NUMBER = Object.fromEntries(KINDS.map((kind, index) => [kind, index])) as Record<
  Kind,
  number
>;
const WHO_MAX = 16;

/** A worker that has been told so much since it started, and waits again, is not followed further. */
const TOLD_MAX = 80;

function transition(kind: Kind, who: number): number {
  return NUMBER[kind] * WHO_MAX + who;
}

/** It happens by itself, sooner or later. All others may happen or not. */
export function isDue(step: number): boolean {
  const kind = kindOf(step);
  return KINDS.indexOf(kind) < KINDS.indexOf('lands late') || kind === 'all leases pass';
}

export function kindOf(step: number): Kind {
  return KINDS[Math.floor(step / WHO_MAX)] as Kind;
}

export function whoOf(step: number): number {
  return step % WHO_MAX;
}

export interface World {
  readonly vocabulary: Vocabulary;
  readonly memcached: MemcachedStates;
  readonly redis: RedisStates;
  readonly workers: WorkerTree;
  readonly checks: Checks;
  readonly canonical: Canonical;
  readonly freshStarts: FreshStarts;
  /** The server is as it should be, no canary. */
  readonly comparesCas: boolean;
  /** Plans of those who take a crashed worker's place, by worker. */
  readonly successors: readonly WorkerPlan[];
  /** Clocks run in step: a lease's length passes for all workers at once. */
  readonly inStep: boolean;
}

/**
 * What must be tried next. Everything that can happen, or only what can happen to one worker that
 * has nothing under way to a server: see docs/exploration.md.
 */
export function enabled(state: State, world: World): number[] {
  const own = localSteps(state, world);
  if (own !== undefined) return own;
  const steps: number[] = [];
  for (const [who, place] of state.places.entries()) ownSteps(state, place, who, world, steps);
  const goesOn = steps.length > 0;
  const isOver = state.places.every(({ node }) => node.over);
  for (const index of state.orphans.keys()) steps.push(transition('lands late', index));
  if (!goesOn && !isOver && state.places.some(({ node }) => isWorn(node))) return steps;
  if (!goesOn && !isOver) steps.push(transition('all leases pass', 0));
  const { budget, memcached, places } = state;
  if (isOver || budget.faults === 0) return steps;
  if (world.inStep && goesOn && budget.expiries > 0) {
    steps.push(transition('all leases pass', 0));
  }
  for (const [who, place] of places.entries()) faultsOf(state, place, who, world, steps);
  if (budget.evictions > 0) {
    if (memcached.cell !== undefined) steps.push(transition('cell is evicted', 0));
    if (memcached.lock !== undefined) steps.push(transition('lock is evicted', 0));
  }
  if (budget.restarts > 0) {
    steps.push(transition('restarts', 0), transition('restarts far away', 0));
  }
  return steps;
}

/**
 * A worker whose requests are all executed, and that has something to hear or to end, does nothing
 * that another one can see or influence: neither order of its steps and theirs leads anywhere else.
 */
function localSteps(state: State, world: World): number[] | undefined {
  const { expiries, restarts, faults } = state.budget;
  // A restart, or a moment at which time passes for all, is no worker's own affair.
  if (faults > 0 && (restarts > 0 || (world.inStep && expiries > 0))) return undefined;
  for (const [who, place] of state.places.entries()) {
    const { node, outcomes, replies } = place;
    const isQuiet =
      outcomes.length === node.requests.length &&
      replies.length === node.calls.length &&
      !node.pausing;
    const goesOn = outcomes.length > 0 || replies.length > 0 || node.working;
    // For how long somebody is at work is what others must not meet if clocks run in step.
    if (!isQuiet || !goesOn || node.over || (world.inStep && node.working)) continue;
    const steps: number[] = [];
    ownSteps(state, place, who, world, steps);
    faultsOf(state, place, who, world, steps);
    return steps;
  }
  return undefined;
}

function ownSteps(state: State, place: Place, who: number, world: World, steps: number[]): void {
  const { node, outcomes, isGone, replies } = place;
  if (node.over) {
    if (place.left.length > 0) steps.push(transition('executes', who));
    return;
  }
  if (!isGone && outcomes.length < node.requests.length) steps.push(transition('executes', who));
  if (outcomes.length > 0) steps.push(transition('hears the answer', who));
  if (isGone) steps.push(transition('hears of the closing', who));
  if (replies.length < node.calls.length) steps.push(transition('calls', who));
  if (replies.length > 0) steps.push(transition('hears the reply', who));
  if (node.pausing && !isWorn(node) && canSeeSomethingNew(state, node, world)) {
    steps.push(transition('ends its pause', who));
  }
  if (node.working) steps.push(transition('ends its work', who));
}

export function isWorn(node: WorkerNode): boolean {
  return node.pausing && node.told >= TOLD_MAX;
}

/**
 * A worker that waits for a lock asks again and again. It need not do so before there is something
 * else to be seen than the last time: the lock is as it was, and its job is not decided.
 */
function canSeeSomethingNew({ memcached, redis }: State, node: WorkerNode, world: World): boolean {
  if (node.sawHeld === -1) return true;
  const { lock } = memcached;
  const seen = world.vocabulary.at('outcome', node.sawHeld);
  const isSame =
    seen.kind === 'done' && lock !== undefined && (seen.value as { cas: bigint }).cas === lock.cas;
  return !isSame || (node.plan.path !== 'lease' && !redis.waiting.includes(node.plan.jobId));
}

function faultsOf(state: State, place: Place, who: number, world: World, steps: number[]): void {
  const { node, outcomes, isGone } = place;
  const { budget } = state;
  if (node.over || budget.faults === 0 || isWorn(node)) return;
  if (budget.expiries > 0 && !world.inStep) steps.push(transition('lease passes', who));
  if (budget.renewals > 0) steps.push(transition('renewal is due', who));
  if (budget.timeouts > 0 && node.connected && !isGone) steps.push(transition('times out', who));
  if (budget.crashes > 0) steps.push(transition('crashes', who));
  const next = node.requests[outcomes.length];
  if (budget.refusals > 0 && next !== undefined && !isGone && stores(next, world)) {
    steps.push(transition('finds no room', who));
  }
}

function stores(request: number, { vocabulary }: World): boolean {
  const { command } = vocabulary.at('memcached', request);
  return command !== 'get' && command !== 'delete';
}

/** The state that follows. Throws a Violation if it breaks a promise. */
export function after(state: State, step: number, world: World): State {
  const far = kindOf(step) === 'restarts far away';
  return world.canonical.of(withoutTheDead(next(state, step, world), world), far);
}

function next(state: State, step: number, world: World): State {
  const who = whoOf(step);
  const kind = kindOf(step);
  switch (kind) {
    case 'executes':
    case 'finds no room':
      return executes(state, who, world, kind === 'finds no room');
    case 'calls':
      return calls(state, who, world);
    case 'hears the answer':
      return hears(state, who, world, TOLD.answer);
    case 'hears the reply':
      return hears(state, who, world, TOLD.reply);
    case 'hears of the closing':
      return hears(state, who, world, TOLD.closed);
    case 'ends its pause':
      return hears(state, who, world, TOLD.paused);
    case 'ends its work':
      return hears(state, who, world, TOLD.worked);
    case 'lease passes':
      return hears(state, who, world, TOLD.lease);
    case 'renewal is due':
      return hears(state, who, world, TOLD.renewal);
    case 'times out':
      return hears(state, who, world, TOLD.timedOut);
    case 'all leases pass':
      return leasesPass(state, world);
    case 'crashes':
      return crashes(state, who, world);
    case 'lands late':
      return landsLate(state, who, world);
    case 'cell is evicted':
    case 'lock is evicted':
      return evicted(state, world, kind === 'cell is evicted' ? 'cell' : 'lock');
    case 'restarts':
    case 'restarts far away':
      return restarts(state, world);
  }
}

// Servers

function executes(state: State, who: number, world: World, isFull: boolean): State {
  const place = state.places[who] as Place;
  const { node, outcomes, left } = place;
  const request = (node.over ? left[0] : node.requests[outcomes.length]) as number;
  const { state: memcached, outcome } = world.memcached.execute(state.memcached, request, isFull);
  const watch = world.checks.executed(state.watch, state.memcached, memcached);
  const changed = node.over
    ? { ...place, left: left.slice(1) }
    : { ...place, outcomes: [...outcomes, outcome] };
  const places = replaced(state.places, who, changed);
  const budget = isFull ? spent(state.budget, 'refusals') : state.budget;
  return { ...state, memcached, watch, places, budget };
}

function calls(state: State, who: number, world: World): State {
  const place = state.places[who] as Place;
  const call = place.node.calls[place.replies.length] as number;
  const { state: redis, reply } = world.redis.execute(state.redis, call);
  const watch = world.checks.acknowledged(state.watch, state.redis, redis, state.memcached);
  const places = replaced(state.places, who, { ...place, replies: [...place.replies, reply] });
  return { ...state, redis, watch, places };
}

function landsLate(state: State, index: number, world: World): State {
  const orphan = state.orphans[index] as Orphan;
  const [request, ...left] = orphan.requests;
  const { orphans } = withRequests(state, orphan, left);
  if (orphan.to === 'redis') {
    const redis = world.redis.execute(state.redis, request as number).state;
    const watch = world.checks.acknowledged(state.watch, state.redis, redis, state.memcached);
    return { ...state, redis, watch, orphans };
  }
  const memcached = world.memcached.execute(state.memcached, request as number).state;
  const watch = world.checks.executed(state.watch, state.memcached, memcached);
  return { ...state, memcached, watch, orphans };
}

function evicted(state: State, world: World, what: 'cell' | 'lock'): State {
  const fault: MemcachedFault = what === 'cell' ? 'evict cell' : 'evict lock';
  return {
    ...state,
    memcached: world.memcached.suffer(state.memcached, fault),
    watch: world.checks.lost(state.watch, what),
    budget: spent(state.budget, 'evictions'),
  };
}

/** All connections end, each worker hears of it later, and what was not executed is gone. */
function restarts(state: State, world: World): State {
  return {
    ...state,
    memcached: world.memcached.suffer(state.memcached, 'restart'),
    watch: world.checks.lost(state.watch, 'both'),
    budget: spent(state.budget, 'restarts'),
    places: state.places.map((place) => {
      if (place.node.over) return { ...place, left: [] };
      return place.node.connected ? { ...place, isGone: true } : place;
    }),
    orphans: state.orphans.filter(({ to }) => to === 'redis'),
  };
}

/**
 * Of what nobody waits for any more, leaves out what can do nothing: reads, and writes with a CAS
 * that the item no longer has. It never has it again, since a restart takes them with it.
 */
function withoutTheDead(state: State, world: World): State {
  if (!world.comparesCas) return state;
  const { orphans, places, memcached } = state;
  let next = state;
  for (const orphan of orphans) {
    if (orphan.to === 'redis') continue;
    const requests = living(orphan.requests, memcached, world);
    if (requests !== orphan.requests) next = withRequests(next, orphan, requests);
  }
  for (const [who, place] of places.entries()) {
    const left = living(place.left, memcached, world);
    if (left !== place.left) {
      next = { ...next, places: replaced(next.places, who, { ...place, left }) };
    }
  }
  return next;
}

/** The same list if all of them can do something. */
function living(requests: readonly number[], at: MemcachedState, world: World): readonly number[] {
  const living: number[] = [];
  for (const request of requests) if (canDoSomething(request, at, world)) living.push(request);
  return living.length === requests.length ? requests : living;
}

function withRequests(state: State, orphan: Orphan, requests: readonly number[]): State {
  const orphans: Orphan[] = [];
  for (const one of state.orphans) {
    if (one !== orphan) orphans.push(one);
    else if (requests.length > 0) orphans.push({ ...orphan, requests });
  }
  return { ...state, orphans };
}

function canDoSomething(number: number, { cell, lock }: MemcachedState, world: World): boolean {
  const request = world.vocabulary.at('memcached', number);
  if (!('cas' in request)) return request.command === 'add';
  return (request.name === CELL ? cell : lock)?.cas === request.cas;
}

// Workers

function hears(state: State, who: number, world: World, told: number): State {
  const place = state.places[who] as Place;
  const { node, outcomes, replies } = place;
  let stimulus = told;
  let orphans = state.orphans;
  let { budget } = state;
  let next: Place = place;
  switch (told) {
    case TOLD.answer:
      stimulus += (outcomes[0] as number) * TOLD_KINDS;
      next = { ...place, outcomes: outcomes.slice(1) };
      break;
    case TOLD.reply:
      stimulus += (replies[0] as number) * TOLD_KINDS;
      next = { ...place, replies: replies.slice(1) };
      break;
    case TOLD.closed:
      next = { ...place, outcomes: [], isGone: false };
      break;
    case TOLD.timedOut:
      orphans = withOrphan(orphans, who, 'memcached', node.requests.slice(outcomes.length));
      budget = spent(budget, 'timeouts');
      next = { ...place, outcomes: [] };
      break;
    case TOLD.lease:
      budget = spent(budget, 'expiries');
      break;
    case TOLD.renewal:
      budget = spent(budget, 'renewals');
      break;
    default:
      break;
  }
  const moved = settled({ ...next, node: world.workers.next(node, stimulus) });
  const places = replaced(state.places, who, moved);
  const watch = watchEvents({ ...state, places }, who, world);
  return forgetful({ ...state, places, orphans, budget, watch }, who, world);
}

/** Whoever remembers nothing of the past is taken for a new process. */
function forgetful(state: State, who: number, world: World): State {
  const place = state.places[who] as Place;
  const node = world.freshStarts.standIn(place.node, who, state);
  if (node === place.node) return state;
  return { ...state, places: replaced(state.places, who, { ...place, node }) };
}

/** Clocks run in step, or nobody can do anything else: then it costs nothing. */
function leasesPass(state: State, world: World): State {
  const { budget } = state;
  const isFault = world.inStep && budget.expiries > 0 && budget.faults > 0;
  let next = state;
  for (const [who, { node }] of state.places.entries()) {
    if (!node.over) next = hears(next, who, world, TOLD.lease);
  }
  return { ...next, budget: isFault ? spent(budget, 'expiries') : budget };
}

/** Its process is gone. What it has sent may land; another process takes its place, and its job. */
function crashes(state: State, who: number, world: World): State {
  const place = state.places[who] as Place;
  const { node, outcomes, isGone, replies } = place;
  const unexecuted = isGone ? [] : node.requests.slice(outcomes.length);
  const orphans = withOrphan(
    withOrphan(state.orphans, who, 'memcached', unexecuted),
    who,
    'redis',
    node.calls.slice(replies.length),
  );
  const successor: Place = {
    ...place,
    node: world.workers.start(world.successors[who] as WorkerPlan),
    outcomes: [],
    isGone: false,
    replies: [],
    left: [],
  };
  const places = replaced(state.places, who, successor);
  return { ...state, places, orphans, budget: spent(state.budget, 'crashes') };
}

/** Who has finished does nothing more, whatever it hears: only what it has sent counts. */
function settled(place: Place): Place {
  const { node, outcomes } = place;
  if (!node.over) return place;
  const left = place.isGone ? [] : node.requests.slice(outcomes.length);
  return { node, outcomes: [], isGone: false, replies: [], left };
}

function watchEvents(state: State, who: number, world: World): State['watch'] {
  let { watch } = state;
  const { node } = state.places[who] as Place;
  for (const event of node.events) {
    const othersRun = state.places.some((place, other) => other !== who && place.node.running);
    watch = world.checks.heard(watch, event, state.redis, othersRun);
  }
  return watch;
}

function withOrphan(
  orphans: readonly Orphan[],
  owner: number,
  to: Orphan['to'],
  requests: readonly number[],
): readonly Orphan[] {
  return requests.length === 0 ? orphans : [...orphans, { owner, to, requests }];
}

function spent(budget: Budget, kind: Exclude<keyof Budget, 'faults'>): Budget {
  return { ...budget, [kind]: budget[kind] - 1, faults: budget.faults - 1 };
}

function replaced(places: readonly Place[], who: number, place: Place): readonly Place[] {
  return places.map((one, index) => (index === who ? place : one));
}
