/**
 * The search leaves out orders of steps that lead to the same state (independent-steps.ts). Here they are all followed, as far as there
 * are few enough: in the end, cells, copies and what is still under way must be the same.
 */
import { expect, test } from 'vitest';
import { type Configuration, NO_FAULTS, worldOf } from '../exploration/configuration.ts';
import { enabled } from '../exploration/enabled.ts';
import { nextSteps } from '../exploration/independent-steps.ts';
import { inMacrotask } from '../exploration/macrotask.ts';
import { encode, type State } from '../exploration/state.ts';
import { after } from '../exploration/transitions.ts';
import { Visited } from '../exploration/visited.ts';
import type { World } from '../exploration/world.ts';

type StepsOf = (state: State, world: World) => number[];

const WORDS_MAX = 4_096;

/** What is there in the end, and how many states lead to it. */
function endsOf(
  world: World,
  first: State,
  stepsOf: StepsOf,
): { ends: Set<string>; states: number } {
  const visited = new Visited();
  const words = new Int32Array(WORDS_MAX);
  const ends = new Set<string>();
  const stack = [first];
  for (let state = stack.pop(); state !== undefined; state = stack.pop()) {
    const known = visited.size;
    if (visited.numberOf(words, encode(state, words)) < known) continue;
    if (state.places.every(({ node }) => node.over)) ends.add(textOf(state, world));
    for (const step of stepsOf(state, world)) stack.push(after(state, step, world));
  }
  return { ends, states: visited.size };
}

/** CAS values are left out: in which order items were written makes them others. */
function textOf({ memcached, redis, places }: State, { vocabulary }: World): string {
  const left = places.map(({ left: requests }) =>
    requests.map((id) => vocabulary.text('memcached', id).replaceAll(/#\d+/g, '#')),
  );
  const { copies, lanes, behind } = redis;
  return JSON.stringify([memcached.cellTexts, copies, lanes, behind, left]);
}

const ROWS: readonly (Partial<Configuration> & Pick<Configuration, 'path'>)[] = [
  { path: 'queue', expiries: 1 },
  { path: 'queue', evictions: 1 },
  { path: 'queue', restarts: 1 },
  { path: 'queue', restarts: 1, cell: 'missing' },
  { path: 'strict' },
  { path: 'lease', restarts: 1 },
  { path: 'lease', restarts: 1, cell: 'missing' },
  { path: 'joint', workers: 1, jobs: 1, restarts: 1 },
];

test.each(ROWS)('%o: the same in the end as with all orders', { timeout: 60_000 }, async (row) => {
  const { world, first } = await inMacrotask(() => worldOf({ ...NO_FAULTS, ...row }));
  const all = await inMacrotask(() => endsOf(world, first, enabled));
  const fewer = await inMacrotask(() => endsOf(world, first, nextSteps));
  expect(fewer.ends).toEqual(all.ends);
  expect(all.ends.size).toBeGreaterThan(1);
  expect(fewer.states).toBeLessThan(all.states);
});
