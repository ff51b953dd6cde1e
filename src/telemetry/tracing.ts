/** Where spans go: the contract between the recorder and what makes spans of what it tells. */

/** The operations of a queue, as messaging conventions name their kinds. */
export const OPERATIONS = {
  enqueue: 'send',
  take: 'receive',
  process: 'process',
  acknowledge: 'settle',
} as const;

export type Operation = keyof typeof OPERATIONS;

export interface Tracing {
  /** A span around `add`; its context is what `add` gets for the jobs. */
  enqueue<T>(
    queue: string,
    jobs: number,
    add: (trace: string | undefined) => Promise<T>,
  ): Promise<T>;
  /** A span of its own trace. Undefined: nobody wants it. */
  turn(queue: string, key: string, waitedMs: number): TurnSpan | undefined;
}

/** One turn. Times are monotonic milliseconds. */
export interface TurnSpan {
  within<T>(call: () => T): T;
  /** The turn is about jobs of whose producers' telemetry this was left. */
  link(trace: string): void;
  /** A step of it. `jobs`: undefined for what is none of the queue's operations. */
  step(
    name: 'take' | 'commit' | 'acknowledge',
    sinceMs: number,
    untilMs: number,
    jobs?: number,
  ): void;
  end(end: TurnEnd): void;
}

export interface TurnEnd {
  /** Jobs that it decided, and of these applied. */
  readonly decided: number;
  readonly applied: number;
  readonly batches: number;
  /** `idle`, `more`, `again`, `blocked` or `unavailable`. */
  readonly kind: string;
  /** Of the error that ended it. */
  readonly errorCode: string | undefined;
}
