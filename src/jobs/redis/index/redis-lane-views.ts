/** What is known of the lanes in Redis: by the index, which is filled in when it is first asked for. */
import type { LaneCounts, LaneHead } from '../../reports/lane-report.ts';
import {
  ageMs,
  type HeadFacts,
  type HeadPlace,
  type JointFacts,
  type KnownWorker,
  type LaneFacts,
  type LaneFactsPage,
  type LaneViews,
  type PageRequest,
  type QueueFacts,
} from '../../reports/lane-views.ts';
import type { QueueScripts } from '../queue-scripts.ts';
import {
  type HeadReply,
  type JointReply,
  type LaneReply,
  type QueueReply,
  VIEW_COUNTS,
  VIEW_LANE,
  VIEW_PAGE,
} from './views.ts';

/** How many jobs BullMQ has that wait, are active, wait for a time. */
export type JobCounts = Pick<LaneCounts, 'waiting' | 'active' | 'delayed'>;

export interface RedisLaneViewsOptions {
  readonly scripts: QueueScripts;
  readonly jobCounts: () => Promise<JobCounts>;
  readonly workers: () => Promise<readonly KnownWorker[]>;
  /** Fills the index in, of a queue that is older than it. */
  readonly reindex: () => Promise<void>;
}

/** A client that may not write itself (NOPERM) learns nothing of whether others can. */
const REFUSES_WRITES = /^-?(OOM|READONLY|MISCONF|NOREPLICAS)\b/;

type CountsReply = readonly [
  ...[nowMs: string, queue: QueueReply, keys: number, held: number],
  ...[oldest: FirstReply, oldestFree: FirstReply],
];
type PageReply = readonly [
  ...[nowMs: string, queue: QueueReply, last: string, lastKey: string],
  lanes: readonly LaneReply[],
];
type FirstReply = readonly [key: string, jobId: string, sequence: string] | readonly [];

export class RedisLaneViews implements LaneViews {
  readonly #options: RedisLaneViewsOptions;

  constructor(options: RedisLaneViewsOptions) {
    this.#options = options;
  }

  async counts(): Promise<LaneCounts> {
    const [jobs, reply] = await Promise.all([
      this.#options.jobCounts(),
      this.#indexed(() => this.#options.scripts.run(VIEW_COUNTS, [])),
    ]);
    const [nowMs, queue, keys, held, oldest, oldestFree] = reply as CountsReply;
    return {
      ...jobs,
      ...{ keys, held, runnable: keys - held, paused: queue[0] === 1 },
      oldest: firstOf(oldest, Number(nowMs)),
      oldestRunnable: firstOf(oldestFree, Number(nowMs)),
    };
  }

  async page(request: PageRequest): Promise<LaneFactsPage> {
    const { state, order, after, limit, search } = request;
    const which = state === 'all' ? 'lanes' : state;
    const args = [which, order, after?.sequence ?? '', after?.key ?? '', limit, search];
    const [reply, workers] = await Promise.all([
      this.#indexed(() => this.#options.scripts.run(VIEW_PAGE, args)),
      this.#options.workers(),
    ]);
    const [nowMs, queue, last, lastKey, lanes] = reply as PageReply;
    return {
      lanes: lanes.map((lane) => laneOf(lane, queueOf(queue, workers), Number(nowMs))),
      last: last === '' ? undefined : { sequence: Number(last), key: lastKey },
    };
  }

  async one(key: string): Promise<LaneFacts> {
    const [reply, workers] = await Promise.all([
      this.#options.scripts.run(VIEW_LANE, [key]),
      this.#options.workers(),
    ]);
    const [nowMs, queue, lane] = reply as [string, QueueReply, LaneReply];
    return laneOf(lane, queueOf(queue, workers), Number(nowMs));
  }

  async #indexed(ask: () => Promise<unknown>): Promise<unknown> {
    const reply = await ask();
    if (reply !== 0) return reply;
    await this.#options.reindex();
    return ask();
  }
}

function firstOf(first: FirstReply, nowMs: number): LaneHead | undefined {
  if (first.length === 0) return undefined;
  const [key, jobId, sequence] = first;
  return { key, jobId, sequence: Number(sequence), ageMs: ageMs(Number(sequence), nowMs) };
}

function laneOf(
  [key, length, token, pace, inHand, head]: LaneReply,
  queue: QueueFacts,
  nowMs: number,
): LaneFacts {
  const [batchToken = '', last = '', worker = '', atMicros = batchToken] = inHand.split(' ');
  return {
    ...{ key, length, token: Number(token), paceMs: Number(pace) },
    head: head.length === 0 ? undefined : headOf(head, nowMs),
    inHand:
      inHand === ''
        ? undefined
        : { sinceMs: ageMs(Number(atMicros), nowMs), lastSequence: Number(last), worker },
    queue,
  };
}

function headOf(head: HeadReply, nowMs: number): HeadFacts {
  const [jobId, sequence, place, name, attemptsMade, failedReason, directive] = head;
  const [, , , , , , , dueInMs, finishedMs, ahead, joint] = head;
  return {
    ...{ jobId, name, attemptsMade, failedReason, dueInMs, finishedMs },
    sequence: Number(sequence),
    ageMs: ageMs(Number(sequence), nowMs),
    place: place as HeadPlace,
    directive: directive as HeadFacts['directive'],
    ahead: ahead < 0 ? undefined : ahead,
    joint: joint && jointOf(joint, nowMs),
  };
}

function jointOf([keys, others, failsInMs]: JointReply, nowMs: number): JointFacts {
  const there = others.filter(([, before]) => before >= 0);
  return {
    keys,
    waitsFor: there.map(([key, before, jobId, name, sequence]) => {
      return { key, before, first: { jobId, name, ageMs: ageMs(Number(sequence), nowMs) } };
    }),
    missingIn: others.filter(([, before]) => before < 0).map(([key]) => key),
    failsInMs: failsInMs < 0 ? undefined : failsInMs,
  };
}

function queueOf(
  [paused, active, concurrency, limitedForMs, answer]: QueueReply,
  workers: readonly KnownWorker[],
): QueueFacts {
  const refusal = REFUSES_WRITES.test(answer) ? answer : '';
  return { paused: paused === 1, active, concurrency, limitedForMs, refusal, workers };
}
