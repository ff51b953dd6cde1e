/** Every metric: its name, what it counts, and in what unit. docs/telemetry.md lists the same ones; a test compares them. */

/** Seconds. A turn takes some milliseconds where nothing is slow; a server that is away, as long as its deadline. */
const STEP_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Seconds: up to a lease and its takeover. */
const WAIT_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30];
/** Jobs: as many as a commit may decide. */
const BATCH_JOBS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000];

export interface Metric {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  /** By UCUM; in braces: what is counted. */
  readonly unit: string;
  readonly description: string;
  /** Besides `messaging.destination.name`, which is the queue. */
  readonly attributes?: readonly string[];
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[];
}

export type HistogramName =
  | 'messaging.client.operation.duration'
  | 'messaging.process.duration'
  | 'toril.batch.jobs'
  | 'toril.turn.step.duration'
  | 'toril.lease.wait.duration'
  | 'toril.lease.hold.duration';
/** Read when somebody collects them. */
export type ObservedName =
  | 'messaging.client.sent.messages'
  | 'messaging.client.consumed.messages'
  | 'toril.lease.takeovers'
  | 'toril.lease.losses'
  | 'toril.turns'
  | 'toril.commits'
  | 'toril.jobs.applied'
  | 'toril.jobs.snoozed'
  | 'toril.commits.refused'
  | 'toril.commits.recovered'
  | 'toril.cells.restored'
  | 'toril.cells.lost'
  | 'toril.round_trips'
  | 'toril.keys.stopped'
  | 'toril.server.available'
  | 'toril.queue.backlog'
  | 'toril.queue.active'
  | 'toril.queue.delayed'
  | 'toril.queue.keys.runnable'
  | 'toril.queue.keys.held'
  | 'toril.queue.keys.oldest'
  | 'toril.queue.oldest_head.age'
  | 'toril.queue.oldest_runnable_head.age';

export const METRICS: Readonly<Record<HistogramName | ObservedName, Metric>> = {
  'messaging.client.sent.messages': {
    kind: 'counter',
    unit: '{message}',
    description: 'Jobs that were enqueued.',
    attributes: ['messaging.system', 'messaging.operation.name'],
  },
  'messaging.client.consumed.messages': {
    kind: 'counter',
    unit: '{message}',
    description: 'Jobs that batches have decided; again if a batch is folded again.',
    attributes: ['messaging.system', 'messaging.operation.name'],
  },
  'messaging.client.operation.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'What an enqueue, a take or an acknowledgement waits for Redis.',
    attributes: ['messaging.system', 'messaging.operation.name'],
    buckets: STEP_S,
  },
  'messaging.process.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'A turn at the gate, from the lease to its release.',
    attributes: ['messaging.system', 'messaging.operation.name'],
    buckets: STEP_S,
  },
  'toril.queue.backlog': {
    kind: 'gauge',
    unit: '{job}',
    description: 'Jobs of the queue that wait for a worker, the snoozed ones included.',
  },
  'toril.queue.active': {
    kind: 'gauge',
    unit: '{job}',
    description: 'Jobs of the queue that workers have.',
  },
  'toril.queue.delayed': {
    kind: 'gauge',
    unit: '{job}',
    description: 'Jobs of the queue that wait for a time.',
  },
  'toril.queue.keys.runnable': {
    kind: 'gauge',
    unit: '{key}',
    description:
      'Keys that have jobs, and that no failed job holds: more workers than these have nothing to do.',
  },
  'toril.queue.keys.held': {
    kind: 'gauge',
    unit: '{key}',
    description: 'Keys that a failed job holds until somebody retries, skips or drops it.',
  },
  'toril.queue.keys.oldest': {
    kind: 'gauge',
    unit: '{key}',
    description:
      'Of the 50 keys whose first job has waited longest: how many do, or wait for, what, as far as Redis knows.',
    attributes: ['toril.lane.state'],
  },
  'toril.queue.oldest_head.age': {
    kind: 'gauge',
    unit: 's',
    description: 'How long the first job of a lane has waited, of that lane where it is longest.',
  },
  'toril.queue.oldest_runnable_head.age': {
    kind: 'gauge',
    unit: 's',
    description: 'The same, of keys that are not held.',
  },
  'toril.batch.jobs': {
    kind: 'histogram',
    unit: '{job}',
    description: 'Jobs that one batch decides.',
    buckets: BATCH_JOBS,
  },
  'toril.turn.step.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'The steps of a turn: take, fold, commit, acknowledge.',
    attributes: ['toril.turn.step'],
    buckets: STEP_S,
  },
  'toril.lease.wait.duration': {
    kind: 'histogram',
    unit: 's',
    description: "From when a key's lease is wanted to when it is held.",
    buckets: WAIT_S,
  },
  'toril.lease.hold.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'From when a lease is held to when it is given back or lost.',
    buckets: WAIT_S,
  },
  'toril.lease.takeovers': {
    kind: 'counter',
    unit: '{takeover}',
    description: 'Leases taken over from holders that died or froze.',
  },
  'toril.lease.losses': {
    kind: 'counter',
    unit: '{loss}',
    description: 'Leases that ended before their work was committed.',
  },
  'toril.turns': { kind: 'counter', unit: '{turn}', description: 'Turns at the gate.' },
  'toril.commits': {
    kind: 'counter',
    unit: '{commit}',
    description: 'Commits that became the state of their key.',
  },
  'toril.jobs.applied': {
    kind: 'counter',
    unit: '{job}',
    description: 'Jobs that are in a commit which became the state of its key.',
  },
  'toril.jobs.snoozed': {
    kind: 'counter',
    unit: '{snooze}',
    description: 'Times a job gave its worker slot back until its turn.',
  },
  'toril.commits.refused': {
    kind: 'counter',
    unit: '{commit}',
    description:
      'Commits that memcached refused by CAS, or Redis by token; their jobs are folded again.',
    attributes: ['toril.refused_by'],
  },
  'toril.commits.recovered': {
    kind: 'counter',
    unit: '{commit}',
    description: 'Commits that were acknowledged by a successor of their author.',
  },
  'toril.cells.restored': {
    kind: 'counter',
    unit: '{cell}',
    description: 'Cells that memcached had lost or brought back, restored from their copies.',
    attributes: ['toril.found'],
  },
  'toril.cells.lost': {
    kind: 'counter',
    unit: '{cell}',
    description: 'Cells that were lost without a copy.',
  },
  'toril.round_trips': {
    kind: 'counter',
    unit: '{round_trip}',
    description:
      'Answers that turns have waited for: acquire and commit of memcached, take and acknowledge of Redis.',
    attributes: ['toril.server'],
  },
  'toril.keys.stopped': {
    kind: 'gauge',
    unit: '{key}',
    description: 'Keys that this worker has met, and that stand until somebody acts.',
    attributes: ['error.type'],
  },
  'toril.server.available': {
    kind: 'gauge',
    unit: '1',
    description: 'Whether this worker can reach a server: 1 or 0.',
    attributes: ['server.address'],
  },
};

export type Attributes = Readonly<Record<string, string>>;

/** What a counter or a gauge stands at. */
export interface Reading {
  readonly metric: ObservedName;
  readonly attributes: Attributes;
  readonly value: number;
}

/**
 * Where metrics go. Counters and gauges are read when somebody collects them: on the way of a job they are a number in
 * this process. Only histograms are told each value.
 */
export interface Meters {
  /** How to record a value in the metric's unit. */
  histogram(metric: HistogramName, attributes: Attributes): (value: number) => void;
  /** `read` is called for each collection, and never rejects. */
  observe(read: () => Promise<readonly Reading[]>): void;
}
