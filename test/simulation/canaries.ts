/**
 * Worlds with one guard taken away. Each must fail within a few runs: else the auditor is blind, or
 * the faults never strike where that guard is needed.
 */
import type { Lanes } from '../../src/jobs/lanes.ts';
import { MemoryStore } from '../../src/memcached/memory/memory-store.ts';
import type { Damage } from './world.ts';

const LOCK_PREFIX = 'toril:lock:';

/** Lanes with some methods replaced. */
function changed(lanes: Lanes, changes: Partial<Lanes>): Lanes {
  return new Proxy(lanes, {
    get: (target, property) => {
      const own: unknown = Reflect.get(changes, property);
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** A SET that finds no room deletes what is there, whatever its CAS. */
export function setForReplace(store: MemoryStore): void {
  const replace = store.replace.bind(store);
  store.replace = (name, item, cas) => {
    const outcome = replace(name, item, cas);
    const isOutOfRoom = outcome.kind === 'refused' && outcome.reason === 'out-of-memory';
    if (isOutOfRoom) MemoryStore.prototype.evict.call(store, name);
    return outcome;
  };
}

export const CANARIES: Readonly<Record<string, Damage>> = {
  /** memcached compares no CAS on cells, as if it had been started with -C. */
  'no CAS on cells': {
    store(store) {
      const replace = store.replace.bind(store);
      store.replace = (name, item, cas) => {
        const now = store.peek(name);
        const isCell = !name.startsWith(LOCK_PREFIX);
        return replace(name, item, isCell && now !== undefined ? now.cas : cas);
      };
    },
  },
  /** SET instead of REPLACE: one that finds no room deletes what is there, whatever its CAS. Copies make up for it. */
  'SET for REPLACE': {
    options: (options) => ({ ...options, gate: { ...options.gate, durableCopies: false } }),
    store: setForReplace,
  },
  /** Redis takes every acknowledgement, whatever the commit was built on. */
  'no condition on acknowledge': {
    jobs(jobs) {
      const acknowledge = jobs.acknowledge.bind(jobs);
      jobs.acknowledge = (commit) =>
        acknowledge({ ...commit, base: jobs.inspect(commit.key, 0).copy.token });
    },
  },
  /** A job completes before its commit is acknowledged. */
  'complete before acknowledge': {
    lanes: (lanes) =>
      changed(lanes, {
        acknowledge(commit) {
          lanes.acknowledge(commit).catch(() => undefined);
          return Promise.resolve({ accepted: true });
        },
      }),
  },
  /** A job that was applied in somebody else's batch does not know it. */
  'no outcome in the job': {
    jobs(jobs) {
      const acknowledge = jobs.acknowledge.bind(jobs);
      jobs.acknowledge = (commit) => {
        const answer = acknowledge(commit);
        for (const job of jobs.all()) job.outcome = '';
        return answer;
      };
    },
  },
  /** Times in Redis are those of whoever writes them there. */
  "times by the worker's clock": { times: (worker) => worker },
  /** Commits do not name the jobs that entered late. */
  'late jobs without a name': {
    options: (options) => ({
      ...options,
      plainRate: 0.5,
      stepFaultRate: 0.4,
      faults: ['redis-promotes', 'redis-delay', 'crash'],
    }),
    lanes: (lanes) =>
      changed(lanes, {
        async take(request) {
          const taken = await lanes.take(request);
          const entries = taken.entries.map((entry) => {
            const { late: _, ...unnamed } = entry;
            return unnamed;
          });
          return { ...taken, entries };
        },
      }),
  },
  /** Cells do not say of which data set they are. */
  'no names of data sets': { otherDataSet: 'memory' },
  /** Tokens come from each process's own clock, before or after any other's. */
  'tokens that do not grow': {
    lanes: (lanes) =>
      changed(lanes, {
        async take(request) {
          const taken = await lanes.take(request);
          return { ...taken, token: (taken.token % 1_000) + 1 };
        },
      }),
  },
};
