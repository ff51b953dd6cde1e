/** What a fold starts from, what it must know, and what comes out. */
import type { KnownOrigin, Origin } from '../../history/history.ts';
import type { Lanes } from '../../jobs/lanes.ts';
import type { LaneEntry } from '../../jobs/lane.ts';
import type { UpdateRegistry } from '../../updates/update-registry.ts';
import type { TorilWorkerOptions } from '../../options.ts';
import type { TurnObserver } from '../../telemetry/observer.ts';
import type { Arrival, Settlement } from '../deliveries/arrival.ts';
import type { GateContext } from '../gate/gate-context.ts';
import type { KeyMemory } from '../gate/key-memory.ts';

/** Why a batch ends where it ends. */
export type Stop =
  /** Every entry is decided. */
  | { readonly kind: 'end' }
  /** Commit what there is, then go on: a limit was reached, or the next job must be alone. */
  | { readonly kind: 'commit' }
  /** Nothing of it is committed, and it starts over in a moment. */
  | { readonly kind: 'again' }
  /** The next job waits for its own delivery: it failed or stalled before, or the queue is paused. */
  | { readonly kind: 'delivery'; readonly jobId: string }
  /** The next job's update is not registered in this process. */
  | { readonly kind: 'unknown-update'; readonly jobId: string; readonly name: string }
  /** The next job used up its attempts, and its update says `hold`. */
  | { readonly kind: 'held'; readonly jobId: string; readonly reason: string }
  /** The next job has several keys: it is decided at all of them, or not at all. */
  | { readonly kind: 'joint' }
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

/** A batch and what will be stored of it. */
export interface FittingBatch {
  readonly batch: Batch;
  /** The envelope; empty if there is nothing to commit. */
  readonly bytes: Buffer;
  /** Undefined: deleted. */
  readonly valueJson: string | undefined;
  readonly expireMs: number;
  readonly origin: Origin;
}

export interface FoldStart {
  /** Makes the value that the fold starts from, a new copy each time, since updates may change what they get. */
  readonly fresh: () => unknown;
  readonly watermark: number;
  /** Where that value comes from. */
  readonly origin: KnownOrigin;
  /** Memcached has lost the cell: its value came back from its copy, or began anew, since none is kept. */
  readonly instead?: 'restored' | 'lost' | undefined;
  /** Jobs up to this sequence fail because an earlier one cascaded. */
  readonly cascadeTo: number;
  readonly token: number;
  /** The value's lifetime, unless an update gives it another one; 0: for ever. */
  readonly expireMs: number;
}

/** The turn that a fold is part of, as far as it concerns a fold. */
export interface FoldTurn {
  readonly key: string;
  /** The entries are jobs of several keys, and the value is that of all of them (updates/calling/joint-updates.ts). */
  readonly isJoint?: true;
  readonly context: FoldContext;
  readonly memory: KeyMemory;
  readonly lease: FoldLease;
  readonly observer?: Pick<TurnObserver, 'within'> | undefined;
  /** Jobs that were delivered to this process. */
  readonly arrivals: { get(jobId: string): Arrival | undefined };
  readonly server: { readonly facts: { readonly itemSizeMax: number } | undefined };
  /** Since when an asynchronous update has been waited for: monotonic milliseconds. */
  awaitingSinceMs: number | undefined;
  /** The job that was begun alone under this lease, since it had stalled before. */
  begunAlone: string | undefined;
  /** The first `count` entries are applied, or the last of them is being applied. */
  beginApply(entries: readonly LaneEntry[], count: number): void;
  /** The worker closes: no further update may be begun. */
  closing(): boolean;
  /** Only delivered jobs may be applied: the queue or the worker is paused, or rate limited. */
  onlyDelivered(): boolean;
}

type FoldContext = Pick<GateContext, 'queue' | 'clock' | 'report' | 'inTrace' | 'log'> & {
  readonly registry: Pick<UpdateRegistry, 'find'>;
  readonly options: Pick<TorilWorkerOptions, 'batchMs' | 'stallsMax'>;
  readonly lanes: Pick<Lanes, 'direct' | 'startAlone'>;
};

interface FoldLease {
  /** Milliseconds that it lasts if the process is too busy to renew it. */
  readonly durationMs: number;
  readonly signal: AbortSignal;
  /** `epoch`: of the connection to the server. */
  readonly connection: { readonly epoch: number };
  trustLeftMs(): number;
}

export function isStrict(
  entries: readonly LaneEntry[],
  registry: Pick<UpdateRegistry, 'find'>,
): boolean {
  return entries.some(({ name }) => registry.find(name)?.strict === true);
}
