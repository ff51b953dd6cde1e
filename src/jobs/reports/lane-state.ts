/** What a lane does or waits for, as far as Redis knows. Pure. */
import type { LaneState, LaneSummary } from './lane-report.ts';
import { type HeadFacts, isSilent, type KnownWorker, type LaneFacts } from './lane-views.ts';

/** Milliseconds after which a batch in hand is taken for what a process that died has left, unless a worker has the first job. */
const LEFT_BEHIND_MS = 60_000;

export function stateOf(facts: LaneFacts): LaneState {
  const {
    head,
    queue: { refusal: reason },
  } = facts;
  if (head === undefined) return { kind: 'empty' };
  if (reason !== '') return { kind: 'redis', code: 'REDIS_FAILED', reason };
  return (
    decidedElsewhere(head) ??
    notReady(facts, head) ??
    underWay(facts, head) ??
    withoutWorkers(facts, head) ??
    limited(facts, head) ??
    waiting(head)
  );
}

/** One line of a page; undefined: the lane is empty. */
export function summaryOf(facts: LaneFacts): LaneSummary | undefined {
  const { key, length, head, token, paceMs } = facts;
  if (head === undefined) return undefined;
  const { jobId, sequence, ageMs, attemptsMade, joint } = head;
  const name = head.place === 'gone' ? undefined : head.name;
  const state = stateOf(facts);
  const job = { jobId, sequence, ...(joint && { keys: joint.keys }) };
  return { key, ...job, ageMs, length, name, attemptsMade, token, paceMs, state };
}

/** What no free worker slot changes. */
function decidedElsewhere(head: HeadFacts): LaneState | undefined {
  const { jobId, place, directive, failedReason: reason } = head;
  if (place === 'gone') return { kind: 'job-gone', jobId };
  if (place === 'unapplied') return { kind: 'not-applied', jobId };
  if (place === 'failed') return { kind: 'held', jobId, forMs: head.finishedMs, reason };
  if (directive === 'held') return { kind: 'held', jobId, forMs: undefined, reason };
  if (place === 'children') return { kind: 'children', jobId };
  return undefined;
}

/** A job of several keys that is not the first one in all its lanes: the worker that has it waits with it. */
function notReady(
  facts: LaneFacts,
  { jobId, name, place, joint }: HeadFacts,
): LaneState | undefined {
  if (joint === undefined || place === 'completed') return undefined;
  const { keys, waitsFor, missingIn, failsInMs } = joint;
  const [missing] = missingIn;
  const [longest] = waitsFor.toSorted((a, b) => b.first.ageMs - a.first.ageMs);
  if (missing !== undefined) return { kind: 'lanes-apart', jobId, keys, missingIn: missing };
  if (longest === undefined) return undefined;
  const { key: forKey, before, first } = longest;
  return (
    withoutWorkers(facts, { jobId, name }) ?? {
      ...{
        kind: 'other-lane',
        jobId,
        name,
        keys,
        forKey,
        before,
        first,
        failsInMs,
        cause: undefined,
      },
    }
  );
}

function underWay(
  { inHand, queue: { workers } }: LaneFacts,
  head: HeadFacts,
): LaneState | undefined {
  const { jobId, place, sequence } = head;
  // Its outcome is there: the worker that acknowledged it is about to complete it.
  if (place === 'completed') return { kind: 'working', worker: undefined, sinceMs: undefined };
  const holder = workers?.find(({ id }) => id === inHand?.worker);
  const isInHand = inHand !== undefined && sequence <= inHand.lastSequence && place !== 'backoff';
  if (isInHand && holder !== undefined && isSilent(holder)) return silent(holder);
  const isBelieved = place === 'active' || (inHand?.sinceMs ?? 0) < LEFT_BEHIND_MS;
  // Of one that has said that it ends, nothing is in hand any more.
  const isKnown = inHand?.worker === '' || workers === undefined || holder !== undefined;
  if (isInHand && isBelieved && isKnown)
    return { kind: 'working', worker: holder?.id, sinceMs: inHand.sinceMs };
  if (workers !== undefined && living(workers).length === 0) return undefined;
  if (place === 'stalled') return { kind: 'stalled', jobId };
  if (place === 'active') return { kind: 'delivered', jobId };
  return undefined;
}

/** Another worker takes its lease over once it has not been renewed for so long, and a tenth. */
function silent({ id, leaseMs, silentMs }: KnownWorker): LaneState {
  const takeoverInMs = Math.max(0, Math.round(leaseMs * 1.1) + 10 - silentMs);
  return { kind: 'lease', worker: id, leaseMs, silentMs, takeoverInMs };
}

function living(workers: readonly KnownWorker[]): readonly KnownWorker[] {
  return workers.filter((worker) => !isSilent(worker));
}

function withoutWorkers(
  { queue }: LaneFacts,
  head: Pick<HeadFacts, 'jobId' | 'name'>,
): LaneState | undefined {
  const { jobId, name } = head;
  if (queue.paused) return { kind: 'paused' };
  if (queue.workers === undefined) return undefined;
  const workers = living(queue.workers);
  if (workers.length === 0) return { kind: 'no-workers' };
  if (workers.some(({ updates }) => updates.includes(name))) return undefined;
  return { kind: 'unknown-update', jobId, name, workers: workers.length };
}

function limited({ queue }: LaneFacts, { place }: HeadFacts): LaneState | undefined {
  if (place === 'backoff' || place === 'delayed') return undefined;
  if (queue.limitedForMs > 0) return { kind: 'rate-limited', forMs: queue.limitedForMs };
  const { active, concurrency: limit } = queue;
  if (limit > 0 && active >= limit) return { kind: 'concurrency-limited', active, limit };
  return undefined;
}

function waiting(head: HeadFacts): LaneState {
  const { jobId, place, dueInMs, attemptsMade, directive, ahead } = head;
  if (directive === 'skip' || directive === 'drop')
    return { kind: 'commanded', jobId, command: directive };
  if (place === 'backoff')
    return { kind: 'backoff', jobId, dueInMs, attemptsMade, reason: head.failedReason };
  if (place === 'delayed') return { kind: 'delayed', jobId, dueInMs };
  if (place === 'snoozed') return { kind: 'snoozed', jobId, dueInMs };
  return { kind: 'queued', jobId, ahead };
}
