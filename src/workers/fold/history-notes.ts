/** What a turn tells the history of a commit: its own, or one whose maker died before acknowledging it. */
import type { Envelope } from '../../cells/envelope.ts';
import { type HistoryNote, historyNote, type Origin, valueHash } from '../../history/history.ts';
import type { Taken } from '../../jobs/lanes.ts';
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

/** Of one key of a joint commit: its value in full, since a replay of the key alone cannot make it again. */
export function noteOfJoint(
  valueJson: string | undefined,
  { options }: Pick<GateContext, 'options'>,
): HistoryNote | undefined {
  if (options.history === 'off') return undefined;
  return {
    origin: 'unknown',
    hash: valueHash(valueJson),
    value: valueJson === undefined ? undefined : 'copy',
    attempts: new Map(),
    lengthMax: options.historyLengthMax,
    ageMs: options.historyAgeMs,
  };
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
