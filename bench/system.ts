/**
 * What a system under test has to offer. The same harness drives them all, in processes of their
 * own: a producer that fills the queue, workers that empty it, and a look at the values.
 */
import type { Value, Work } from './work.ts';

/** Where the servers are. */
export interface Site {
  /** URL */
  readonly redis: string;
  /** host:port */
  readonly memcached: string;
  /** URL; undefined: there is no PostgreSQL here. */
  readonly postgres: string | undefined;
  /** URL of the built product's main module. */
  readonly product: string;
}

export interface ProducerSettings {
  /** Keep nothing of a completed job. Default: whatever the system does by default. */
  readonly removeOnComplete?: boolean;
}

export interface Producer {
  /** Adds the jobs in this order, in one call where the system has one for many. */
  enqueue(works: readonly Work[]): Promise<void>;
  close(): Promise<void>;
}

export interface WorkerSettings {
  readonly concurrency: number;
  /** How many keys the jobs are about: a system may be set up for that. */
  readonly keys: number;
  /** Updates are declared strict (Toril only). */
  readonly strict: boolean;
  /** What is committed is recorded (Toril only). */
  readonly history: boolean;
  /** Milliseconds that its locks, and BullMQ's own, live. Default: whatever the system advises. */
  readonly lockMs?: number;
  /** The value of a key that has none. */
  readonly initial: () => Value;
  /** The work itself: pure but for a note of what it did. */
  readonly change: (value: Value, work: Work) => Value | Promise<Value>;
  /** To be called whenever a job has been completed as the system sees it. */
  readonly onCompleted: (work: Work) => void;
  /** To be called whenever a job has failed for good. */
  readonly onFailed: (cause: unknown) => void;
}

export interface Worker {
  /** Begins to fetch jobs; connected already. */
  start(): void;
  close(): Promise<void>;
}

export interface System {
  /** Connected when it resolves. */
  openProducer(site: Site, run: string, settings: ProducerSettings): Promise<Producer>;
  /** Connected, but not fetching yet, when it resolves. */
  openWorker(site: Site, run: string, settings: WorkerSettings): Promise<Worker>;
  /** Undefined: the system keeps no values. */
  readonly readValues?: (site: Site, keys: readonly string[]) => Promise<(Value | undefined)[]>;
  /** Removes what the run has left in a place that only the system knows. */
  readonly forget?: (site: Site, run: string) => Promise<void>;
}
