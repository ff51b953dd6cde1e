/** What is known of lanes without asking memcached. The contract; redis-lane-views.ts is the engine that queues use. */
import type { LaneEntry } from '../lane.ts';
import type { LaneCounts, LaneFirst } from './lane-report.ts';

export interface LaneViews {
  counts(): Promise<LaneCounts>;
  /** A page of the index. It costs what its lanes cost, however many others there are. */
  page(request: PageRequest): Promise<LaneFactsPage>;
  one(key: string): Promise<LaneFacts>;
}

export interface PageRequest {
  readonly state: 'all' | 'held' | 'runnable';
  readonly order: 'oldest' | 'newest';
  /** Only lanes that come behind this one in this order; undefined: from the beginning. */
  readonly after: LanePlace | undefined;
  readonly limit: number;
  /** Keys contain it; empty: all do. */
  readonly search: string;
}

export interface LaneFactsPage {
  readonly lanes: readonly LaneFacts[];
  /** The last lane that was looked at; undefined: there are no more. */
  readonly last: LanePlace | undefined;
}

/** By the first sequence, and where that is the same (a job of several keys), by the key's bytes. */
export interface LanePlace {
  readonly sequence: number;
  readonly key: string;
}

export interface LaneFacts {
  readonly key: string;
  readonly length: number;
  /** Undefined: the lane is empty. */
  readonly head: HeadFacts | undefined;
  readonly token: number;
  readonly paceMs: number;
  /** The batch that somebody has in hand, or had when its process died. */
  readonly inHand: BatchInHand | undefined;
  readonly queue: QueueFacts;
}

interface BatchInHand {
  readonly sinceMs: number;
  readonly lastSequence: number;
  /** The worker's id; empty: not known. */
  readonly worker: string;
}

/** A worker that has been heard of in the last hour, and not said that it ends. */
export interface KnownWorker {
  readonly id: string;
  /** Names of the updates that it knows. */
  readonly updates: readonly string[];
  readonly leaseMs: number;
  /** Milliseconds since it was last heard of. */
  readonly silentMs: number;
}

/** Milliseconds of silence after which a worker is taken for frozen or dead: two signs of life that did not come, and a bit. */
const SILENT_MS = 5_000;

export function isSilent({ silentMs }: Pick<KnownWorker, 'silentMs'>): boolean {
  return silentMs >= SILENT_MS;
}

/** Milliseconds since a sequence or a token was drawn: from the time in microseconds, or a little ahead of it. */
export function ageMs(drawn: number, nowMs: number): number {
  return Math.max(0, Math.floor(nowMs) - Math.floor(drawn / 1_000));
}

/** Where BullMQ has a lane's first job. */
export type HeadPlace =
  /** It has no such job. */
  | 'gone'
  | 'failed'
  /** Its outcome is known: it is just leaving its lane. */
  | 'completed'
  /** Completed, and not by Toril. */
  | 'unapplied'
  | 'delayed'
  | 'backoff'
  | 'snoozed'
  | 'waiting'
  | 'children'
  | 'active'
  /** Active, and nobody has its lock. */
  | 'stalled';

export interface HeadFacts {
  readonly jobId: string;
  readonly sequence: number;
  readonly ageMs: number;
  readonly place: HeadPlace;
  /** The update's name; empty: the job is gone. */
  readonly name: string;
  readonly attemptsMade: number;
  readonly failedReason: string;
  /** As LaneEntry has it. */
  readonly directive: LaneEntry['directive'];
  /** Until it is due, if it is held back. */
  readonly dueInMs: number;
  /** Since it was finished. */
  readonly finishedMs: number;
  /** Jobs that are delivered before it; undefined: not known. */
  readonly ahead: number | undefined;
  /** If it has several keys. */
  readonly joint?: JointFacts | undefined;
}

/** What the other lanes of a job of several keys say of it. */
export interface JointFacts {
  /** All its keys, in its user's order. */
  readonly keys: readonly string[];
  /** Lanes in which it is not the first one. */
  readonly waitsFor: readonly OtherLane[];
  /** Keys in whose lanes it is not, though it has entered them. */
  readonly missingIn: readonly string[];
  /** Milliseconds until it has waited too long; undefined: it may wait for ever, or nobody has met it yet. */
  readonly failsInMs: number | undefined;
}

export interface OtherLane {
  readonly key: string;
  /** Jobs before it there. */
  readonly before: number;
  readonly first: LaneFirst;
}

export interface QueueFacts {
  readonly paused: boolean;
  readonly active: number;
  /** Active jobs that are allowed; 0: any number. */
  readonly concurrency: number;
  /** Until the rate limit allows another job; 0: it does. */
  readonly limitedForMs: number;
  /** Why Redis takes no writes: it is full, a replica, or has no disk or replicas; empty: it does. */
  readonly refusal: string;
  /** Undefined: not known. */
  readonly workers: readonly KnownWorker[] | undefined;
}
