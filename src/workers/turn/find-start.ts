/**
 * reconcile: which state of the key is the true one, and so where a fold starts: from the cell that can be believed,
 * from the copy, from a foreign value that is taken over, or from nothing.
 */
import { assert } from '../../base/assert.ts';
import { reconcile, type Reconciled, type Viewpoint } from '../../cells/reconcile.ts';
import type { Envelope } from '../../cells/envelope.ts';
import { TorilError } from '../../errors.ts';
import type { KnownOrigin } from '../../history/history.ts';
import type { Copy } from '../../jobs/lane.ts';
import type { Taken } from '../../jobs/lanes.ts';
import { type FoldStart, isStrict } from '../fold/batch.ts';
import { unchangedTooLarge } from '../fold/fitting.ts';
import type { GateContext } from '../gate/gate-context.ts';
import { adopt } from './adopt.ts';
import { laneEntries } from './take.ts';
import { type BatchEnd, IDLE, NEXT, type Turn } from './turn-state.ts';

export type Found =
  | { readonly kind: 'start'; readonly start: FoldStart; readonly isStrict: boolean }
  /** Another holder's commit landed, and its acknowledgement did not. */
  | { readonly kind: 'unacknowledged'; readonly envelope: Envelope }
  /** Redis has gone past the cell, or the cell was never written. */
  | { readonly kind: 'behind' }
  | BatchEnd;

type Startable = Exclude<Reconciled, { kind: 'refused' | 'unacknowledged' }>;

export function findStart(turn: Turn, taken: Taken): Found {
  const { context, memory } = turn;
  const { entries } = taken;
  const reconciled = reconcile(turn.cell.content, taken.copy, viewpoint(turn, taken));
  if (reconciled.kind === 'unacknowledged') return reconciled;
  if (reconciled.kind === 'restore' && reconciled.found === 'stale') return { kind: 'behind' };
  memory.owesVisit = false;
  if (entries.length === 0) {
    if (taken.length > 0) return NEXT;
    const isMissing = reconciled.kind === 'restore' && typeof taken.copy.value === 'object';
    if (memory.owesCell && isMissing) return { kind: 'behind' };
    memory.owesCell = false;
    return IDLE;
  }
  if (reconciled.kind === 'refused') return turn.held(reconciled.cause);
  const start = startFrom(turn, reconciled, taken);
  if (start instanceof TorilError) return turn.held(start);
  const strict = isStrict(entries, context.registry);
  if (strict && reconciled.kind === 'restore') {
    // It would act on the outside world at every look, and never be committed.
    const cause = unchangedTooLarge(turn, taken, start);
    if (cause !== undefined) return turn.held(cause);
  }
  return { kind: 'start', start, isStrict: strict };
}

function viewpoint({ context, key, memory }: Turn, taken: Taken): Viewpoint {
  const { dataSet, token } = taken;
  const { dataSets } = memory.worker;
  const from = dataSets.note(dataSet.id);
  if (from !== undefined) context.report('redisReplaced', { key, from, to: dataSet.id });
  const firstSequence = laneEntries(taken, key)[0]?.sequence;
  return { queue: context.queue, dataSet, token, firstSequence, knows: dataSets.has };
}

/** Returns the error (it does not throw) if only an operator can say where to begin. */
function startFrom(turn: Turn, reconciled: Startable, taken: Taken): FoldStart | TorilError {
  const { context, key, cell } = turn;
  const { expiresInMs } = taken;
  switch (reconciled.kind) {
    case 'clean': {
      // Jobs that fail give the value no more time. 1: its time is over, and memcached is a little late.
      const { value, expireMs } = reconciled.envelope;
      const leftMs = expireMs > 0 ? Math.max(1, expiresInMs) : expiresInMs;
      return foldStart(taken, originOfClean(value), cell.fresh, leftMs);
    }
    case 'fresh':
      return foldStart(taken, 'nothing', nothing);
    case 'foreign': {
      const adopted = adopt(context, key, reconciled.bytes, laneEntries(taken, key));
      if (adopted instanceof TorilError) return adopted;
      return foldStart(taken, { adopted }, () => JSON.parse(adopted));
    }
    case 'restore': {
      const { value } = taken.copy;
      assert(value !== 'not-sent', 'a copy is sent unless its cell is believed');
      const instead = insteadOf(taken.copy);
      const json = typeof value === 'object' ? value.json : undefined;
      if (json === undefined) return { ...foldStart(taken, 'nothing', nothing), instead };
      return { ...foldStart(taken, 'base', () => JSON.parse(json)), instead };
    }
  }
}

/** A tombstone may stand for a value that has expired, which the commit of its token has recorded: it was put right as one. */
export function originOfClean(value: unknown): KnownOrigin {
  return value === undefined ? 'nothing' : 'base';
}

/** @param copy of a cell that is missing */
export function insteadOf({ value, behind }: Copy): FoldStart['instead'] {
  if (value === 'not-kept') return 'lost';
  // Whoever made the commit may be about to write it: memcached has lost nothing.
  return value === 'deleted' || behind ? undefined : 'restored';
}

/** Told once the cell is written, not at each look at a lane that cannot go on. */
export function reportBeginning(
  { report }: Pick<GateContext, 'report'>,
  key: string,
  { instead, origin }: Pick<FoldStart, 'instead' | 'origin'>,
): void {
  if (instead === 'lost') report('cellLost', { key });
  if (instead === 'restored') report('cellRestored', { key, found: 'missing' });
  if (typeof origin === 'object') report('cellAdopted', { key });
}

function foldStart(
  { copy, token, expiresInMs }: Taken,
  origin: KnownOrigin,
  fresh: () => unknown,
  expireMs: number = expiresInMs,
): FoldStart {
  return { fresh, origin, token, watermark: copy.watermark, cascadeTo: copy.cascadeTo, expireMs };
}

function nothing(): undefined {
  return undefined;
}
