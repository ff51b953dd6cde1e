/** What Toril reaches for inside BullMQ's worker, to which there is no public way. Missing ones cost what is said here. */
import type { LockManager } from 'bullmq';

/** BullMQ's queue of slots, a new one whenever its main loop starts to count again. */
export interface MainLoopQueue {
  /** Slots that are not free. */
  numTotal(): number;
}

interface WorkerInternals {
  /** Null while the main loop does not run. Without it, slots are filled one by one. */
  readonly mainLoopQueue?: MainLoopQueue | null;
  /** By the wall clock: until when BullMQ fetches nothing. Without it, waiting jobs are applied although a limit was met. */
  readonly limitUntil?: number;
  /** It stops looking for stalled jobs. Without it, a worker that was closed by force may look once more. */
  readonly stalledCheckStopper?: () => void;
  /** Renews the locks of the jobs in hand. */
  readonly lockManager: LockManager;
}

/** The names are read as they are: a worker of an unknown BullMQ may have none of them. */
export function inside(worker: object): WorkerInternals {
  return worker as WorkerInternals;
}
