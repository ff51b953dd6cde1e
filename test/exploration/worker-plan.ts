/** What a worker is made for, and what it tells of itself. */
import type { Lanes } from '../../src/jobs/lanes.ts';
import type { TokenSource } from '../../src/lock/lock.ts';
import type { WriteFate } from '../../src/lock/strict/lease-session.ts';
import type { MemcachedServer } from '../../src/memcached/server.ts';
import type { DeliveryEnd } from './deliveries.ts';

export const KEY = 'k';
export const QUEUE = 'bull:explored';
export const LEASE_MS = 10_000;
export const DATA_SET = 'explored';
export const UPDATE = 'append';

/** `queue`: updates; `strict`: strict updates; `lease`: withLease; `joint`: transactions over several keys. */
export type Path = 'queue' | 'strict' | 'lease' | 'joint';

/** Of path `joint`; the others have the first one only. */
export const KEYS = [KEY, 'l', 'm'] as const;

/** Among them; -1: it is none. */
export function placeOf(key: string): number {
  return (KEYS as readonly string[]).indexOf(key);
}

/**
 * Of path `joint`: where the key that the first two transactions share stands in the second. `first`: in whose lane it
 * waits behind the other. `last`: it waits at a key of its own, and must have the other's lane pulled.
 */
export type Shared = 'first' | 'last';

/**
 * Of path `joint`: which pauses last longer than the answers to what their worker has sent: those between two looks at the cells
 * of its job, which are 10 ms and more, or all.
 */
export type Pauses = 'looks' | 'all';

/**
 * Of path `joint`: once no fault is left, every job is decided and every cell shows it, workers only release locks, and tell
 * each other that nothing is behind. In all orders, or in one.
 */
export type Endings = 'all' | 'one';

/** The keys of a transaction. @param earlier jobs that were applied before, to all keys */
export function keysOfJob(jobId: string, earlier: number, is: Shared): readonly string[] {
  const [first, shared, third] = KEYS;
  const at = Number(jobId) - earlier;
  if (at < 1) return KEYS;
  if (at % 2 === 1) return [first, shared];
  return is === 'first' ? [shared, third] : [third, shared];
}

/** Of a job, for its update. */
export function dataOf(jobId: string, keys: readonly string[]): JobData {
  return { job: Number(jobId), keys };
}

export interface JobData {
  readonly job: number;
  readonly keys: readonly string[];
}

/** `binary`: each request is one step; `meta`: some are two. */
export type WireProtocol = 'binary' | 'meta';

/** Where a lock says whose it is: in its value, or in a CAS that its writer has chosen (`meta` only). */
export type LockForm = 'value' | 'cas';

/** Of a worker's own job: it asks for it, waits at the gate, waits for its cells to be written, and has told BullMQ. */
export type JobPhase = 'is delivered' | 'waits' | 'settles' | 'is over';

/** What a worker is made for. */
export interface WorkerPlan {
  readonly path: Path;
  readonly protocol: WireProtocol;
  readonly locks: LockForm;
  readonly name: string;
  /** The job that BullMQ has delivered to it. */
  readonly jobId: string;
  /** `joint`: of its job; else its lane's key. */
  readonly keys: readonly string[];
  readonly batchJobsMax: number;
  /** `lease`: how often its user wants something written. */
  readonly commits: number;
  /** How often it calls withLease for that at most: a little more, since it tries again after an error. */
  readonly callsMax: number;
  /** How many owner ids its name has drawn before. */
  readonly idsDrawn: number;
  /** Which of them it gave up without knowing whether they stand in the lock; of one that goes on, those that it draws again. */
  readonly abandoned: readonly number[];
  /** `joint`: it goes on with rounds of its combiners that are told to begin (live-rounds.ts). */
  readonly goesOn?: Exclude<JobPhase, 'is delivered'>;
  /** If it settles: its job's outcome, as Redis has it; else empty. */
  readonly outcome: string;
  /** And if it is about to look at the commit's cells: of these keys, */
  readonly looksAt?: readonly string[] | undefined;
  /** of which these were seen to before. */
  readonly seenTo?: readonly string[];
  /** Of one that goes on: keys whose combiners bring cells up; */
  readonly owed?: readonly string[];
  /** and those of them for its job, since it was told of the outcome that it settles. */
  readonly owedToJob?: readonly string[];
  /** How often its user has called withLease before. */
  readonly callsMade: number;
}

/** Worlds with a guard taken away change what the worker talks to. */
export interface WorkerDamage {
  readonly server?: (server: MemcachedServer) => MemcachedServer;
  readonly lanes?: (lanes: Lanes) => Lanes;
  readonly tokens?: (tokens: TokenSource) => TokenSource;
}

/** What a worker did that the checks want to know. */
export type WorkerEvent =
  /** A strict update, or a function under a lease, has begun. */
  | { readonly kind: 'began'; readonly token: number }
  /** What BullMQ was told of its job. */
  | {
      readonly kind: 'ended';
      readonly jobId: string;
      readonly end: DeliveryEnd;
      readonly text: string;
    }
  /** What a caller of withLease was told of its write. */
  | {
      readonly kind: 'told';
      readonly token: number;
      readonly entry: string;
      readonly fate: WriteFate | 'nothing';
    }
  | { readonly kind: 'threw'; readonly what: string };
