/**
 * What is told of lanes: of all of them in numbers (`LaneCounts`), of many in a line each (`LanePage`), of one in full
 * (`LaneReport`). Why a lane does not move is its `state`; `why()` (why.ts) makes a sentence of it.
 */
import type { LaneJob } from '../lane.ts';

/** Of all lanes of a queue, in one moment. It costs Redis a few commands, however many keys there are. */
export interface LaneCounts {
  /** Keys that have jobs in their lane. */
  readonly keys: number;
  /** Of these: those that a job holds which has failed for good. */
  readonly held: number;
  /** Of these: all others. A worker can do something for them, now or after a backoff: scale by it, and by the age below. */
  readonly runnable: number;
  /** Jobs that wait for a worker, the snoozed ones included; those of producers without Toril too, which are in no lane yet. */
  readonly waiting: number;
  /** Jobs that workers have. */
  readonly active: number;
  /** Jobs that wait for a time: their user's, or the end of a backoff. */
  readonly delayed: number;
  /** The lane whose first job has waited longest. Undefined: all are empty. */
  readonly oldest: LaneHead | undefined;
  /** The same, of lanes that are not held. */
  readonly oldestRunnable: LaneHead | undefined;
  /** Nobody gets a job. */
  readonly paused: boolean;
}

/** A lane's first job. */
export interface LaneHead extends LaneJob {
  readonly key: string;
  /** Milliseconds since it entered the lane. */
  readonly ageMs: number;
}

/** The first job of a lane. */
export interface LaneFirst {
  readonly jobId: string;
  /** The update's name; empty: the job is gone. */
  readonly name: string;
  /** Milliseconds since it entered. */
  readonly ageMs: number;
}

/** Which lanes, and how many. */
export interface LanesRequest {
  /** `runnable`: all but the held ones. Default: `all`. */
  readonly state?: 'all' | 'held' | 'runnable';
  /** By how long the first job has waited. Default: `oldest` first. */
  readonly order?: 'oldest' | 'newest';
  /** Of the page before; undefined: the first page. */
  readonly cursor?: string | undefined;
  /** Lanes at most: 1 to 500, default 100. */
  readonly limit?: number;
  /** Only keys that contain this text. A page may then be short, or empty, and go on all the same. */
  readonly search?: string;
}

export interface LanePage {
  readonly lanes: readonly LaneSummary[];
  /** For the next page; undefined: there are no more. It stays valid whatever happens to the lanes. */
  readonly cursor: string | undefined;
}

/** A lane in one line. What memcached knows is not asked. */
export interface LaneSummary extends LaneHead {
  /** Jobs in the lane, those being applied included. */
  readonly length: number;
  /** The update that the first job asks for; undefined: the job is gone. */
  readonly name: string | undefined;
  readonly attemptsMade: number;
  readonly token: number;
  /** Milliseconds that a job of this key takes at present; 0: not known. */
  readonly paceMs: number;
  readonly state: LaneState;
}

/** What became of a key's commits. */
export interface LanePast {
  /** The newest five at most, the newest first: as the history has them, or only the last one, as the copy names it. */
  readonly lastCommits: readonly LaneCommit[];
  readonly refusedCommits: RefusedCommits;
}

export interface LaneCommit {
  readonly token: number;
  /** Milliseconds since 1970, by Redis's clock: when it was acknowledged or, if only the copy is known, its jobs were taken. */
  readonly atMs: number;
  /** Jobs that it decided; undefined: only the history would know. */
  readonly jobs: number | undefined;
  /** Other keys that these jobs have changed with it, as far as the history tells. */
  readonly otherKeys?: readonly string[];
  /** Acknowledged by its author's successor. */
  readonly recovered: boolean;
}

/** Their jobs were folded again. Counted until none has been refused for a week. */
export interface RefusedCommits {
  readonly count: number;
  readonly last: RefusedCommit | undefined;
}

export interface RefusedCommit {
  readonly token: number;
  /** Milliseconds since 1970, by Redis's clock. */
  readonly atMs: number;
  /** `memcached`: the cell had changed since it was read. `redis`: the key had gone another way. */
  readonly by: 'memcached' | 'redis';
}

export interface LaneJobReport extends LaneJob {
  /** The update's name; empty: the job is gone. */
  readonly name: string;
  /** BullMQ's state of it, or `gone`. */
  readonly state: string;
  readonly attemptsMade: number;
  readonly failedReason: string | undefined;
}

export interface LaneReport extends LanePast {
  readonly key: string;
  /** Jobs that wait, including the one being applied. */
  readonly length: number;
  /** The first of them. */
  readonly jobs: readonly LaneJobReport[];
  /** The job that holds the lane, because its attempts are used up. */
  readonly heldBy: string | undefined;
  /** The fencing token of the last acknowledged commit; 0: none. */
  readonly token: number;
  readonly watermark: number;
  /** The durable copy's value; undefined: none is kept, or it is deleted. */
  readonly copy: unknown;
  /** Milliseconds that a job of this key takes at present; 0: not known. */
  readonly paceMs: number;
  /** Milliseconds since the first job entered the lane; 0: the lane is empty. */
  readonly headAgeMs: number;
  /** Milliseconds until a job that is added now is applied, if the pace stays; 0: not known, or the lane is empty. */
  readonly expectedWaitMs: number;
  /** Why the lane does not move, or that it does. */
  readonly state: LaneState;
}

