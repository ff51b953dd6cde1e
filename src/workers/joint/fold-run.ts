/** The fold of a run: its jobs over the values of all its keys, no more of them than give items that fit into memcached. */
import { encodeEnvelope, NONE_NAMED } from '../../cells/envelope.ts';
import type { TorilError } from '../../errors.ts';
import type { Taken } from '../../jobs/lanes.ts';
import { PLAIN_APPLIED } from '../../updates/outcome.ts';
import type { Arrival } from '../deliveries/arrival.ts';
import type { Batch, FoldStart, FoldTurn } from '../fold/batch.ts';
import { itemBytesMax, itemsTooSmall, newValueBytesMax, tooLarge } from '../fold/fitting.ts';
import { fold } from '../fold/fold.ts';
import { JointUpdates, type JointValues } from '../../updates/calling/joint-updates.ts';
import type { JointEntry } from '../../jobs/joint-lanes.ts';
import { frozenJson, knownFrozen } from '../../updates/values/frozen-value.ts';
import { jsonOf } from '../fold/replayable-value.ts';
import type { Turn } from '../turn/turn-state.ts';
import type { RunKey } from './run-keys.ts';

/** What becomes of one key. */
export interface FoldedKey {
  readonly of: RunKey;
  readonly watermark: number;
  /** Jobs that leave its lane, in order. */
  readonly jobIds: readonly string[];
  /** Undefined: deleted. */
  readonly valueJson: string | undefined;
  readonly value: unknown;
  readonly expireMs: number;
  /** The envelope. */
  readonly bytes: Buffer;
}

export interface FoldedRun {
  readonly batch: Batch;
  /** Encoded decisions of all jobs that the commit decides, in order, and of one that holds its lanes. */
  readonly decisions: ReadonlyMap<string, string>;
  readonly keys: readonly FoldedKey[];
}

/** An error: a key's value cannot be stored, whatever its jobs do. */
export async function foldRun(
  turn: Turn,
  taken: Taken,
  run: readonly JointEntry[],
  keys: readonly RunKey[],
  cascadeTo: number,
): Promise<FoldedRun | TorilError> {
  const places = new Map(keys.map(({ key }, place) => [key, place]));
  const values: JointValues = knownFrozen(frozenJson(keys.map(({ start }) => start)));
  const folding = jointTurn(turn, run, places);
  const start: FoldStart = {
    ...{ fresh: () => values, origin: 'base', token: taken.token },
    ...{ watermark: 0, cascadeTo, expireMs: 0 },
  };
  for (let entries = run; ; ) {
    const batch = await fold(folding, start, entries);
    const folded = foldedRun(turn, taken, batch, entries, keys);
    const misfit = folded.keys.find((its) => its.bytes.length > bytesMax(turn, its, batch));
    if (misfit === undefined) return folded;
    if (batch.decided > 1) {
      entries = entries.slice(0, Math.ceil(batch.decided / 2));
      continue;
    }
    const { of, bytes } = misfit;
    const max = bytesMax(turn, misfit, batch);
    if (batch.applied === 0) return itemsTooSmall(of.key, bytes.length, max);
    const jobId = entries[0]?.jobId ?? '';
    turn.memory.note(jobId, { tooLarge: tooLarge(of.key, bytes.length, max) });
  }
}

/** The turn as a fold sees it, which works on more keys than that of the turn. */
function jointTurn(
  turn: Turn,
  entries: readonly JointEntry[],
  places: ReadonlyMap<string, number>,
): FoldTurn {
  const { context, key, memory, lease, server } = turn;
  const firstKeys = new Map(entries.map(({ jobId, keys }) => [jobId, keys[0]]));
  const registry = new JointUpdates({
    ...{ registry: context.registry, places },
    keysChanged: (name, { keys, jobId }, named) =>
      context.report('keyChanged', {
        ...{ key: keys.join(', '), jobId, name },
        ...{ otherKey: named.join(', '), code: 'KEY_CHANGED' },
      }),
  });
  return {
    isJoint: true,
    ...{ key, memory, lease, server },
    arrivals: { get: (jobId) => arrivalOf(turn, firstKeys.get(jobId), jobId) },
    context: { ...context, registry },
    get awaitingSinceMs() {
      return turn.awaitingSinceMs;
    },
    set awaitingSinceMs(sinceMs) {
      turn.awaitingSinceMs = sinceMs;
    },
    get begunAlone() {
      return turn.begunAlone;
    },
    set begunAlone(jobId) {
      turn.begunAlone = jobId;
    },
    beginApply: (applying, count) => turn.beginApply(applying, count),
    closing: () => turn.closing(),
    onlyDelivered: () => turn.onlyDelivered(),
  };
}

