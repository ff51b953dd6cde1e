/** Keys that are as they will be: all their jobs are decided, and the cell is the last commit, or can but become it. */
import type { JointAcknowledged } from '../../src/jobs/joint-lanes.ts';
import type { Taken } from '../../src/jobs/lanes.ts';
import { CELLS, tokenIn } from './memcached-states.ts';
import type { RedisState } from './redis-states.ts';
import type { RedisRequest } from './requests.ts';
import { isRestartDue, type Place, type State } from './state.ts';
import { KEYS } from './worker-plan.ts';
import type { World } from './world.ts';

/** The cell of a key whose jobs are all decided, and that shows the last commit: it never changes again (joint-checks.ts). */
export function isFinal(name: string, { budget, memcached, redis }: State): boolean {
  const at = CELLS.indexOf(name);
  if (at === -1 || (budget.faults > 0 && budget.evictions > 0)) return false;
  return redis.lanes[at]?.length === 0 && memcached.cellTokens[at] === redis.copies[at]?.token;
}

/**
 * Of this key, nothing changes from here on but its lock, and a missing cell, which can but become the last commit. Of what was sent on
 * connections that are no more, an acknowledgement finds no job in the lane, and an add finds the cell; a write that may still hit its
 * CAS, or comes where nothing is, is what the search is for.
 */
export function isAtItsEnd(cell: string, state: State, world: World): boolean {
  const { faults, ...kinds } = state.budget;
  const isSpent =
    !isRestartDue(state) && (faults === 0 || Object.values(kinds).every((left) => left === 0));
  if (!isSpent) return false;
  const isMissing = isMissingForGood(cell, state, world);
  if (!isMissing && !isFinal(cell, state)) return false;
  const mayWrite = (id: number): boolean => {
    const request = world.vocabulary.at('memcached', id);
    return request.name === cell && ('cas' in request || isMissing);
  };
  return !state.orphans.some(({ to, requests }) => to === 'memcached' && requests.some(mayWrite));
}

/** Whatever is written where this cell was is its last commit: nothing older is under way, or will be. */
function isMissingForGood(
  cell: string,
  { memcached, redis, places }: State,
  world: World,
): boolean {
  const { vocabulary } = world;
  const at = CELLS.indexOf(cell);
  if (memcached.items.has(cell) || redis.lanes[at]?.length !== 0) return false;
  const isOlder = (id: number): boolean => {
    const request = vocabulary.at('memcached', id);
    return (
      request.name === cell &&
      'item' in request &&
      tokenIn(request.item) !== redis.copies[at]?.token
    );
  };
  return !places.some(
    (place) =>
      isToldOlder(place, at, redis, world) || unexecutedOf(place).some((id) => isOlder(id)),
  );
}

/** A reply on its way to it tells of an older commit of this key, so that it may write that one. */
function isToldOlder(
  { node, replies }: Place,
  at: number,
  { copies }: RedisState,
  { vocabulary }: World,
): boolean {
  const last = copies[at]?.token;
  return replies.some((reply, index) => {
    const call = vocabulary.at('redis', node.calls[index] as number);
    const told = tokenTold(call, vocabulary.at('reply', reply), KEYS[at] as string);
    return told !== undefined && told !== last;
  });
}

/** Of the commit of this key that whoever hears this may write. */
function tokenTold(call: RedisRequest, reply: unknown, key: string): number | undefined {
  switch (call.script) {
    case 'take': {
      const { copy, joint } = reply as Taken;
      return (call.request.key === key ? copy : joint?.others.get(key)?.copy)?.token;
    }
    case 'acknowledgeJoint': {
      const isWritten =
        (reply as JointAcknowledged).accepted && call.commit.keys.some((one) => one.key === key);
      return isWritten ? call.commit.token : undefined;
    }
    default:
      return undefined;
  }
}

function unexecutedOf({ node, outcomes, left }: Place): readonly number[] {
  return node.over ? left : node.requests.slice(outcomes.length);
}
