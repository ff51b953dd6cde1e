/**
 * Worlds with one guard taken away. In each the search must find a broken promise: else the checks
 * are blind, or what makes the guard necessary never happens.
 */
import type { Lanes } from '../../src/jobs/lanes.ts';
import type { Acknowledged } from '../../src/jobs/lane.ts';
import { reconnecting, withoutBump, withoutDeleteCas, wrapped } from '../support/lock-twins.ts';
import type { MemoryStore } from '../../src/memcached/memory/memory-store.ts';
import type { MemcachedServer, NewItem } from '../../src/memcached/server.ts';
import type { Configuration, Damage } from './configuration.ts';
import { CELL } from './memcached-states.ts';
import { setForReplace } from '../simulation/canaries.ts';

export interface Canary {
  readonly damage: Damage;
  /** Found after so many states that the unit tests leave it to `npm run explore -- --canary`. */
  readonly isLarge?: boolean;
  /** Where it must be found. */
  readonly within: Partial<Configuration> & Pick<Configuration, 'path'>;
}

function withoutCellCas(store: MemoryStore): void {
  const replace = store.replace.bind(store);
  store.replace = (name, item, cas) =>
    replace(name, item, name === CELL ? (store.peek(name)?.cas ?? cas) : cas);
}

export const CANARIES: Readonly<Record<string, Canary>> = {
  /** memcached compares no CAS on the cell, as if it had been started with -C. */
  'no CAS on the cell': {
    within: { path: 'queue', expiries: 1 },
    damage: { store: withoutCellCas },
  },
  /** The same for transactions, whose cells are written behind the acknowledgement. */
  'no CAS on the cell of a transaction': {
    within: { path: 'joint', pauses: 'all', endings: 'one', expiries: 1 },
    isLarge: true,
    damage: { store: withoutCellCas },
  },
  /** One that finds no room deletes what is there, whatever its CAS. */
  'SET for REPLACE': {
    within: { path: 'queue', expiries: 1, refusals: 1 },
    damage: { store: setForReplace },
  },
  /** Redis takes every acknowledgement, whatever the commit was built on. */
  'no condition on acknowledge': {
    within: { path: 'queue', expiries: 1, evictions: 1 },
    damage: {
      jobs(jobs) {
        const acknowledge = jobs.acknowledge.bind(jobs);
        jobs.acknowledge = (commit) =>
          acknowledge({ ...commit, base: jobs.inspect(commit.key, 0).copy.token });
      },
    },
  },
  /** In the meta protocol: a store without a copy, done by an `ms`, deletes what is there if it finds no room. */
  'ms for locks': {
    within: { path: 'lease', protocol: 'meta', refusals: 1, clocks: 'step' },
    damage: {
      store(store) {
        for (const method of ['add', 'replace'] as const) {
          const stores = store[method].bind(store) as (
            ...args: unknown[]
          ) => ReturnType<typeof store.add>;
          store[method] = (name: string, item: NewItem, ...more: unknown[]) =>
            stores(name, { ...item, isCopied: true }, ...more);
        }
      },
    },
  },
  'completing before acknowledging': {
    within: { path: 'queue' },
    damage: {
      lanes: (lanes) =>
        changed(lanes, {
          acknowledge(commit) {
            lanes.acknowledge(commit).catch(() => undefined);
            return Promise.resolve({ accepted: true, snoozed: [] });
          },
        }),
    },
  },
  /** Every cell is taken for the acknowledged state. */
  'every cell is believed': {
    within: { path: 'queue', expiries: 1, evictions: 1 },
    damage: {
      lanes: (lanes) =>
        changed(lanes, {
          async take(request) {
            const taken = await lanes.take(request);
            const { cell } = request;
            if (cell === undefined) return taken;
            return { ...taken, copy: { ...taken.copy, token: cell.token } };
          },
        }),
    },
  },
  'a joint commit, key by key': {
    within: { path: 'joint', endings: 'one' },
    damage: {
      lanes: (lanes) =>
        changed(lanes, {
          async acknowledgeJoint(commit) {
            let answer: Acknowledged = { accepted: true };
            for (const key of commit.keys)
              answer = await lanes.acknowledgeJoint({ ...commit, keys: [key] });
            return answer;
          },
        }),
    },
  },
  'completing before the cells': {
    within: { path: 'joint', endings: 'one' },
    damage: { lanes: (lanes) => changed(lanes, { behind: () => Promise.resolve([]) }) },
  },
  /** What an older holder knows of the cell stays true. */
  'no new CAS': {
    within: { path: 'lease', expiries: 1 },
    damage: { server: withoutBump },
  },
  'token drawn before the lease': {
    within: { path: 'lease' },
    damage: {
      tokens(tokens) {
        let early = tokens.drawToken();
        return {
          drawToken() {
            const drawn = early;
            early = tokens.drawToken();
            return drawn;
          },
        };
      },
    },
  },
  'a lease outlives its connection': {
    within: { path: 'lease', restarts: 1, cell: 'missing' },
    damage: { server: reconnecting },
  },
  /** The lock is looked at before the cell is closed to those who held it earlier. */
  'check before claim': {
    isLarge: true,
    within: { path: 'lease', expiries: 1, evictions: 1, cell: 'missing' },
    damage: { server: checkingFirst },
  },
  /** By CAS: a lock was added by who finds one, whatever its CAS. Most looks at the lock would show it, but one acquisition needs none. */
  'whoever finds a lock has made it': {
    within: { path: 'lease', protocol: 'meta', locks: 'cas' },
    damage: { server: madeByWhoeverFinds },
  },
  'no CAS on release': {
    within: { path: 'lease', expiries: 1, clocks: 'step' },
    damage: { server: withoutDeleteCas },
  },
};

function madeByWhoeverFinds(server: MemcachedServer): MemcachedServer {
  return wrapped(server, (connection) => ({
    add: async (name, item) => {
      const outcome = await connection.add(name, item);
      const isFound = outcome.kind === 'refused' && outcome.found !== undefined;
      return isFound && item.chosenCas !== undefined
        ? { kind: 'done', value: item.chosenCas }
        : outcome;
    },
  }));
}

function checkingFirst(server: MemcachedServer): MemcachedServer {
  return wrapped(server, (connection) => ({
    bump: (name, cas) => Promise.resolve().then(() => connection.bump(name, cas)),
    add: (name, item) =>
      name === CELL
        ? Promise.resolve().then(() => connection.add(name, item))
        : connection.add(name, item),
  }));
}

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
