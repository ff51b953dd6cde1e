/** Which systems there are, what each promises, and where its code is. */
import type { System } from './system.ts';

/** What a system's own documentation, or its construction, promises about the updates of a key. */
export type Promised = 'nothing' | 'no value' | 'exclusion' | 'order';

interface SystemEntry {
  /** As tables show it. */
  readonly title: string;
  readonly promised: Promised;
  readonly needsPostgres?: true;
  /** The npm package without which it cannot run, if that is no dependency of the project. */
  readonly needsPackage?: string;
  readonly load: () => Promise<System>;
}

const SYSTEMS = {
  toril: {
    title: 'Toril',
    promised: 'order',
    load: async () => (await import('./product.ts')).toril,
  },
  'toril-strict': {
    title: 'Toril, strict updates',
    promised: 'order',
    load: async () => (await import('./product.ts')).toril,
  },
  'toril-history': {
    title: 'Toril, with history',
    promised: 'order',
    load: async () => (await import('./product.ts')).toril,
  },
  'toril-memjs': {
    title: 'Toril, binary protocol by memjs',
    promised: 'order',
    load: async () => (await import('./product.ts')).torilByMemjs,
  },
  'bullmq-noop': {
    title: 'BullMQ, no-op',
    promised: 'no value',
    load: async () => (await import('./competitors/bullmq-noop.ts')).bullmqNoop,
  },
  'bullmq-no-lock': {
    title: 'BullMQ, no lock',
    promised: 'nothing',
    load: async () => (await import('./competitors/bullmq-no-lock.ts')).bullmqNoLock,
  },
  'bullmq-add-lock': {
    title: 'BullMQ + add lock',
    promised: 'exclusion',
    load: async () => (await import('./competitors/bullmq-add-lock.ts')).bullmqAddLock,
  },
  'bullmq-cas': {
    title: 'BullMQ + CAS loop',
    promised: 'exclusion',
    load: async () => (await import('./competitors/bullmq-cas.ts')).bullmqCas,
  },
  'bullmq-redis-mutex': {
    title: 'BullMQ + Redis mutex',
    promised: 'exclusion',
    load: async () => (await import('./competitors/bullmq-redis-mutex.ts')).bullmqRedisMutex,
  },
  groupmq: {
    title: 'GroupMQ',
    promised: 'order',
    load: async () => (await import('./competitors/groupmq.ts')).groupmq,
  },
  'graphile-worker': {
    title: 'Graphile Worker',
    promised: 'order',
    needsPostgres: true,
    load: async () => (await import('./competitors/graphile-worker.ts')).graphileWorker,
  },
  'pg-boss': {
    title: 'pg-boss',
    promised: 'order',
    needsPostgres: true,
    needsPackage: 'pg-boss',
    load: async () => (await import('./competitors/pg-boss.ts')).pgBoss,
  },
} as const satisfies Record<string, SystemEntry>;

export type SystemName = keyof typeof SYSTEMS;

export const SYSTEM_NAMES = Object.keys(SYSTEMS) as readonly SystemName[];

export function systemEntry(name: SystemName): SystemEntry {
  return SYSTEMS[name];
}

/** Ours: it must be right, and is always measured with the full number of jobs. */
export function isProduct(name: SystemName): boolean {
  return name === 'toril' || isVariant(name);
}

const VARIANTS: ReadonlySet<SystemName> = new Set<SystemName>([
  ...(['toril-strict', 'toril-history', 'toril-memjs'] as const),
]);

/** Of ours: not as it comes, but as it can be set up. */
function isVariant(name: SystemName): boolean {
  return VARIANTS.has(name);
}

/** What ratios refer to, unless a part of the bench says otherwise. */
export const CEILING: SystemName = 'bullmq-noop';

/** All that change values, and the ceiling. Variants of ours have rows of their own. */
export const RIVALS: readonly SystemName[] = SYSTEM_NAMES.filter((name) => !isVariant(name));
