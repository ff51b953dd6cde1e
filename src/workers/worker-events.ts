/** What a worker reports besides the outcome of jobs. Every event is also counted. */
import type { TorilError } from '../errors.ts';
import type { FastPathOff } from '../jobs/bullmq/fast-path/peculiarities.ts';
import type { RedisRefusal } from '../jobs/bullmq/backend/repeating.ts';

/** Of a key and its jobs. */
export interface KeyEvents {
  /** A holder that died or froze was succeeded. */
  leaseTakenOver: { readonly key: string };
  /** A lease ended before its work was committed; the work is done again. */
  leaseLost: { readonly key: string };
  /** Memcached refused a commit because the cell had changed; its jobs are folded again. */
  commitRefused: { readonly key: string; readonly token: number };
  /** Redis refused an acknowledgement because the key had gone another way; its jobs are folded again. */
  acknowledgementRefused: { readonly key: string; readonly token: number };
  /** A commit whose acknowledgement was missing was acknowledged by its successor. */
  commitRecovered: { readonly key: string; readonly token: number };
  /**
   * Jobs of a commit were not found when it was acknowledged: a plain BullMQ client has removed them, or Redis has gone back
   * to before they were added (a replica was promoted). They are in the value; added again, they would be applied again.
   */
  jobsForgotten: {
    readonly key: string;
    readonly token: number;
    readonly code: 'REDIS_WENT_BACK';
  };
  /** Redis was emptied, or another one answers now: keys that have a cell stop with REDIS_WENT_BACK, others start over. */
  redisReplaced: { readonly key: string; readonly from: string; readonly to: string };
  /** A cell that memcached had lost, or brought back from the past, was restored from the copy. */
  cellRestored: { readonly key: string; readonly found: 'missing' | 'stale' };
  /** A cell was lost, and there is no copy: it started over from `initial`. */
  cellLost: { readonly key: string };
  /** A foreign value became the first value of a key. */
  cellAdopted: { readonly key: string };
  /** A lane stands still until somebody acts. Told once by each worker that meets it, however often it looks. */
  laneHeld: {
    readonly key: string;
    readonly jobId: string | undefined;
    readonly reason: string;
    readonly code: string;
  };
  /** A job's update is not registered here; it waits for a worker that has it. */
  updateUnknown: {
    readonly key: string | undefined;
    readonly jobId: string;
    readonly name: string;
  };
  /**
   * Jobs that BullMQ no longer has, though nobody removed them by Toril's Queue: a plain client did, or their hashes
   * were evicted or deleted by hand. What was left of them is dropped. `key`: whose lane they were in, if that is known.
   */
  jobsMissing: { readonly key: string | undefined; readonly jobIds: readonly string[] };
  /** Jobs that somebody else completed, a plain BullMQ worker: their updates are in no value. An `error`, too. */
  jobsNotApplied: { readonly key: string | undefined; readonly jobIds: readonly string[] };
  /**
   * An update's `key` names another key than the one under which the job has entered its lane: by another version,
   * or since its data were changed. It is applied once, to `key`.
   */
  keyChanged: {
    readonly key: string;
    readonly jobId: string;
    readonly name: string;
    readonly otherKey: string;
    readonly code: 'KEY_CHANGED';
  };
  /** With `verifyUpdates`: an update changes its job's data, which is hardly meant. Told once per update. */
  updateChangesData: { readonly key: string; readonly jobId: string; readonly name: string };
  /** A job gave its slot back to wait for its turn. */
  jobSnoozed: { readonly key: string; readonly jobId: string; readonly delayMs: number };
  /** A key could not be worked on; its jobs wait without being charged. */
  unavailable: { readonly key: string; readonly cause: TorilError };
  /** A row that an update logged could not be added to its job's log: the job is gone, or Redis is. */
  logLost: { readonly key: string; readonly jobId: string; readonly cause: TorilError };
  /** A fault of Toril itself, told once per key and kind; the worker also emits its cause as an `error`. */
  internalFault: { readonly key: string; readonly cause: TorilError };
  /** Redis refused to be told what became of a job; it is told again until it takes it. Once per job and step. */
  redisRefused: RedisRefusal & { readonly key: undefined };
  /**
   * A batch became its key's state. `jobs`: how many it applied; 0 if it only decided otherwise (failed, moved, dropped).
   * `keys`: of transactions, the state of all of them.
   */
  committed: {
    readonly key: string;
    readonly token: number;
    readonly jobs: number;
    readonly keys?: readonly string[];
  };
  /**
   * The cells of a commit of several keys, which were not known to be written, are: its driver has died, or could not
   * write one of them.
   */
  cellsSettled: { readonly key: string; readonly keys: readonly string[]; readonly token: number };
  /** The first job of a lane is a transaction, and other jobs are before it at `forKey`: the lane waits for that one. */
  laneWaits: { readonly key: string; readonly jobId: string; readonly forKey: string };
}

/** All of them. */
export interface WorkerEvents extends KeyEvents {
  /**
   * This worker's jobs are completed and fetched one by one, by BullMQ's own scripts: for speed, nothing else, see
   * docs/bullmq.md. Told once.
   */
  fastPathOff: FastPathOff;
  /**
   * A server cannot be used: it is waited for, and only what needs it stands. Told once, and again only
   * with another reason. `server`: `host:port` of a memcached, or `redis`.
   */
  serverUnavailable: { readonly server: string; readonly cause: TorilError };
  /** It can be used again, or for the first time after `serverUnavailable`. */
  serverAvailable: { readonly server: string };
  /** Closing could not give these jobs back: Redis did not answer. They are delivered again as after a crash. */
  jobsNotGivenBack: { readonly jobIds: readonly string[] };
}

export type WorkerEventName = keyof WorkerEvents;

/** Takes every event; the worker passes them on to its listeners. */
export type EventReporter = <Name extends WorkerEventName>(
  name: Name,
  event: WorkerEvents[Name],
) => void;
