/** What all combiners of one worker share. */
import type { Clock } from '../../base/clock.ts';
import type { Random } from '../../base/random.ts';
import type { Lanes } from '../../jobs/lanes.ts';
import type { UpdateRegistry } from '../../updates/update-registry.ts';
import type { LeaseLocks } from '../../lock/lock.ts';
import type { MemcachedServers } from '../../memcached/servers.ts';
import type { TorilWorkerOptions } from '../../options.ts';
import type { WorkerObserver } from '../../telemetry/observer.ts';
import type { EventReporter } from '../worker-events.ts';

export interface GateContext {
  /** The queue's qualified name ("bull:orders"), written into its cells. */
  readonly queue: string;
  readonly servers: MemcachedServers;
  readonly locks: LeaseLocks;
  readonly lanes: Lanes;
  readonly registry: UpdateRegistry;
  readonly clock: Clock;
  readonly random: Random;
  readonly options: TorilWorkerOptions;
  readonly report: EventReporter;
  /** Undefined: nobody measures. */
  readonly observer?: WorkerObserver | undefined;
  /** The worker has a rate limit: jobs that were not delivered must not be applied. */
  readonly rateLimited: boolean;
  /** The worker is paused: nothing is begun for which no delivered job waits. */
  readonly resting: () => boolean;
  /** Jobs that BullMQ delivers to this worker at a time. */
  readonly slots: () => number;
  /**
   * Keeps BullMQ from delivering the jobs of a lane that is slow or stands still: they wait until
   * their turn (rank × `perRankMs`), at least so many milliseconds. Resolves when slots that are given
   * back would no longer go to the same jobs; never rejects.
   */
  readonly snoozeAhead: (key: string, perRankMs: number, atLeastMs: number) => Promise<void>;
  /** Has BullMQ deliver a job before all others, since its lane waits for it; not before its backoff is over. */
  readonly deliverNext: (jobId: string, key: string) => void;
  /**
   * Calls an update in the context of its job's telemetry, if the job was not delivered here. Undefined: there is no
   * telemetry, so nobody asks for what it left with the jobs.
   */
  readonly inTrace?: <T>(trace: string, call: () => T) => T;
  /** Adds a row to a job's log, sooner or later; what cannot be added is an event. */
  readonly log?: (key: string, jobId: string, row: string) => void;
}
