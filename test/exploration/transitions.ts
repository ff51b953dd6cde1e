/** What comes of what happens. */
import { CELLS, isOld, LOCKS, type Manner, type MemcachedState } from './memcached-states.ts';
import { isByOldCas, nextRequest, waitsForLocks } from './enabled.ts';
import type { RedisState } from './redis-states.ts';
import {
  type Budget,
  isAtRest,
  isRestartDue,
  type Orphan,
  type Place,
  type State,
} from './state.ts';
import { kindOf, mannerOf, whoOf } from './steps.ts';
import { TOLD, TOLD_KINDS } from './stimuli.ts';
import { placeOf, type WorkerPlan } from './worker-plan.ts';
import type { WorkerNode } from './worker-tree.ts';
import type { World } from './world.ts';

/** The state that follows. Throws a Violation if it breaks a promise. */
export function after(state: State, step: number, world: World): State {
  const stepped = next(state, step, world);
  const restartsNow = isRestartDue(stepped) && stepped.places.every(isAtRest);
  const happened = restartsNow ? restarts(stepped, world) : stepped;
  const after = withNews(state, shortened(withoutTheDead(happened, world), world), step);
  const kind = kindOf(step);
  const hasRestarted = restartsNow || kind === 'restarts' || kind === 'restarts at last';
  return withSame(world.canonical.of(after, hasRestarted), world);
}

function withSame(state: State, { freshStarts }: World): State {
  const places = state.places.map((place) => {
    const node = freshStarts.same(place.node);
    return node === place.node ? place : { ...place, node };
  });
  return { ...state, places };
}

/** Whoever waits has something new to look at: a value, a lane or what is behind. A look that had begun before may have missed it. */
function withNews(before: State, after: State, step: number): State {
  const [{ node }] = after.places as [Place];
  if (node.plan.path !== 'joint') return after;
  const hasChanged =
    before.redis.copies.some(({ token }, at) => token !== after.redis.copies[at]?.token) ||
    before.redis.behind.length !== after.redis.behind.length ||
    before.memcached.cellTexts.some((text, at) => text !== after.memcached.cellTexts[at]);
  const looker = kindOf(step) === 'ends its pause' ? whoOf(step) : -1;
  const places = after.places.map((place, who) => {
    if (place.node.over) return place;
    // Whoever does not look at it must not differ by it.
    const hasNews =
      who === looker ? false : hasChanged || place.hasNews || waitsForLocks(place.node);
    return hasNews === place.hasNews ? place : { ...place, hasNews };
  });
  return { ...after, places };
}

function next(state: State, step: number, world: World): State {
  const who = whoOf(step);
  const kind = kindOf(step);
  switch (kind) {
    case 'executes':
    case 'executes by an old CAS':
    case 'finds no room':
      return executes(state, who, world, mannerOf(kind));
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
      return evicted(state, world, kind === 'cell is evicted' ? 'cell' : 'lock', who);
    case 'restarts':
      return restarts({ ...state, budget: spent(state.budget, 'restarts') }, world);
    case 'restarts at last':
      return restarts(state, world);
    case 'is cut off':
      return cutOff(state, who, world);
  }
}

// Servers

function executes(state: State, who: number, world: World, manner: Manner): State {
  const place = state.places[who] as Place;
  const { node, outcomes, left } = place;
  const request = nextRequest(place) as number;
  const { state: memcached, outcome } = world.memcached.execute(state.memcached, request, manner);
  // An `ms` that finds no room deletes what is there.
  const asked = world.vocabulary.at('memcached', request);
  const isFull = manner === 'without room';
  const mayDelete = isFull && 'item' in asked && asked.item.isCopied === true;
  const { items } = state.memcached;
  const isLost = mayDelete && items.has(asked.name) && !memcached.items.has(asked.name);
  const watch = isLost
    ? world.checks.lost(state.watch, 'cell', CELLS.indexOf(asked.name))
    : world.checks.executed(state.watch, state.memcached, memcached, state.redis);
  const told = world.looks.answer(node, outcomes.length, outcome, memcached.cellTokens);
  const changed = isAtRest(place)
    ? { ...place, left: left.slice(1) }
    : { ...place, outcomes: [...outcomes, told] };
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
  // If its CAS is not the one that it goes by, it does nothing: as if it never landed.
  const manner = isByOldCas(request as number, state, world) ? 'by an old CAS' : 'as it is';
  const memcached = world.memcached.execute(state.memcached, request as number, manner).state;
  const watch = world.checks.executed(state.watch, state.memcached, memcached, state.redis);
  return { ...state, memcached, watch, orphans };
}

function evicted(state: State, world: World, what: 'cell' | 'lock', key: number): State {
  const evicted = (what === 'cell' ? CELLS : LOCKS)[key] as string;
  return {
    ...state,
    memcached: world.memcached.suffer(state.memcached, { evicted }),
    watch: world.checks.lost(state.watch, what, key),
    budget: spent(state.budget, 'evictions'),
  };
}

