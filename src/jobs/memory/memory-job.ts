/** One job as BullMQ's hash has it, in memory, with the fields that Toril adds. */
import type { LaneEntry } from '../lane.ts';

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
  /** The last time it was begun alone, and the tokens of those times of which a process died. */
  alone: StartsAlone;
  /** Attempts made when it was last snoozed. */
  snoozedAtAttempt: number | undefined;
  directive: LaneEntry['directive'];
  /** The lane that it has entered, and its sequence there. */
  entered: { readonly key: string; readonly sequence: number } | undefined;
  /** It entered when it was taken. */
  isLate: boolean;
  /** All its keys, if it has several; `entered` names the first. */
  keys: readonly string[] | undefined;
  /** Of one that may not wait for ever: since when it waits at the head of a lane (ms since 1970), with which sequence. */
  waits?: { readonly sequence: number; readonly sinceMs: number; readonly failAfterMs: number };
}

export interface NewMemoryJob {
  readonly name: string;
  readonly data: string;
  /** Default: the next number. */
  readonly id?: string;
  /** The key whose lane it enters, or all its keys, in the same step; undefined: it enters when it is delivered. */
  readonly lane?: string | readonly string[];
  /** Milliseconds since 1970; it is delayed until then. */
  readonly dueMs?: number;
}

interface StartsAlone {
  readonly stalls: number;
  readonly attemptsMade: number;
  /** 0: none. */
  readonly token: number;
  /** Its process has lived through it, or it is among the deaths. */
  readonly isOver: boolean;
  readonly deaths: readonly number[];
}

export const NEVER_ALONE: StartsAlone = {
  stalls: 0,
  attemptsMade: 0,
  token: 0,
  isOver: false,
  deaths: [],
};

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
    snoozedAtAttempt: undefined,
    directive: '',
    entered: undefined,
    isLate: false,
    keys: undefined,
  };
}

export function isFinished({ finishedOn }: MemoryJob): boolean {
  return finishedOn !== undefined;
}

/** Its lane is this key's, or it has entered none. */
export function isOf(key: string, { entered, keys }: MemoryJob): boolean {
  return (entered?.key ?? key) === key || keys?.includes(key) === true;
}

export function entryOf(job: MemoryJob, sequence: number): LaneEntry {
  const { id, name, data, attemptsMade, stalls, failedReason, directive, outcome, isLate, keys } =
    job;
  const completed = outcome ? 'completed' : 'unapplied';
  const finished = isFinished(job) ? (job.state === 'failed' ? 'failed' : completed) : 'no';
  return {
    jobId: id,
    sequence,
    ...(isLate && { late: true }),
    name,
    data,
    attemptsMade,
    stalls,
    finished,
    failedReason: ((finished !== 'no' || directive === 'held') && failedReason) || '',
    directive,
    ...(keys && { keys }),
  };
}

/** START_ALONE of scripts/start-alone.ts. */
export function startAlone(
  job: MemoryJob,
  token: number,
  survived: readonly number[],
  deathsMax: number,
): number {
  noteSurvived(job, survived);
  const { stalls, attemptsMade, alone: last } = job;
  const isNew = token > last.token;
  const isOver = last.token === 0 || last.isOver || last.attemptsMade !== attemptsMade;
  const died = isNew && !isOver && last.stalls !== stalls;
  const deaths = died ? [...last.deaths, last.token] : last.deaths;
  const isLate = !isNew && (token < last.token || last.isOver);
  if (!isLate && deaths.length < deathsMax)
    job.alone = { stalls, attemptsMade, token, isOver: false, deaths };
  else if (died) job.alone = { ...last, isOver: true, deaths };
  return deaths.length + 1;
}

/** A process has lived through these starts. */
export function noteSurvived(job: MemoryJob, tokens: readonly number[]): void {
  if (tokens.length === 0) return;
  const { alone } = job;
  const token = Math.max(alone.token, ...tokens);
  const isOver = alone.isOver || tokens.includes(token);
  const deaths = alone.deaths.filter((death) => !tokens.includes(death));
  job.alone = { ...alone, token, isOver, deaths };
}
