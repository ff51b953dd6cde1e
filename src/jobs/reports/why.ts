/** Why a lane does not move, in one sentence, and what to do about it. Pure: the same for command line, page and JSON. */
import { durationText } from '../../base/duration-text.ts';
import type { LaneReport, LaneState } from './lane-report.ts';

/** What an operator may do with the job that holds a lane. */
export type JobAction = 'retry' | 'skip' | 'drop';
export const JOB_ACTIONS: readonly JobAction[] = ['retry', 'skip', 'drop'];
/** What an operator may do about a lane, or the queue (`resume`). */
export type LaneAction = JobAction | 'trust-cell' | 'trust-copy' | 'resume';

export function isJobAction(action: LaneAction): action is JobAction {
  return (JOB_ACTIONS as readonly string[]).includes(action);
}

export interface Why {
  readonly code: LaneState['kind'];
  /** Without a dot at its end: "paused". Holds no control characters, whatever an error's message held. */
  readonly sentence: string;
  /** What to do; empty: nothing, it goes on by itself. */
  readonly advice: string;
  readonly actions: readonly LaneAction[];
  /** Another key, at which it is to be done: there is nothing to do at this one. */
  readonly at?: string;
}

/** Characters of somebody else's message. */
const REASON_MAX = 300;
const NOTHING_TO_DO = { advice: '', actions: [] } as const;

export function why({ state }: Pick<LaneReport, 'state'>): Why {
  return { code: state.kind, ...explained(state) };
}

function explained(state: LaneState): Omit<Why, 'code'> {
  switch (state.kind) {
    case 'empty':
      return { sentence: 'nothing waits', ...NOTHING_TO_DO };
    case 'working':
      return { sentence: `${byWhom(state.worker)} works on it${since(state)}`, ...NOTHING_TO_DO };
    case 'delivered':
      return { sentence: `job ${id(state)} is with a worker, about to begin`, ...NOTHING_TO_DO };
    case 'queued':
      return {
        sentence: `waits for a free worker slot${ahead(state.ahead)}: job ${id(state)}`,
        advice: 'If it stays so, run more workers, or raise their concurrency.',
        actions: [],
      };
    case 'backoff':
      return {
        sentence: `waits for the backoff of job ${id(state)}, due in ${durationText(state.dueInMs)}; attempt ${state.attemptsMade} failed: ${quoted(state.reason)}`,
        ...NOTHING_TO_DO,
      };
    case 'delayed':
      return {
        sentence: `waits for job ${id(state)}, which was delayed and is due in ${durationText(state.dueInMs)}`,
        advice: 'job.promote() has it delivered now.',
        actions: [],
      };
    case 'snoozed':
      return {
        sentence: `job ${id(state)} has given its worker slot back and looks again in ${durationText(state.dueInMs)}`,
        ...NOTHING_TO_DO,
      };
    case 'lease':
      return {
        sentence: `waits for the lease of ${byWhom(state.worker)}, silent since ${durationText(state.silentMs)}, takeover in ${durationText(state.takeoverInMs)}`,
        ...NOTHING_TO_DO,
      };
    case 'rate-limited':
      return {
        sentence: `limited: the queue's rate limit is reached, for ${durationText(state.forMs)}`,
        ...NOTHING_TO_DO,
      };
    case 'paused':
      return { sentence: 'paused', advice: 'Resume the queue.', actions: ['resume'] };
    case 'concurrency-limited':
      return {
        sentence: `limited: as many jobs are active as the queue allows (${state.limit})`,
        advice: 'queue.setGlobalConcurrency() raises it.',
        actions: [],
      };
    case 'no-workers':
      return { sentence: 'no worker of the queue lives', advice: 'Start one.', actions: [] };
    case 'unknown-update':
      return {
        sentence: `its update ${quoted(state.name)} is known to no living worker (job ${id(state)}; ${state.workers} asked)`,
        advice: 'Start a worker that has this update, or remove the job.',
        actions: [],
      };
    case 'other-lane':
      return onOtherLane(state);
    case 'lanes-apart':
      return {
        sentence: `job ${id(state)} changes several keys, and is missing in the lane of ${quoted(state.missingIn)}, which somebody has changed by hand or settled alone (LANES_APART)`,
        advice:
          'See whether its effect is in the values. Then drop it (toril lane KEY --drop), which takes it out of all its lanes.',
        actions: ['drop'],
      };
    case 'children':
      return {
        sentence: `waits for job ${id(state)}, whose children are not done`,
        ...NOTHING_TO_DO,
      };
    case 'held':
      return {
        sentence: `held by job ${id(state)}, which failed for good${ago(state.forMs)}: ${quoted(state.reason)}`,
        advice: 'Retry, skip or drop it (toril lane KEY --retry, --skip, --drop).',
        actions: JOB_ACTIONS,
      };
    case 'commanded':
      return {
        sentence: `job ${id(state)} is told to be ${state.command === 'skip' ? 'skipped' : 'dropped'}; the next worker that gets it does so`,
        ...NOTHING_TO_DO,
      };
    case 'job-gone':
      return {
        sentence: `its first job ${id(state)} is gone (removed by a plain BullMQ client, or evicted); the next worker that looks drops the entry, within a minute`,
        ...NOTHING_TO_DO,
      };
    case 'not-applied':
      return {
        sentence: `its first job ${id(state)} was completed by somebody who is no worker of Toril's, so its update is in no value`,
        advice:
          "Stop that worker. The lane goes on within a minute; job.retry('completed') has the job applied after all.",
        actions: [],
      };
    case 'stalled':
      return {
        sentence: `the worker that had job ${id(state)} has died or frozen; BullMQ delivers it again with its next look for stalled jobs`,
        advice: 'If no worker lives, start one.',
        actions: [],
      };
    case 'memcached':
      return {
        sentence: `memcached ${quoted(state.server)}${state.key === undefined ? '' : ` (of ${quoted(state.key)})`} cannot be used (${state.code}): ${quoted(state.reason)}`,
        advice: 'Its keys go on as soon as it answers.',
        actions: [],
      };
    case 'cell': {
      const sentence = `the cell${state.key === undefined ? '' : ` of ${quoted(state.key)}`} cannot be used (${state.code}): ${quoted(state.reason)}`;
      return elsewhere({ sentence, ...onCell(state.code) }, state.key);
    }
    case 'other-servers':
      return {
        sentence: `the workers use the memcached servers ${quoted(state.registered)}, but ${quoted(state.given)} were asked`,
        advice: 'Name the same servers as the workers do.',
        actions: [],
      };
    case 'redis':
      return {
        sentence: `Redis cannot be used (${state.code}): ${quoted(state.reason)}`,
        advice: 'Everything goes on as soon as it takes writes again.',
        actions: [],
      };
  }
}

