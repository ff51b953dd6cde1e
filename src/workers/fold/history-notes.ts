/** What a turn tells the history of a commit: its own, or one whose maker died before acknowledging it. */
import type { Envelope } from '../../cells/envelope.ts';
import {
  type HistoryNote,
  historyNote,
  type JointNote,
  jointNote,
  type NotedJointCommit,
  type Origin,
} from '../../history/history.ts';
import type { Taken } from '../../jobs/lanes.ts';
import type { LaneEntry } from '../../jobs/lane.ts';
import { type FittingBatch, isStrict } from './batch.ts';
import type { GateContext } from '../gate/gate-context.ts';

/** What of its gate's context a note depends on. */
type NotingContext = Pick<GateContext, 'options' | 'registry'>;

export function noteOf(
  { batch, valueJson, origin }: FittingBatch,
  { entries, sinceCheckpoint }: Taken,
  { options, registry }: NotingContext,
): HistoryNote | undefined {
  if (options.history === 'off') return undefined;
  const decided = entries.slice(0, batch.decided);
  const tried = decided.filter(({ attemptsMade }) => attemptsMade > 0);
  const attempts = new Map(tried.map(({ jobId, attemptsMade }) => [jobId, attemptsMade + 1]));
  const updates = decided.map(({ name }) => name);
  const facts = { origin, valueJson, updates, attempts, sinceCheckpoint };
  return historyNote({ ...facts, isStrict: isStrict(decided, registry) }, options);
}

export function noteOfRecovered(
  envelope: Envelope,
  valueJson: string | undefined,
  { entries, sinceCheckpoint }: Taken,
  { options, registry }: NotingContext,
): HistoryNote | undefined {
  if (options.history === 'off') return undefined;
  const decided = entries.filter(({ sequence }) => sequence <= envelope.watermark);
  const updates = decided.map(({ name }) => name);
  const origin = originOf(envelope);
  const facts = { origin, valueJson, updates, attempts: undefined, sinceCheckpoint };
  return historyNote({ ...facts, isStrict: isStrict(decided, registry) }, options);
}

/**
 * @param entries that it decides, and one that holds its lanes
 * @param keys of the commit, in its order
 */
export function noteOfJoint(
  keys: readonly (NotedJointCommit['keys'][number] & { readonly key: string })[],
  entries: readonly (LaneEntry & Pick<Required<LaneEntry>, 'keys'>)[],
  decided: number,
  { options }: Pick<GateContext, 'options'>,
): JointNote | undefined {
  if (options.history === 'off') return undefined;
  const names = keys.map(({ key }) => key);
  const jobs = entries.slice(0, decided).map(({ jobId, sequence, attemptsMade, keys: its }) => ({
    ...{ jobId, sequence, attempt: attemptsMade + 1 },
    places: its.map((key) => names.indexOf(key)),
  }));
  return jointNote({ keys, jobs, updates: entries.map(({ name }) => name) }, options);
}

/** What an envelope says of its origin; most say nothing. */
export function envelopeOrigin(origin: Origin, base: number): Envelope['origin'] {
  if (origin === 'nothing') return base === 0 ? undefined : 'nothing';
  return origin === 'base' ? undefined : 'adopted';
}

function originOf({ origin, base, queue }: Envelope): Origin {
  // Without a queue, it was written under a lock (openLocks): no jobs lead to its value.
  if (origin === 'adopted' || queue === '') return 'unknown';
  return origin === 'nothing' || base === 0 ? 'nothing' : 'base';
}
