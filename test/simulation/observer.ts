/** What the auditor is told. Plain facts, seen where they happen; nothing of how the product works. */

/** What BullMQ does with jobs. */
export interface BullObserver {
  delivered(jobId: string, lock: string): void;
  completed(jobId: string, result: string): void;
  /** For good. */
  failed(jobId: string, reason: string): void;
  /** An attempt was used up, and the job will be tried again. */
  charged(jobId: string, reason: string): void;
  /** A worker says what became of a delivery, which may be its own no more. */
  heard(jobId: string, lock: string): void;
  stalled(jobId: string): void;
}

/** One call of an update. */
export interface Application {
  readonly process: string;
  readonly key: string;
  readonly jobId: string;
  readonly token: number;
  readonly sequence: number;
  /** JSON of the value it was given. */
  readonly before: string;
  /** JSON of the value it made; `deleted`; undefined: it threw, or has not ended. */
  after: string | undefined;
  /** JSON of what it reported; empty: nothing. */
  result: string;
  /** A store outside that heeds fencing tokens would have refused it: a higher one was there before. */
  isFencedOff: boolean;
}
