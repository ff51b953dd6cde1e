import { TorilError } from '../errors.ts';
import { type GateOptions, gateOptions } from '../options.ts';
import type { AnyUpdate } from '../jobs/update.ts';

/** The history is always on: assertions read it. */
type BedGateOptions = Omit<
  GateOptions,
  'history' | 'historyLengthMax' | 'historyAgeMs' | 'historyValueMax' | 'checkpointEvery'
>;

/** A worker's own options (leaseMs, batchJobsMax, durableCopies, ...) mean what they mean in production. */
export interface TestBedOptions extends Partial<BedGateOptions> {
  /** The updates that the bed's queue and workers know. */
  readonly updates: readonly AnyUpdate[];
  /** Decides whatever is left to chance: who gets a job, jitter. Default: always the same. */
  readonly seed?: string | number;
  /** The wall clock at the beginning; milliseconds since 1970 or a date. Default 2024-01-01, UTC. */
  readonly now?: number | Date;
  /** Worker processes; default 2. */
  readonly workers?: number;
  /** Jobs that one worker has in hand at most; default 8. */
  readonly concurrency?: number;
  /** The queue's name; default `test`. */
  readonly queue?: string;
  /** Milliseconds until another worker takes the place of one that crashed; default 1,000; Infinity: nobody does. */
  readonly restartMs?: number;
  /** BullMQ's option: milliseconds after which a frozen or dead worker's jobs count as stalled; default 30,000. */
  readonly lockDuration?: number;
  /** BullMQ's option: milliseconds between two looks for stalled jobs; default 30,000. */
  readonly stalledInterval?: number;
  /** Bytes of memcached's largest item; default 1 MiB. */
  readonly itemSizeMax?: number;
  /** Real milliseconds for which an asynchronous update is waited for before virtual time moves on; default 1,000. */
  readonly realWaitMs?: number;
}

export interface BedSettings {
  readonly updates: readonly AnyUpdate[];
  readonly seed: string;
  readonly startMs: number;
  readonly workers: number;
  readonly concurrency: number;
  /** The queue's qualified name. */
  readonly queueName: string;
  readonly restartMs: number;
  readonly lockMs: number;
  readonly stalledCheckMs: number;
  readonly itemSizeMax: number | undefined;
  readonly realWaitMs: number;
  readonly gate: GateOptions;
}

/** Milliseconds since 1970: a whole second, so that times in tests are easy to read. */
const START_MS = 1_704_067_200_000;
/** Of the in-memory connection. */
const REQUEST_DEADLINE_MS = 1_000;
/** Commits: more than any test makes. */
const HISTORY_LENGTH = 1_000_000_000;

const LIMITS = {
  workers: [1, 100],
  concurrency: [1, 10_000],
  restartMs: [1, Number.POSITIVE_INFINITY],
  lockDuration: [1, 86_400_000],
  stalledInterval: [1, 86_400_000],
  itemSizeMax: [1_024, 1_073_741_824],
  realWaitMs: [0, 600_000],
} as const;

/** @throws TorilError INVALID_OPTIONS */
export function bedSettings(options: TestBedOptions): BedSettings {
  if (!Array.isArray(options?.updates) || options.updates.length === 0) {
    refuse(
      'the option updates is missing or empty: pass what defineUpdate() returned, in an array',
    );
  }
  for (const [name, [min, max]] of Object.entries(LIMITS)) {
    const value = options[name as keyof typeof LIMITS];
    const isFine = value === undefined || (value >= min && value <= max);
    if (!isFine) refuse(`${name} must be a number from ${min} to ${max}, not ${String(value)}`);
  }
  const { now = START_MS, seed = 'toril' } = options;
  const startMs = typeof now === 'number' ? now : now.getTime();
  if (!Number.isSafeInteger(startMs) || startMs < 0) {
    refuse(`now must be a date or milliseconds since 1970, not ${String(now)}`);
  }
  return {
    updates: options.updates,
    seed: String(seed),
    startMs,
    workers: options.workers ?? 2,
    concurrency: options.concurrency ?? 8,
    queueName: `bull:${options.queue ?? 'test'}`,
    restartMs: options.restartMs ?? 1_000,
    lockMs: options.lockDuration ?? 30_000,
    stalledCheckMs: options.stalledInterval ?? 30_000,
    itemSizeMax: options.itemSizeMax,
    realWaitMs: options.realWaitMs ?? 1_000,
    gate: gateOptions(gateOptionsOf(options), REQUEST_DEADLINE_MS),
  };
}

function gateOptionsOf(options: TestBedOptions): Partial<GateOptions> {
  const { leaseMs, batchJobsMax, batchDataMax, batchMs, batchesPerLease } = options;
  const { patienceMs, parkMsMax, blockedMs, stallsMax, closeMs, durableCopies } = options;
  const batches = { batchJobsMax, batchDataMax, batchMs, batchesPerLease };
  const waiting = { leaseMs, patienceMs, parkMsMax, blockedMs, stallsMax, closeMs, durableCopies };
  const history = { history: 'on', historyLengthMax: HISTORY_LENGTH } as const;
  return { ...batches, ...waiting, ...history } as Partial<GateOptions>;
}

function refuse(what: string): never {
  throw new TorilError('INVALID_OPTIONS', `createTestBed: ${what}.`);
}