/** All connections end, each worker hears of it later, and what was not executed is gone. */
function restarts(state: State, world: World): State {
  return {
    ...state,
    memcached: world.memcached.suffer(state.memcached, 'restart'),
    watch: world.checks.lost(state.watch, 'both', 0),
    places: state.places.map((place) => {
      const isOn = place.node.connected && !isAtRest(place);
      return isOn ? { ...place, isGone: true } : { ...place, left: [], cutOff: undefined };
    }),
    orphans: state.orphans.filter(({ to }) => to === 'redis'),
  };
}

/** Memcached will restart. This worker hears of it now, and does nothing more before; what it has sent may still happen. */
function cutOff(state: State, who: number, world: World): State {
  const { node, outcomes } = state.places[who] as Place;
  const budget = isRestartDue(state) ? state.budget : spent(state.budget, 'restarts');
  const before = { ...state, budget };
  const after = node.connected ? hears(before, who, world, TOLD.closed) : before;
  const left = node.requests.slice(outcomes.length);
  const place = { ...(after.places[who] as Place), left, cutOff: node.calls.length, hasNews: true };
  return { ...after, places: replaced(after.places, who, place) };
}

/**
 * Of what nobody waits for any more, leaves out what can do nothing: reads, and writes with a CAS
 * that the item no longer has. It never has it again, since a restart takes them with it. On the joint path, calls, too.
 */
function withoutTheDead(state: State, world: World): State {
  if (!world.comparesCas) return state;
  const { orphans, places, memcached, redis } = state;
  const isJoint = places[0]?.node.plan.path === 'joint';
  const mayWrite = (request: number): boolean => canDoSomething(request, memcached, world);
  const mayChange = (call: number): boolean => !isJoint || canStillChange(call, redis, world);
  let next = state;
  for (const orphan of orphans) {
    const requests = living(orphan.requests, orphan.to === 'redis' ? mayChange : mayWrite);
    if (requests !== orphan.requests) next = withRequests(next, orphan, requests);
  }
  for (const [who, place] of places.entries()) {
    const left = living(place.left, mayWrite);
    if (left !== place.left) {
      next = { ...next, places: replaced(next.places, who, { ...place, left }) };
    }
  }
  return next;
}

/** The same list if all of them can do something. */
function living(
  requests: readonly number[],
  isLiving: (request: number) => boolean,
): readonly number[] {
  const living = requests.filter(isLiving);
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

function canDoSomething(number: number, { items }: MemcachedState, world: World): boolean {
  const request = world.vocabulary.at('memcached', number);
  if (!('cas' in request)) return request.command === 'add';
  const item = items.get(request.name);
  return item !== undefined && (item.cas === request.cas || isOld(request.cas));
}

/**
 * A token that is drawn for nobody names no commit. What was built on an older copy, or has jobs that are no longer in their lanes, is
 * refused for good.
 */
function canStillChange(
  number: number,
  { behind, copies, lanes }: RedisState,
  world: World,
): boolean {
  const call = world.vocabulary.at('redis', number);
  switch (call.script) {
    case 'settled':
      return behind.includes(call.token);
    case 'acknowledgeJoint':
      return call.commit.keys.every(({ key, base, jobIds }) => {
        const at = placeOf(key);
        return copies[at]?.token === base && jobIds.every((jobId) => lanes[at]?.includes(jobId));
      });
    default:
      return false;
  }
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
  const heard = world.workers.next(node, stimulus);
  if (told === TOLD.answer && hasHungUp(node, heard)) {
    orphans = withOrphan(orphans, who, 'memcached', node.requests.slice(outcomes.length));
    next = { ...next, outcomes: [], isGone: false };
  }
  const moved = settled({ ...next, node: heard });
  const places = replaced(state.places, who, moved);
  const watch = watchEvents({ ...state, places, budget }, who, world);
  return forgetful({ ...state, places, orphans, budget, watch }, who, world);
}

/** After an answer that it cannot trust, a worker has ended its connection itself, whatever else was under way. */
function hasHungUp(before: WorkerNode, now: WorkerNode): boolean {
  return !now.connected || now.epoch !== before.epoch;
}

/** A lock that somebody saw may be gone now: then he need not remember it. */
function shortened(state: State, world: World): State {
  if (state.places[0]?.node.plan.path !== 'joint') return state;
  let next = state;
  for (const who of state.places.keys()) next = forgetful(next, who, world);
  return next;
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
    cutOff: undefined,
    replies: [],
    hasNews: true,
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
  return {
    ...{ node, left, outcomes: [], replies: [] },
    ...{ isGone: false, cutOff: place.cutOff, hasNews: false },
  };
}

function watchEvents(state: State, who: number, world: World): State['watch'] {
  let { watch } = state;
  const { node } = state.places[who] as Place;
  for (const event of node.events) {
    const othersRun = state.places.some((place, other) => other !== who && place.node.running);
    const isCalm = state.budget.faults === world.faults;
    watch = world.checks.heard(watch, event, state.redis, state.memcached, othersRun, isCalm);
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
