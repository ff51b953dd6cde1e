/** One job as BullMQ's hash has it, in memory, with the fields that Toril adds. */
import type { LaneEntry } from '../lanes.ts';

export type MemoryJobState = 'waiting' | 'active' | 'delayed' | 'completed' | 'failed';

/** BullMQ's job hash and state, as far as lanes look at them, and the fields that Toril adds. */
export interface MemoryJob {
  readonly id: string;
  /** The update's name. */
  readonly name: string;
  /** JSON. */
  readonly data: string;
  state: MemoryJobState;
  /** While delayed: milliseconds since 1970. */
  dueMs: number;
  attemptsMade: number;
  stalls: number;
  /** Milliseconds since 1970. */
  finishedOn: number | undefined;
  /** Stays after a failed attempt, as in BullMQ. */
  failedReason: string | undefined;
  /** How the job left its lane (outcome.ts); empty: it has not, or it was taken back. */
  outcome: string;
  /** Deaths of starts alone, and what stalls and attempts were at the last one. */
  alone: { readonly deaths: number; readonly stalls: number; readonly attemptsMade: number };
  /** Its process gave it back since. */
  isGivenBack: boolean;
  /** Attempts made when it was last snoozed. */
  snoozedAtAttempt: number | undefined;
  directive: LaneEntry['directive'];
  /** The lane that it has entered, and its sequence there. */
  entered: { readonly key: string; readonly sequence: number } | undefined;
  /** It entered when it was taken. */
  isLate: boolean;
}

export interface NewMemoryJob {
  readonly name: string;
  readonly data: string;
  /** Default: the next number. */
  readonly id?: string;
  /** The key whose lane it enters in the same step; undefined: it enters when it is delivered. */
  readonly lane?: string;
  /** Milliseconds since 1970; it is delayed until then. */
  readonly dueMs?: number;
}

export const NEVER_ALONE: MemoryJob['alone'] = { deaths: 0, stalls: 0, attemptsMade: 0 };

export function newJob(id: string, { name, data, dueMs }: NewMemoryJob): MemoryJob {
  return {
    id,
    name,
    data,
    state: dueMs === undefined ? 'waiting' : 'delayed',
    dueMs: dueMs ?? 0,
    attemptsMade: 0,
    stalls: 0,
    finishedOn: undefined,
    failedReason: undefined,
    outcome: '',
    alone: NEVER_ALONE,
    isGivenBack: false,
    snoozedAtAttempt: undefined,
    directive: '',
    entered: undefined,
    isLate: false,
  };
}

export function isFinished({ finishedOn }: MemoryJob): boolean {
  return finishedOn !== undefined;
}

export function entryOf(job: MemoryJob, sequence: number): LaneEntry {
  const { id, name, data, attemptsMade, stalls, failedReason, directive, outcome, isLate } = job;
  const completed = outcome === '' ? 'unapplied' : 'completed';
  const how = job.state === 'failed' ? 'failed' : completed;
  return {
    jobId: id,
    sequence,
    ...(isLate && { late: true }),
    name,
    data,
    attemptsMade,
    stalls,
    finished: isFinished(job) ? how : 'no',
    failedReason: failedReason ?? '',
    directive,
  };
}

/** START_ALONE of scripts/locate.ts. */
export function startAlone(job: MemoryJob): number {
  const { alone, stalls, attemptsMade } = job;
  const died =
    alone !== NEVER_ALONE && alone.stalls !== stalls && alone.attemptsMade === attemptsMade;
  const deaths = alone.deaths + (died && !job.isGivenBack ? 1 : 0);
  job.isGivenBack = false;
  job.alone = { deaths, stalls, attemptsMade };
  return deaths + 1;
}