function foldedRun(
  turn: Turn,
  taken: Taken,
  batch: Batch,
  entries: readonly JointEntry[],
  keys: readonly RunKey[],
): FoldedRun {
  const decided = entries.slice(0, batch.decided);
  const decisions = new Map(
    decided.map(({ jobId }) => [jobId, batch.decisions.get(jobId) ?? PLAIN_APPLIED]),
  );
  const { stop } = batch;
  const touched = new Set(decided.flatMap((entry) => entry.keys));
  if (stop.kind === 'held') {
    const entry = entries[batch.decided];
    const held = batch.decisions.get(stop.jobId);
    if (held !== undefined && arrivalOf(turn, entry?.keys[0], stop.jobId) !== undefined) {
      decisions.set(stop.jobId, held);
      entry?.keys.forEach((key) => touched.add(key));
    }
  }
  const values = batch.value as JointValues;
  const byKey = jobsByKey(decided);
  const folded = keys.flatMap((of, place) => {
    if (!touched.has(of.key)) return [];
    const its = byKey.get(of.key) ?? [];
    return [foldedKey(turn, taken, { of, box: values[place] ?? null, its, decisions })];
  });
  return { batch, decisions, keys: folded };
}

/** A job that was delivered to this process, whichever lane it waits at. */
function arrivalOf(turn: Turn, firstKey: string | undefined, jobId: string): Arrival | undefined {
  return turn.arrivals.get(jobId) ?? turn.neighbours.arrivalOf(firstKey ?? turn.key, jobId);
}

function jobsByKey(jobs: readonly JointEntry[]): ReadonlyMap<string, readonly JointEntry[]> {
  const byKey = new Map<string, JointEntry[]>();
  for (const job of jobs) {
    for (const key of job.keys) {
      const its = byKey.get(key);
      if (its === undefined) byKey.set(key, [job]);
      else its.push(job);
    }
  }
  return byKey;
}

function foldedKey(
  { context }: Turn,
  { token, dataSet }: Taken,
  facts: {
    readonly of: RunKey;
    readonly box: JointValues[number];
    /** Its jobs that are decided. */
    readonly its: readonly JointEntry[];
    readonly decisions: ReadonlyMap<string, string>;
  },
): FoldedKey {
  const { of, box, its, decisions } = facts;
  const last = its.findLast(
    ({ jobId }) => decisions.get(jobId)?.startsWith(PLAIN_APPLIED) === true,
  );
  const seconds = last && (context.registry.find(last.name)?.expireSeconds ?? 0);
  const watermark = its.at(-1)?.sequence ?? of.copy.watermark;
  const valueJson = box === null ? undefined : jsonOf(box[0]);
  const expireMs = seconds === undefined ? of.expireMs : seconds * 1000;
  const bytes = encodeEnvelope({
    valueJson,
    watermark,
    token,
    base: token,
    queue: context.queue,
    dataSet: dataSet.id,
    jobs: '',
    decisions: NONE_NAMED,
    expireMs,
    keys: keysOfCommit(its, of.key),
  });
  const jobIds = its.map(({ jobId }) => jobId);
  return { of, watermark, jobIds, valueJson, value: box?.[0], expireMs, bytes };
}

/**
 * The keys that the commit's jobs of this one change with it, not all of the commit: of three, each two of which share a
 * job, the cells of the outer two tell of each other by the middle one's. Of one that is only held, its own.
 */
function keysOfCommit(its: readonly JointEntry[], key: string): readonly string[] {
  const [only] = its;
  if (its.length === 1 && only !== undefined) return only.keys;
  const keys = new Set(its.flatMap((entry) => entry.keys));
  return keys.size === 0 ? [key] : [...keys];
}

function bytesMax(turn: Turn, { of }: FoldedKey, { applied }: Batch): number {
  const { memory, lease, key } = turn;
  const refusedMax = of.key === key ? memory.itemBytesMax(lease.connection.epoch) : undefined;
  const max = itemBytesMax(of.server, refusedMax);
  return applied > 0 ? newValueBytesMax(max) : max;
}
