/** What may be said of a job when it is enqueued: BullMQ's options, taken and refused as its queue does. */
import { TorilError } from '../../errors.ts';
import { checkJobId, explained } from '../../jobs/bullmq/adding/job-ids.ts';

/** A number means `fixed`. */
export type Backoff =
  | number
  | {
      /** `fixed`, `exponential`, or a name that the bed's `settings.backoffStrategy` knows. */
      readonly type: string;
      /** Milliseconds. */
      readonly delay?: number;
      /** From 0 to 1: the share of the delay that is left to chance. */
      readonly jitter?: number;
    };

/** Others of BullMQ's options mean nothing to values: they are taken, and do nothing. */
export interface BedJobOptions {
  /** Times the job is tried; default 1. */
  readonly attempts?: number;
  /** Milliseconds between two attempts; `exponential` doubles them each time. Default: none. */
  readonly backoff?: Backoff;
  /** Milliseconds until the job is delivered first, from `timestamp` on; it enters its lane then. */
  readonly delay?: number;
  /** An id of your own: if there is such a job already, nothing is added. */
  readonly jobId?: string;
  /** Jobs with a lower number are delivered first, and those without before all. It changes nothing about a lane's order. */
  readonly priority?: number;
  /** Delivered before the others that wait. It changes nothing about a lane's order. */
  readonly lifo?: boolean;
  /** Milliseconds since 1970 at which it was made; default: now. */
  readonly timestamp?: number;
  /** `true` (or a count of 0): the job is gone once it is completed, and its id may be used again. */
  readonly removeOnComplete?: boolean | number | { readonly count?: number; readonly age?: number };
  /** The same if it failed. */
  readonly removeOnFail?: boolean | number | { readonly count?: number; readonly age?: number };
  /** Nothing is added while a job with this id is under way (or for `ttl` ms). */
  readonly deduplication?: BedDeduplication;
  /** Bytes of its data, at most. */
  readonly sizeLimit?: number;
  readonly keepLogs?: number;
  readonly stackTraceLimit?: number;
  readonly failParentOnFailure?: boolean;
  readonly continueParentOnFailure?: boolean;
  readonly ignoreDependencyOnFailure?: boolean;
  readonly removeDependencyOnFailure?: boolean;
  readonly telemetry?: object;
  /** Refused: a bed has no flows. */
  readonly parent?: { readonly id: string; readonly queue: string };
}

/** As in BullMQ. */
export interface BedDeduplication {
  readonly id: string;
  readonly ttl?: number;
  readonly extend?: boolean;
  readonly replace?: boolean;
  readonly reschedule?: boolean;
  readonly keepLastIfActive?: boolean;
}

/** BullMQ's own limit. */
const PRIORITY_MAX = 2_097_151;
const EXCLUSIVE = [
  'removeDependencyOnFailure',
  'failParentOnFailure',
  'continueParentOnFailure',
  'ignoreDependencyOnFailure',
] as const;

/**
 * @param data the job's, as JSON
 * @throws TorilError INVALID_JOB_ID, PARENT_MISSING; Error, in BullMQ's words, for what BullMQ refuses
 */
export function checkJobOptions(name: string, data: string, options: BedJobOptions): void {
  const { jobId, sizeLimit, priority, deduplication, backoff, parent } = options;
  if (sizeLimit && Buffer.byteLength(data) > sizeLimit) {
    throw new Error(`The size of job ${name} exceeds the limit ${sizeLimit} bytes`);
  }
  const together = EXCLUSIVE.filter((option) => options[option] === true);
  if (together.length > 1) {
    throw new Error(`The following options cannot be used together: ${together.join(', ')}`);
  }
  if (jobId !== undefined && jobId !== '') checkId(jobId);
  if (priority && !Number.isInteger(priority)) throw new Error('Priority should not be float');
  if (priority && priority > PRIORITY_MAX) {
    throw new Error(`Priority should be between 0 and ${PRIORITY_MAX}`);
  }
  if (deduplication && !deduplication.id) throw new Error('Deduplication id must be provided');
  if (Object.hasOwn(options, 'debounce')) {
    throw new Error('Debounce option has been removed. Use deduplication option instead');
  }
  const jitter = typeof backoff === 'object' ? backoff.jitter : undefined;
  if (jitter !== undefined && !(jitter >= 0 && jitter <= 1)) {
    throw new Error('Jitter should be between 0 and 1');
  }
  if (parent === undefined) return;
  throw new TorilError(
    'PARENT_MISSING',
    `there is no job ${JSON.stringify(parent.id)} that could be the parent of this one: a test bed has no flows.`,
  );
}

function checkId(jobId: string): void {
  checkJobId(jobId);
  if (`${Number.parseInt(jobId, 10)}` === jobId) {
    throw explained(new Error('Custom Id cannot be integers'));
  }
  const parts = jobId.split(':').length;
  if (parts !== 1 && parts !== 3) throw explained(new Error('Custom Id cannot contain :'));
}

/** It is gone as soon as it is done. */
export function isRemoved(keep: BedJobOptions['removeOnComplete']): boolean {
  if (typeof keep === 'object') return keep.count === 0;
  return keep === true || keep === 0;
}

/** Of a worker's option `settings`. */
export type BackoffStrategy = (
  attemptsMade: number,
  type?: string,
  error?: Error,
) => number | Promise<number>;

/**
 * Milliseconds before the next attempt, as BullMQ reckons them; undefined: it is for the strategy to say.
 * @param attemptsMade the failed one included
 */
export function backoffMs(
  backoff: Backoff | undefined,
  attemptsMade: number,
  fraction: () => number,
): number | undefined {
  if (backoff === undefined) return 0;
  if (typeof backoff === 'number') return backoff;
  const { type, delay = 0, jitter = 0 } = backoff;
  if (type !== 'fixed' && type !== 'exponential') return undefined;
  const whole = type === 'fixed' ? delay : Math.round(2 ** (attemptsMade - 1) * delay);
  if (jitter === 0) return whole;
  return Math.floor(fraction() * whole * jitter + whole * (1 - jitter));
}
