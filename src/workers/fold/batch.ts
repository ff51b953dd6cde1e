/** What a fold starts from, what it must know, and what comes out. */
import type { Clock } from '../../base/clock.ts';
import type { Origin } from '../../history/history.ts';
import type { LaneEntry } from '../../jobs/lanes.ts';
import type { UpdateRegistry } from '../../updates/update-registry.ts';
import type { GateOptions } from '../../options.ts';
import type { Arrival, Settlement } from '../deliveries/arrival.ts';
import type { KeyMemory } from '../key-memory.ts';

/** Why a batch ends where it ends. */
export type Stop =
  /** Every entry is decided. */
  | { readonly kind: 'end' }
  /** Commit what there is, then go on: a limit was reached, or the next job must be alone. */
  | { readonly kind: 'commit' }
  /** Nothing of it is committed, and it begins anew in a moment. */
  | { readonly kind: 'again' }
  /** The next job waits for its own delivery: it failed or stalled before, or the queue is paused. */
  | { readonly kind: 'delivery'; readonly jobId: string }
  /** The next job's update is not registered in this process. */
  | { readonly kind: 'unknown-update'; readonly jobId: string; readonly name: string }
  /** The next job used up its attempts, and its update says `hold`. */
  | { readonly kind: 'held'; readonly jobId: string; readonly reason: string }
  /** The worker closes: what is decided is committed, nothing more is begun. */
  | { readonly kind: 'closing' }
  /** The lease is over: nothing of this batch may be committed. */
  | { readonly kind: 'lost' };

export interface Batch {
  /** Undefined: the cell is deleted, or there was nothing and is nothing. */
  readonly value: unknown;
  readonly watermark: number;
  /** Encoded decisions that must be named (anything but "applied, without a result"). */
  readonly decisions: ReadonlyMap<string, string>;
  /** Entries passed over because somebody else had completed their jobs. */
  readonly unapplied: readonly string[];
  /** What to tell delivered jobs once the batch is acknowledged. */
  readonly settlements: ReadonlyMap<string, Settlement>;
  /** Entries decided, and of these applied. */
  readonly decided: number;
  readonly applied: number;
  /** The value's lifetime, by the last update applied; undefined: as before. */
  readonly expireMs: number | undefined;
  readonly stop: Stop;
}

export interface FoldStart {
  /** Makes the value the fold starts from, anew each time, since updates may change what they get. */
  readonly fresh: () => unknown;
  readonly watermark: number;
  /** Where that value comes from. */
  readonly origin: Origin;
  /** Jobs up to this sequence fail because an earlier one cascaded. */
  readonly cascadeTo: number;
  readonly token: number;
}

export interface FoldRules {
  readonly key: string;
  readonly registry: UpdateRegistry;
  readonly clock: Clock;
  readonly options: Pick<GateOptions, 'batchMs' | 'stallsMax'>;
  readonly memory: KeyMemory;
  /** Characters of results after which a batch ends: they share an item with the value. */
  readonly resultsMax?: number;
  /** Milliseconds that a lease lasts if the process is too busy to renew it. */
  readonly leaseMs: number;
  leaseSignal(): AbortSignal;
  leaseHeld(): boolean;
  /** The worker closes: no further update may be begun. */
  closing(): boolean;
  /** Only delivered jobs may be applied: the queue or the worker is paused, or rate limited. */
  onlyDelivered(): boolean;
  arrivalOf(jobId: string): Arrival | undefined;
  /** Calls in the context that telemetry left with a job. */
  inTrace?<T>(trace: string, call: () => T): T;
  /** A row for a job's log. */
  log?(jobId: string, row: string): void;
  /** The update's `key` names another one than that under which the job has entered its lane. */
  keyChanged(entry: LaneEntry, otherKey: unknown): void;
  /** Counts a job that stalled before, right before it is applied alone. */
  startAlone(jobId: string): Promise<number>;
}

export function isStrict(entries: readonly LaneEntry[], registry: UpdateRegistry): boolean {
  return entries.some(({ name }) => registry.find(name)?.strict === true);
}
