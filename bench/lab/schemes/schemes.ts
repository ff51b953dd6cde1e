/** The schemes, in the order of the tables. */
import type { SystemName } from '../../systems.ts';
import type { DirectUpdate } from '../scheme.ts';
import { addSpin } from './add-spin.ts';
import { casLock } from './cas-lock.ts';
import { checkThenSet } from './check-then-set.ts';
import { setAndReadBack } from './set-and-read-back.ts';

interface SchemeEntry {
  readonly letter: string;
  /** As tables show it. */
  readonly title: string;
  /** The item that memcached may evict while it is held; `none`: there is no such item. */
  readonly lock: 'beside the value' | 'elsewhere' | 'ours' | 'none';
  /** Clients do it themselves. */
  readonly update?: DirectUpdate;
  /** Clients enqueue it, and workers of this system do it. */
  readonly queue?: SystemName;
}

const SCHEMES = {
  'check-then-set': {
    letter: 'a',
    title: 'check for a lock, then set it',
    lock: 'beside the value',
    update: checkThenSet,
  },
  'add-spin': {
    letter: 'b',
    title: 'add in a spin loop',
    lock: 'beside the value',
    update: addSpin,
  },
  'cas-lock': {
    letter: 'c',
    title: 'get, add, CAS loop on a lock elsewhere',
    lock: 'elsewhere',
    update: casLock,
  },
  'set-and-read-back': {
    letter: 'd',
    title: 'set a random value, read it back',
    lock: 'beside the value',
    update: setAndReadBack,
  },
  'cas-value': {
    letter: 'e',
    title: 'optimistic CAS on the value',
    lock: 'none',
    update: ({ values, pause }, work) => values.updateByCas(work, pause),
  },
  'bullmq-redis-mutex': {
    letter: 'f',
    title: 'BullMQ, a Redis mutex per key',
    lock: 'none',
    queue: 'bullmq-redis-mutex',
  },
  toril: { letter: 'g', title: 'Toril', lock: 'ours', queue: 'toril' },
} as const satisfies Record<string, SchemeEntry>;

export type SchemeName = keyof typeof SCHEMES;

export const SCHEME_NAMES = Object.keys(SCHEMES) as readonly SchemeName[];

export function schemeOf(name: SchemeName): SchemeEntry {
  return SCHEMES[name];
}
