/**
 * What queues and workers tell those who measure them: the contract. Without an observer nothing of this is called. Engines:
 * recorder.ts makes metrics and spans of it, for OpenTelemetry (../opentelemetry.ts) and for Prometheus
 * (../cli/http/prometheus.ts). No method may throw or wait: a turn at the gate goes on behind it.
 */

/** One per process is enough: for all of its queues and workers. */
export interface Observer {
  /** Of a producer. */
  queue(name: string): QueueObserver;
  worker(site: ObservedWorker): WorkerObserver;
}

export interface QueueObserver {
  /**
   * Runs `add`, which adds so many jobs, and settles as it does.
   * @param add gets what is to be left with the jobs, so that who applies them can name their trace; undefined: nothing
   */
  enqueue<T>(jobs: number, add: (trace: string | undefined) => Promise<T>): Promise<T>;
}

/** A worker, as far as it is looked at whenever somebody collects its metrics. */
export interface ObservedWorker {
  /** The queue's name. */
  readonly queue: string;
  /** What waits in the whole queue; undefined: Redis does not say, or not in time. */
  readonly backlog: () => Promise<Backlog | undefined>;
  /** What the worker itself knows. */
  readonly sight: () => WorkerSight;
}

export interface WorkerSight {
  /** `redis`, and each memcached as `host:port`. */
  readonly servers: readonly { readonly server: string; readonly available: boolean }[];
  /** Keys that it has met and that stand until somebody acts: how many, by the code of why. */
  readonly stopped: ReadonlyMap<string, number>;
}

/** Of a queue, in one moment. */
export interface Backlog {
  /** Jobs that wait for a worker, the snoozed ones included. */
  readonly waiting: number;
  /** Jobs that workers have. */
  readonly active: number;
  /** Jobs that wait for a time. */
  readonly delayed: number;
  /** Keys with jobs that a worker can do something for. */
  readonly runnable: number;
  /** Keys that a failed job holds. */
  readonly held: number;
  /** Milliseconds since the first job of a lane entered it, whose is the oldest; 0: all lanes are empty. */
  readonly oldestHeadMs: number;
  /** The same, of lanes that are not held. */
  readonly oldestRunnableHeadMs: number;
  /** Of the keys whose first job has waited longest (50 of them): how many are in which state, as `why` knows it from Redis. */
  readonly oldestStates: ReadonlyMap<string, number>;
}

export interface WorkerObserver {
  /** An event of the worker (workers/worker-events.ts). */
  event(name: string, facts: object): void;
  /** A key's lease is asked for: one request to memcached. */
  asksForLease(): void;
  /**
   * A key's lease is held. @param wantedMs since when it was wanted: monotonic milliseconds
   */
  turn(key: string, wantedMs: number): TurnObserver;
  /** The worker is over, and is asked for nothing any more. */
  close(): void;
}

/**
 * One turn. Each method ends the step that began where the one before it ended: take, reconcile and fold, commit,
 * acknowledge. A turn may go through them many times, and may end behind any of them.
 */
export interface TurnObserver {
  /** It wants to know what producers' telemetry left with the jobs. */
  readonly wantsTraces: boolean;
  /** Calls an update as part of what is observed; undefined: nothing is to be done. */
  readonly within: (<T>(call: () => T) => T) | undefined;
  /** Redis has answered: the lane's head. */
  took(entries: readonly { readonly trace?: string | undefined }[]): void;
  /** The updates of one batch were called. `decided`: entries of the lane, applied or not. */
  folded(batch: { readonly decided: number; readonly applied: number }): void;
  /** Memcached has answered. */
  committed(): void;
  /** Redis has answered: it took a commit of ours or of a predecessor, or refused it. */
  acknowledged(): void;
  /** The lease is given back, or lost. `cause`: a server is out of reach. */
  ended(end: { readonly kind: string; readonly cause?: { readonly code: string } }): void;
}