/**
 * What a lane is doing, or waits for. All durations are milliseconds from now, into the past or the future.
 *
 * A report of `queue.lane(key)` knows what Redis knows; who holds the lease, and whether the cell can be used, is known
 * where memcached is asked as well.
 */
export type LaneState =
  // It moves
  | { readonly kind: 'empty' }
  /** A worker has its first jobs in hand. */
  | {
      readonly kind: 'working';
      readonly worker: string | undefined;
      readonly sinceMs: number | undefined;
    }
  /** A worker has been given a job of it. */
  | { readonly kind: 'delivered'; readonly jobId: string }
  /** BullMQ will deliver its first job. `ahead`: after so many others; undefined: not known. */
  | { readonly kind: 'queued'; readonly jobId: string; readonly ahead: number | undefined }
  // It waits for a time
  /** Its first job has failed, and will be tried again. */
  | {
      readonly kind: 'backoff';
      readonly jobId: string;
      readonly dueInMs: number;
      readonly attemptsMade: number;
      readonly reason: string;
    }
  /** Its first job was delayed by its user, after it had entered the lane. */
  | { readonly kind: 'delayed'; readonly jobId: string; readonly dueInMs: number }
  /** Its first job has given its worker slot back until then. */
  | { readonly kind: 'snoozed'; readonly jobId: string; readonly dueInMs: number }
  /** Somebody has the lease, and shows no sign of life. */
  | {
      readonly kind: 'lease';
      readonly worker: string | undefined;
      readonly leaseMs: number;
      /** For how long the lock has not changed, as far as was looked. */
      readonly silentMs: number;
      /** When another worker takes it over; 0: now. */
      readonly takeoverInMs: number;
    }
  | { readonly kind: 'rate-limited'; readonly forMs: number }
  // It waits for somebody else
  | { readonly kind: 'paused' }
  | { readonly kind: 'concurrency-limited'; readonly active: number; readonly limit: number }
  | { readonly kind: 'no-workers' }
  /** No living worker knows the update of its first job. */
  | {
      readonly kind: 'unknown-update';
      readonly jobId: string;
      readonly name: string;
      readonly workers: number;
    }
  /** Its first job changes several keys, and other jobs are before it at one of them. */
  | {
      readonly kind: 'other-lane';
      readonly jobId: string;
      readonly name: string;
      /** All its keys. */
      readonly keys: readonly string[];
      /** The key that it waits for, */
      readonly forKey: string;
      /** where so many jobs are before it, */
      readonly before: number;
      /** of which this one is the first. */
      readonly first: LaneFirst;
      /** Until it has waited too long (`onBlocked`). Undefined: it may wait for ever, or nobody has met it yet. */
      readonly failsInMs: number | undefined;
      /** What all of them wait for in the end. Undefined: it was not looked at, or is over. */
      readonly cause: { readonly key: string; readonly state: LaneState } | undefined;
    }
  /** Its first job changes several keys, and is missing in the lane of one of them: somebody has changed that by hand. */
  | {
      readonly kind: 'lanes-apart';
      readonly jobId: string;
      readonly keys: readonly string[];
      readonly missingIn: string;
    }
  /** Its first job waits for the jobs that it has as children. */
  | { readonly kind: 'children'; readonly jobId: string }
  /** Its first job has failed for good. */
  | {
      readonly kind: 'held';
      readonly jobId: string;
      /** Since it failed; undefined: BullMQ is being told. */
      readonly forMs: number | undefined;
      readonly reason: string;
    }
  /** An operator has decided about its first job; the worker that gets the job carries it out. */
  | { readonly kind: 'commanded'; readonly jobId: string; readonly command: 'skip' | 'drop' }
  /** BullMQ no longer has its first job: it was removed or evicted. */
  | { readonly kind: 'job-gone'; readonly jobId: string }
  /** Somebody who is no worker of Toril's has completed its first job. */
  | { readonly kind: 'not-applied'; readonly jobId: string }
  /** The worker that had its first job has died or frozen. */
  | { readonly kind: 'stalled'; readonly jobId: string }
  // Memcached and Redis
  /** `key`: another one, of the first job. */
  | {
      readonly kind: 'memcached';
      readonly server: string;
      readonly code: string;
      readonly reason: string;
      readonly key?: string;
    }
  /** The cell cannot be used before somebody decides. `key`: of another key of the first job. */
  | {
      readonly kind: 'cell';
      readonly code: string;
      readonly reason: string;
      readonly key?: string;
    }
  /** Whoever asks uses other memcached servers than the queue's workers: what it sees there says nothing. */
  | { readonly kind: 'other-servers'; readonly registered: string; readonly given: string }
  | { readonly kind: 'redis'; readonly code: string; readonly reason: string };
