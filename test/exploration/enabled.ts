/** What can happen in a state. */
import { lockName } from '../../src/memcached/item-names.ts';
import { CELLS, isOld, LOCK, LOCKS } from './memcached-states.ts';
import { itemIn } from './requests.ts';
import { isAtRest, isRestartDue, type Place, type State } from './state.ts';
import { transition } from './steps.ts';
import { SAW_FREE, type WorkerNode } from './worker-tree.ts';
import type { World } from './world.ts';

/** A worker that has been told so much since it started, and waits again, is not followed further. */
const TOLD_MAX = 80;

/** Everything that can happen. */
export function enabled(state: State, world: World): number[] {
  const steps: number[] = [];
  for (const [who, place] of state.places.entries()) ownSteps(state, place, who, world, steps);
  if (isRestartDue(state)) steps.push(transition('restarts at last', 0));
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
    for (const [key, name] of CELLS.entries())
      if (memcached.items.has(name)) steps.push(transition('cell is evicted', key));
    for (const [key, name] of LOCKS.entries())
      if (memcached.items.has(name)) steps.push(transition('lock is evicted', key));
  }
  if (budget.restarts > 0) steps.push(transition('restarts', 0));
  return steps;
}

/** What can happen to a worker without a fault. */
export function ownSteps(
  state: State,
  place: Place,
  who: number,
  world: World,
  steps: number[],
): void {
  const { node, outcomes, isGone, cutOff, replies } = place;
  const request = nextRequest(place);
  if (request !== undefined) {
    steps.push(transition('executes', who));
    if (isByOldCas(request, state, world)) steps.push(transition('executes by an old CAS', who));
  }
  if (node.over) return;
  if (isGone) steps.push(transition('hears of the closing', who));
  if (replies.length < (cutOff ?? node.calls.length)) steps.push(transition('calls', who));
  if (cutOff !== undefined) return;
  if (outcomes.length > 0) steps.push(transition('hears the answer', who));
  if (replies.length > 0) steps.push(transition('hears the reply', who));
  if (
    node.pausing &&
    !isWorn(node) &&
    isAnswered(node, world) &&
    canSeeSomethingNew(state, place, world)
  ) {
    steps.push(transition('ends its pause', who));
  }
  if (node.working) steps.push(transition('ends its work', who));
}

/** What memcached executes next for it. */
export function nextRequest(place: Place): number | undefined {
  const { node, outcomes, isGone, left } = place;
  if (isAtRest(place)) return left[0];
  return isGone ? undefined : node.requests[outcomes.length];
}

/** It goes by a CAS from before a restart, which may have been given out again by now: to what is there. */
export function isByOldCas(number: number, { memcached }: State, { vocabulary }: World): boolean {
  const request = vocabulary.at('memcached', number);
  return 'cas' in request && isOld(request.cas) && memcached.items.has(request.name);
}

/** Its pause may be over: those that are longer than an answer takes need all answers. */
function isAnswered({ plan, phase, requests, calls }: WorkerNode, { pauses }: World): boolean {
  const isLong = plan.path === 'joint' && (pauses === 'all' || phase === 'settles');
  return !isLong || requests.length + calls.length === 0;
}

export function isWorn(node: WorkerNode): boolean {
  return node.pausing && node.told >= TOLD_MAX;
}

/**
 * A worker that waits for a lock asks again and again. It need not do so before there is something
 * else to be seen than the last time: the lock is as it was, and its job is not decided.
 */
export function canSeeSomethingNew(state: State, place: Place, world: World): boolean {
  const { node } = place;
  if (node.plan.path === 'joint') return canJointSeeSomethingNew(place, state, world);
  const { memcached, redis } = state;
  if (node.sawHeld === -1) return true;
  const lock = memcached.items.get(LOCK);
  const seen = itemIn(world.vocabulary.at('outcome', node.sawHeld));
  const isSame = lock !== undefined && seen?.cas === lock.cas;
  return !isSame || (node.plan.path !== 'lease' && !redis.waiting.includes(node.plan.jobId));
}

/**
 * Whose combiners all wait for locks looks at these, and for its job's outcome. Else it looks at several keys, and so for
 * anything that has changed since it last began to look.
 */
function canJointSeeSomethingNew(
  { node, hasNews }: Place,
  { memcached, redis }: State,
  { vocabulary }: World,
): boolean {
  const { rests, held, phase, plan } = node;
  const isOther = rests.some(({ key }) => {
    const seen = held.get(key);
    if (seen === undefined || seen === SAW_FREE) return seen === SAW_FREE;
    const lock = memcached.items.get(lockName(key));
    return itemIn(vocabulary.at('outcome', seen))?.cas !== lock?.cas;
  });
  if (isOther || (phase === 'waits' && !redis.waiting.includes(plan.jobId))) return true;
  return !waitsForLocks(node) && hasNews;
}

/** For nothing else. */
export function waitsForLocks({ rests, held, phase }: WorkerNode): boolean {
  if (phase === 'settles' || rests.length === 0) return false;
  return rests.every(({ key, wakers }) => wakers.length === 0 && held.has(key));
}

export function faultsOf(
  state: State,
  place: Place,
  who: number,
  world: World,
  steps: number[],
): void {
  const { node, outcomes, isGone } = place;
  const { budget } = state;
  if (isAtRest(place) || budget.faults === 0 || isWorn(node)) return;
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
  return command !== 'get' && command !== 'look' && command !== 'delete';
}
