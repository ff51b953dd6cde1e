/** What may be said of a job when it is enqueued: BullMQ's options, as far as a test bed plays them. */
import { TorilError } from '../errors.ts';

/** A number means `fixed`. */
export type Backoff =
  | number
  | {
      readonly type: 'fixed' | 'exponential';
      /** Milliseconds. */
      readonly delay: number;
    };

export interface BedJobOptions {
  /** Times the job is tried; default 1. */
  readonly attempts?: number;
  /** Milliseconds between two attempts; `exponential` doubles them each time. Default: none. */
  readonly backoff?: Backoff;
  /** Milliseconds until the job is delivered first; it enters its lane then. */
  readonly delay?: number;
  /** An id of your own: if there is such a job already, nothing is added. */
  readonly jobId?: string;
  /** Jobs with a lower number are delivered first, and those without before all. It changes nothing about a lane's order. */
  readonly priority?: number;
}

const NAMES: ReadonlySet<string> = new Set(['attempts', 'backoff', 'delay', 'jobId', 'priority']);
/** BullMQ's own limit. */
const PRIORITY_MAX = 2_097_152;

/** @throws TorilError INVALID_OPTIONS, where BullMQ refuses too, or where the bed cannot play along */
export function checkJobOptions(options: BedJobOptions): void {
  const unknown = Object.keys(options).find((name) => !NAMES.has(name));
  if (unknown !== undefined) {
    refuse(`the test bed does not know the job option "${unknown}"`, [...NAMES].join(', '));
  }
  const { attempts, backoff, delay, jobId, priority } = options;
  if (attempts !== undefined && !isWhole(attempts, 1)) refuse('attempts', 'a whole number from 1');
  if (delay !== undefined && !(delay >= 0)) refuse('delay', 'milliseconds, from 0');
  if (priority !== undefined && !isWhole(priority, 0, PRIORITY_MAX)) {
    refuse('priority', `a whole number up to ${PRIORITY_MAX}`);
  }
  if (jobId !== undefined) checkJobId(jobId);
  if (backoff === undefined || typeof backoff === 'number') return;
  if (!['fixed', 'exponential'].includes(backoff.type)) {
    refuse('backoff.type', '"fixed" or "exponential": a bed has no custom strategies');
  }
}

/** Milliseconds before the next attempt, as BullMQ reckons them. `attemptsMade`: the failed one included. */
export function backoffMs(backoff: Backoff | undefined, attemptsMade: number): number {
  if (backoff === undefined) return 0;
  if (typeof backoff === 'number') return backoff;
  const { type, delay } = backoff;
  return type === 'fixed' ? delay : Math.round(2 ** (attemptsMade - 1) * delay);
}

function checkJobId(jobId: unknown): void {
  if (typeof jobId !== 'string' || jobId === '') refuse('jobId', 'a non-empty string');
  else if (`${Number.parseInt(jobId, 10)}` === jobId) {
    refuse('jobId', 'no whole number: BullMQ gives those itself');
  } else if (jobId.includes(':')) refuse('jobId', 'a string without ":", as BullMQ demands');
}

function isWhole(value: number, min: number, max: number = Number.MAX_SAFE_INTEGER): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}

function refuse(what: string, wanted: string): never {
  throw new TorilError('INVALID_OPTIONS', `${what}: expected ${wanted}.`);
}
