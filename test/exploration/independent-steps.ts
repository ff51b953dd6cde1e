/**
 * Steps of which only one order with everybody else's need be followed, since either leads to the same state
 * (docs/exploration.md): what a worker hears, and requests whose answer can no longer change and that change nothing.
 */
import {
  canSeeSomethingNew,
  enabled,
  faultsOf,
  isByOldCas,
  nextRequest,
  ownSteps,
} from './enabled.ts';
import { isAtItsEnd, isFinal } from './ends-of-keys.ts';
import { CELLS, LOCKS } from './memcached-states.ts';
import type { RedisState } from './redis-states.ts';
import type { RedisRequest } from './requests.ts';
import { isAtRest, type Place, restartsLater, type State } from './state.ts';
import { isDue, transition } from './steps.ts';
import { placeOf } from './worker-plan.ts';
import type { World } from './world.ts';

/** What must be tried next. */
export function nextSteps(state: State, world: World): number[] {
  const steps = independentSteps(state, world) ?? enabled(state, world);
  const isOver = world.endings === 'one' && CELLS.every((name) => isAtItsEnd(name, state, world));
  return isOver ? onlyOne(steps) : steps;
}

/** What need not happen leads to no end. */
function onlyOne(steps: readonly number[]): number[] {
  const due = steps.filter((step) => isDue(step));
  return (due.length > 0 ? due : steps).slice(0, 1);
}

function independentSteps(state: State, world: World): number[] | undefined {
  const { expiries, faults } = state.budget;
  // A moment at which time passes for all is no worker's own affair.
  if (faults > 0 && world.inStep && expiries > 0) return undefined;
  for (const [who, place] of state.places.entries()) {
    const certain = certainStep(state, place, who, world);
    if (certain !== undefined) return [certain];
  }
  for (const [who, place] of state.places.entries()) {
    if (!isOwnAffair(state, place, world)) continue;
    const steps: number[] = [];
    ownSteps(state, place, who, world, steps);
    faultsOf(state, place, who, world, steps);
    if (restartsLater(state)) steps.push(transition('is cut off', who));
    return steps;
  }
  return undefined;
}

/**
 * What it hears next neither sees nor touches anything of the others', and nothing else can come to it before. Then that comes
 * first, with all faults that can strike this worker instead.
 */
function isOwnAffair(state: State, place: Place, world: World): boolean {
  const { node, outcomes, replies, isGone, cutOff } = place;
  const { refusals, faults } = state.budget;
  if (cutOff !== undefined) return false;
  // Nothing that it has sent to memcached is executed any more.
  if (
    isGone &&
    outcomes.length === 0 &&
    replies.length === node.calls.length &&
    !node.pausing &&
    !(world.inStep && node.working)
  )
    return true;
  // What is executed behind what it hears next is heard later; but without room it takes something away.
  const isHeardNext = (executed: readonly number[], sent: readonly number[]): boolean =>
    executed.length === sent.length ||
    (executed.length > 0 && node.plan.path === 'joint' && (faults === 0 || refusals === 0));
  if (node.over || !isHeardNext(outcomes, node.requests) || !isHeardNext(replies, node.calls))
    return false;
  // For how long somebody is at work is what others must not meet if clocks run in step.
  if (world.inStep && node.working) return false;
  // A pause that somebody else may end later is not yet its own affair.
  const looks =
    node.pausing && node.plan.path === 'joint' && canSeeSomethingNew(state, place, world);
  if (node.pausing && !looks) return false;
  return outcomes.length > 0 || replies.length > 0 || node.working || looks;
}

/** Its next request is answered in the same way whatever the others do, and changes nothing. */
function certainStep(state: State, place: Place, who: number, world: World): number | undefined {
  const { node, replies } = place;
  if (node.plan.path !== 'joint') return undefined;
  const { vocabulary, endings } = world;
  const call = isAtRest(place) ? undefined : node.calls[replies.length];
  if (call !== undefined && isCallCertain(vocabulary.at('redis', call), state))
    return transition('calls', who);
  const request = nextRequest(place);
  if (request === undefined || isByOldCas(request, state, world)) return undefined;
  const { command, name } = vocabulary.at('memcached', request);
  const isCertain = isFinal(name, state) && (command === 'get' || !mayFindNoRoom(state));
  const cell = CELLS[LOCKS.indexOf(name)] ?? name;
  const isOver = endings === 'one' && isAtItsEnd(cell, state, world);
  return isCertain || isOver ? transition('executes', who) : undefined;
}

function mayFindNoRoom({ budget }: State): boolean {
  return budget.faults > 0 && budget.refusals > 0;
}

/** Of lanes in which nothing is left, the same is told for good. A token that is drawn for one names no commit. */
function isCallCertain(call: RedisRequest, { redis }: State): boolean {
  const isEmpty = (key: string): boolean => redis.lanes[placeOf(key)]?.length === 0;
  const copyOf = (key: string): RedisState['copies'][number] | undefined =>
    redis.copies[placeOf(key)];
  switch (call.script) {
    case 'take':
      return isEmpty(call.request.key);
    case 'locate':
    case 'deliver':
      return !redis.waiting.includes(call.jobId);
    case 'acknowledgeJoint':
      return call.commit.keys.some(
        ({ key, jobIds }) =>
          jobIds.length > 0 && isEmpty(key) && copyOf(key)?.token !== call.commit.token,
      );
    case 'settled':
    case 'behind':
      return !redis.behind.includes(call.token);
    default:
      return false;
  }
}
