/** What is known of the lanes in memory: whatever is asked is looked up, there is no index. */
import type { Clock } from '../../base/clock.ts';
import type { LaneCounts, LaneHead } from '../reports/lane-report.ts';
import {
  ageMs,
  type HeadFacts,
  type HeadPlace,
  type JointFacts,
  type LaneFacts,
  type LaneFactsPage,
  type LanePlace,
  type LaneViews,
  type OtherLane,
  type PageRequest,
} from '../reports/lane-views.ts';
import type { MemoryJobs } from './memory-jobs.ts';
import type { MemoryJob } from './memory-job.ts';

type Found = LaneFacts & { readonly head: HeadFacts };

export class MemoryLaneViews implements LaneViews {
  readonly #jobs: MemoryJobs;
  readonly #clock: Clock;

  /** @param clock of the Redis server */
  constructor(jobs: MemoryJobs, clock: Clock) {
    this.#jobs = jobs;
    this.#clock = clock;
  }

  async counts(): Promise<LaneCounts> {
    const all = this.#all();
    const free = all.filter((facts) => !isHeld(facts));
    const jobs = [...this.#jobs.all()];
    const waits = ({ state, attemptsMade, snoozedAtAttempt }: MemoryJob): boolean =>
      state === 'waiting' || (state === 'delayed' && snoozedAtAttempt === attemptsMade);
    return {
      keys: all.length,
      held: all.length - free.length,
      runnable: free.length,
      waiting: jobs.filter(waits).length,
      active: jobs.filter(({ state }) => state === 'active').length,
      delayed: jobs.filter((job) => job.state === 'delayed' && !waits(job)).length,
      oldest: headOf(all[0]),
      oldestRunnable: headOf(free[0]),
      paused: this.#jobs.paused,
    };
  }

  async page({ state, order, after, limit, search }: PageRequest): Promise<LaneFactsPage> {
    const all = this.#all().filter(
      (facts) => state === 'all' || isHeld(facts) === (state === 'held'),
    );
    const sorted = order === 'oldest' ? all : all.toReversed();
    const isBehind = (lane: Found): boolean => {
      if (after === undefined) return true;
      return order === 'oldest'
        ? inOrder(placeIn(lane), after) > 0
        : inOrder(placeIn(lane), after) < 0;
    };
    const behind = sorted.filter((lane) => isBehind(lane) && lane.key.includes(search));
    const lanes = behind.slice(0, limit);
    const last = lanes.at(-1);
    return { lanes, last: last && behind.length > limit ? placeIn(last) : undefined };
  }

  async one(key: string): Promise<LaneFacts> {
    return this.look(key);
  }

  look(key: string): LaneFacts {
    const { copy, length, paceMs, head } = this.#jobs.inspect(key, 1);
    const inHand = this.#jobs.inHand(key);
    const nowMs = this.#clock.wallMs();
    const [first] = head;
    return {
      ...{ key, length, token: copy.token, paceMs },
      head: first && this.#headFacts(first.jobId, first.sequence, nowMs),
      inHand: inHand && {
        sinceMs: ageMs(inHand.atMicros, nowMs),
        lastSequence: inHand.last,
        worker: '',
      },
      queue: {
        paused: this.#jobs.paused,
        active: 0,
        concurrency: 0,
        limitedForMs: 0,
        refusal: '',
        workers: undefined,
      },
    };
  }

  /** The oldest first. */
  #all(): Found[] {
    return this.#jobs
      .laneKeys()
      .flatMap((key): Found[] => {
        const facts = this.look(key);
        return facts.head === undefined ? [] : [{ ...facts, head: facts.head }];
      })
      .toSorted((a, b) => inOrder(placeIn(a), placeIn(b)));
  }

  #headFacts(jobId: string, sequence: number, nowMs: number): HeadFacts {
    const job = this.#jobs.get(jobId);
    const { name = '', attemptsMade = 0, failedReason = '', directive = '' } = job ?? {};
    const place = placeOf(job);
    const isHeldBack = place === 'backoff' || place === 'delayed' || place === 'snoozed';
    return {
      ...{ jobId, sequence, place, name, attemptsMade, failedReason, directive },
      ageMs: ageMs(sequence, nowMs),
      dueInMs: isHeldBack ? Math.max(0, Math.floor((job?.dueMs ?? 0) - nowMs)) : 0,
      finishedMs: job?.finishedOn === undefined ? 0 : Math.max(0, nowMs - job.finishedOn),
      ahead: undefined,
      joint: job?.keys && this.#jointFacts(job, job.keys, sequence, nowMs),
    };
  }

  #jointFacts(
    { id: jobId, waits }: MemoryJob,
    keys: readonly string[],
    sequence: number,
    nowMs: number,
  ): JointFacts {
    const waitsFor: OtherLane[] = [];
    const missingIn: string[] = [];
    for (const key of keys) {
      const { head } = this.#jobs.inspect(key, Number.MAX_SAFE_INTEGER);
      const before = head.findIndex((entry) => entry.jobId === jobId);
      const [first] = head;
      if (before < 0 || first === undefined) missingIn.push(key);
      else if (before > 0) {
        const { name = '' } = this.#jobs.get(first.jobId) ?? {};
        const its = { jobId: first.jobId, name, ageMs: ageMs(first.sequence, nowMs) };
        waitsFor.push({ key, before, first: its });
      }
    }
    const failsInMs =
      waits?.sequence === sequence
        ? Math.max(0, waits.sinceMs + waits.failAfterMs - Math.floor(nowMs))
        : undefined;
    return { keys, waitsFor, missingIn, failsInMs };
  }
}

function placeIn({ key, head: { sequence } }: Found): LanePlace {
  return { key, sequence };
}

/** As Redis orders a sorted set. */
function inOrder(a: LanePlace, b: LanePlace): number {
  return a.sequence - b.sequence || Buffer.compare(Buffer.from(a.key), Buffer.from(b.key));
}

function isHeld({ head }: Found): boolean {
  return head.place === 'failed' || head.directive === 'held';
}

function headOf(facts: Found | undefined): LaneHead | undefined {
  if (facts === undefined) return undefined;
  const { jobId, sequence, ageMs: itsAgeMs } = facts.head;
  return { key: facts.key, jobId, sequence, ageMs: itsAgeMs };
}

function placeOf(job: MemoryJob | undefined): HeadPlace {
  switch (job?.state) {
    case undefined:
      return 'gone';
    case 'failed':
      return 'failed';
    case 'completed':
      return job.outcome === '' ? 'unapplied' : 'completed';
    case 'delayed':
      if (job.snoozedAtAttempt === job.attemptsMade) return 'snoozed';
      return job.attemptsMade === 0 ? 'delayed' : 'backoff';
    case 'active':
      return 'active';
    case 'waiting':
      return 'waiting';
  }
}
