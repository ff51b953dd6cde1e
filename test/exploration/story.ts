/** A way through the states, told to people. */
import { Violation } from './checks.ts';
import { nextRequest } from './enabled.ts';
import type { Manner } from './memcached-states.ts';
import type { Place, State } from './state.ts';
import { type Kind, kindOf, mannerOf, whoOf } from './steps.ts';
import { after } from './transitions.ts';
import { KEYS } from './worker-plan.ts';
import type { World } from './world.ts';

/** Characters of a line. */
const LINE_MAX = 180;

/** One line for each step; the last one says what it broke. */
export function story(world: World, first: State, steps: readonly number[]): string[] {
  const lines: string[] = [];
  let state = first;
  for (const [index, step] of steps.entries()) {
    const number = String(index + 1).padStart(4);
    const line = `  ${lineOf(state, step, world)}`.slice(0, LINE_MAX);
    if (lines.at(-1)?.endsWith(line) !== true) lines.push(number + line);
    try {
      state = after(state, step, world);
    } catch (thrown) {
      const broken = thrown instanceof Violation ? thrown.promise : 'fault';
      lines.push(`      ${broken}: ${(thrown as Error).message}`);
      break;
    }
  }
  return lines;
}

function lineOf(state: State, step: number, world: World): string {
  const kind = kindOf(step);
  const who = whoOf(step);
  const { vocabulary } = world;
  switch (kind) {
    case 'cell is evicted':
    case 'lock is evicted':
      return `memcached: ${kind} (${KEYS[who]})`;
    case 'restarts':
    case 'restarts at last':
      return `memcached: ${kind}`;
    case 'all leases pass':
      return 'everybody: the length of a lease passes';
    case 'lands late': {
      const { owner, to, requests } = state.orphans[who] as State['orphans'][number];
      const [request] = requests as [number];
      const name = state.places[owner]?.node.plan.name ?? '';
      return to === 'redis'
        ? `redis: late, from ${name}: ${vocabulary.text('redis', request)}`
        : `memcached: late, from ${name}: ${memcachedText(state, request, world)}`;
    }
    default:
      return placeLine(state, state.places[who] as Place, kind, world);
  }
}

function placeLine(state: State, place: Place, kind: Kind, world: World): string {
  const { vocabulary } = world;
  const { node, outcomes, replies } = place;
  const { name } = node.plan;
  switch (kind) {
    case 'executes':
    case 'executes by an old CAS':
    case 'finds no room': {
      const request = nextRequest(place) as number;
      const text = memcachedText(state, request, world, mannerOf(kind));
      return `memcached: from ${name}: ${text}`;
    }
    case 'calls': {
      const call = node.calls[replies.length] as number;
      const { reply } = world.redis.execute(state.redis, call);
      return `redis: from ${name}: ${vocabulary.text('redis', call)} -> ${vocabulary.text('reply', reply)}`;
    }
    case 'hears the answer':
      return `${name} ${kind}: ${vocabulary.text('outcome', outcomes[0] as number)}`;
    default:
      return `${name} ${kind}`;
  }
}

function memcachedText(
  state: State,
  request: number,
  world: World,
  manner: Manner = 'as it is',
): string {
  const { outcome } = world.memcached.execute(state.memcached, request, manner);
  return `${world.vocabulary.text('memcached', request)} -> ${world.vocabulary.text('outcome', outcome)}`;
}