/** A job of several keys: the reason is at the key that it waits for, or further on. */
function onOtherLane(state: LaneState & { kind: 'other-lane' }): Omit<Why, 'code'> {
  const { name, forKey, before, first, failsInMs, cause } = state;
  const more = before === 1 ? 'is' : `and ${before - 1} more are`;
  const named = first.name === '' ? '' : ` (${quoted(first.name)})`;
  const waits = `${quoted(name)} (job ${id(state)}) waits for ${quoted(forKey)}, where job ${id(first)}${named} ${more} before it since ${durationText(first.ageMs)}${failsInMs === undefined ? '' : `, and fails in ${durationText(failsInMs)}`}`;
  if (cause === undefined) return { sentence: waits, ...NOTHING_TO_DO };
  const its = why(cause);
  const sentence = `${waits}; ${quoted(cause.key)}: ${its.sentence}`;
  return elsewhere({ ...its, sentence }, its.at ?? cause.key);
}

/** What is to be done is to be done at another key. */
function elsewhere(
  { sentence, advice, actions }: Omit<Why, 'code'>,
  key: string | undefined,
): Omit<Why, 'code'> {
  if (key === undefined || advice === '') return { sentence, advice, actions };
  return { sentence, advice: `At ${quoted(key)}: ${advice}`, actions: [], at: key };
}

function onCell(code: string): Pick<Why, 'advice' | 'actions'> {
  switch (code) {
    case 'REDIS_WENT_BACK':
    case 'CELL_OF_ANOTHER_REDIS':
      return {
        advice: 'Say which value is true (toril lane KEY --trust cell, or --trust copy).',
        actions: ['trust-cell', 'trust-copy'],
      };
    case 'FOREIGN_VALUE':
      return {
        advice:
          'Stop whoever wrote it. Then restore the copy (toril lane KEY --trust copy) or, if there is none, delete the item or give the update an `adopt`.',
        actions: ['trust-copy'],
      };
    case 'ENVELOPE_DAMAGED':
      return {
        advice: 'Restore the copy (toril lane KEY --trust copy).',
        actions: ['trust-copy'],
      };
    case 'ENVELOPE_NEWER':
      return { advice: 'Update the workers.', actions: [] };
    case 'CELL_OF_ANOTHER_QUEUE':
      return { advice: 'Give the two queues different keys.', actions: [] };
    case 'VALUE_TOO_LARGE':
      return { advice: 'Start memcached with a larger -I.', actions: [] };
    default:
      return { advice: '', actions: [] };
  }
}

function byWhom(worker: string | undefined): string {
  return worker === undefined ? 'a worker' : `worker ${quoted(worker)}`;
}

function since({ sinceMs }: { readonly sinceMs: number | undefined }): string {
  return sinceMs === undefined ? '' : ` since ${durationText(sinceMs)}`;
}

function ahead(jobs: number | undefined): string {
  if (jobs === undefined) return '';
  return jobs === 1 ? ', 1 job before it' : `, ${jobs} jobs before it`;
}

function ago(ms: number | undefined): string {
  return ms === undefined ? '' : ` ${durationText(ms)} ago`;
}

function id({ jobId }: { readonly jobId: string }): string {
  return quoted(jobId);
}

/** Somebody else's text: what would move the cursor, turn the text round or begin a new line becomes a blank. */
function quoted(text: string): string {
  const plain = text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]+/gu, ' ').trim();
  return plain.length <= REASON_MAX ? plain : `${plain.slice(0, REASON_MAX)}…`;
}
