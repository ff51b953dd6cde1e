/**
 * The search leaves out orders of steps that lead to the same state (independent-steps.ts). Here they are all followed, as far as there
 * are few enough: in the end, cells, copies and what is still under way must be the same.
 */
import { expect, test } from 'vitest';
import {
  type Configuration,
  FAULT_KINDS,
  NO_FAULTS,
  worldOf,
} from '../exploration/configuration.ts';
import { enabled } from '../exploration/enabled.ts';
import { isAtItsEnd } from '../exploration/ends-of-keys.ts';
import { nextSteps } from '../exploration/independent-steps.ts';
import { inMacrotask } from '../exploration/macrotask.ts';
import { CELLS, LOCKS } from '../exploration/memcached-states.ts';
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
  follows: (state: State, next: State) => void = () => {},
): { ends: Set<string>; states: number } {
  const visited = new Visited();
  const words = new Int32Array(WORDS_MAX);
  const ends = new Set<string>();
  const stack = [first];
  for (let state = stack.pop(); state !== undefined; state = stack.pop()) {
    const known = visited.size;
    if (visited.numberOf(words, encode(state, words)) < known) continue;
    if (state.places.every(({ node }) => node.over)) ends.add(textOf(state, world));
    for (const step of stepsOf(state, world)) {
      const next = after(state, step, world);
      follows(state, next);
      stack.push(next);
    }
  }
  return { ends, states: visited.size };
}

/**
 * CAS values are left out: in which order items were written makes them others. With one ending, so is a release that somebody
 * who has finished left behind.
 */
function textOf({ memcached, redis, places }: State, { vocabulary, endings }: World): string {
  const isRelease = (id: number): boolean => {
    const { command, name } = vocabulary.at('memcached', id);
    return command === 'delete' && LOCKS.includes(name);
  };
  const left = places.map(({ left: requests }) =>
    requests
      .filter((id) => endings !== 'one' || !isRelease(id))
      .map((id) => vocabulary.text('memcached', id).replaceAll(/#\d+/g, '#')),
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
  { path: 'joint', jobs: 1, pauses: 'all', endings: 'one' },
  { path: 'joint', workers: 1, jobs: 1, restarts: 1, endings: 'one' },
  { path: 'joint', workers: 1, jobs: 1, evictions: 1, endings: 'one' },
  { path: 'joint', workers: 1, jobs: 1, crashes: 1, endings: 'one' },
  { path: 'joint', workers: 1, jobs: 1, timeouts: 1, endings: 'one' },
  { path: 'joint', workers: 1, jobs: 1, refusals: 1, endings: 'one' },
];

test.each(ROWS)('%o: the same in the end as with all orders', { timeout: 60_000 }, async (row) => {
  const { world, first } = await inMacrotask(() => worldOf({ ...NO_FAULTS, ...row }));
  const all = await inMacrotask(() => endsOf(world, first, enabled));
  const fewer = await inMacrotask(() => endsOf(world, first, nextSteps));
  expect(fewer.ends).toEqual(all.ends);
  expect(all.ends.size).toBeGreaterThan(1);
  expect(fewer.states).toBeLessThan(all.states);
});

const FAULTS: readonly Partial<Configuration>[] = [
  ...FAULT_KINDS.map((kind) => ({ workers: 1, jobs: 1, [kind]: 1 })),
  // An older write is under way to where nothing is.
  { workers: 1, jobs: 1, evictions: 1, timeouts: 1 },
  { cell: 'missing', pauses: 'all' },
];

/** What `--endings one` goes by. */
test.each(FAULTS)(
  '%o: a key at its end stays there, in all orders',
  { timeout: 60_000 },
  async (row) => {
    const configuration: Configuration = { ...NO_FAULTS, path: 'joint', ...row };
    const { world, first } = await inMacrotask(() => worldOf(configuration));
    let leavesTheEnd = 0;
    let atTheEnd = 0;
    const checkEnds = (state: State, next: State): void => {
      for (const [at, cell] of CELLS.entries()) {
        if (!isAtItsEnd(cell, state, world)) continue;
        atTheEnd++;
        const wasThere = state.memcached.items.has(cell);
        const isSame = next.redis.copies[at]?.value === state.redis.copies[at]?.value;
        const isThere = !wasThere || next.memcached.items.has(cell);
        if (!isSame || !isThere || !isAtItsEnd(cell, next, world)) leavesTheEnd++;
      }
    };
    await inMacrotask(() => endsOf(world, first, nextSteps, checkEnds));
    expect(leavesTheEnd).toBe(0);
    expect(atTheEnd).toBeGreaterThan(0);
  },
);
