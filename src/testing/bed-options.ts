import { TorilError } from '../errors.ts';
import {
  type FastPath,
  fastPathOf,
  type TorilWorkerOptions,
  checkedWorkerOptions,
} from '../options.ts';
import type { AnyInvariant } from '../history/invariants/invariant.ts';
import type { AnyUpdate } from '../updates/update.ts';
import type { RecordingSource } from './bed-start.ts';
import type { BackoffStrategy, BedJobOptions } from './bullmq/job-options.ts';

/** The history is always on: assertions read it. */
type BedWorkerOptions = Omit<
  TorilWorkerOptions,
  'history' | 'historyLengthMax' | 'historyAgeMs' | 'historyValueMax' | 'checkpointEvery'
>;

/** A worker's own options (leaseMs, batchJobsMax, durableCopies, ...) mean what they mean in production. */
export interface TestBedOptions extends Partial<BedWorkerOptions> {
  /** The updates that the bed's queue and workers know. */
  readonly updates: readonly AnyUpdate[];
  /** As a worker's: runs each update three times, and fails its job with UPDATE_NOT_REPEATABLE if it does not give the same again. */
  readonly verifyUpdates?: boolean | undefined;
  /** What must hold: asked after each job, as its commit is acknowledged; running the bed fails at the first that does not. */
  readonly invariants?: readonly AnyInvariant[] | undefined;
  /** A worker's, accepted and checked: nothing depends on it but speed. */
  readonly fastPath?: FastPath | undefined;
  /** The values that keys have at the beginning, as if they had been adopted. */
  readonly values?: Readonly<Record<string, unknown>>;
  /** Begins with the values of a recording: a file's path, or its lines with their newlines. Updates must be synchronous. */
  readonly recording?: RecordingSource;
  /** With `recording`: up to and with the commit of this job (its id), or of this line. Default: the end. */
  readonly upTo?: string | number;
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
  /** BullMQ's options: of jobs that do not say so themselves. `true`: an id may be used again. */
  readonly removeOnComplete?: BedJobOptions['removeOnComplete'];
  readonly removeOnFail?: BedJobOptions['removeOnFail'];
  /** BullMQ's option: with it, `backoffStrategy` says how long jobs wait whose backoff has a type of your own. */
  readonly settings?: { readonly backoffStrategy?: BackoffStrategy };
  /** BullMQ's name for `stallsMax`. */
  readonly maxStalledCount?: number;
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
  readonly gate: TorilWorkerOptions;
  readonly verifies: boolean;
  readonly invariants: readonly AnyInvariant[] | undefined;
  readonly removeOnComplete: BedJobOptions['removeOnComplete'];
  readonly removeOnFail: BedJobOptions['removeOnFail'];
  readonly backoffStrategy: BackoffStrategy | undefined;
  readonly start: Pick<TestBedOptions, 'values' | 'recording' | 'upTo'>;
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
      'the option updates is missing or empty: pass what defineUpdate() or defineTransaction() returned, in an array',
    );
  }
  if (Object.hasOwn(options, 'maxStartedAttempts')) {
    refuse(
      'maxStartedAttempts counts deliveries, and a job that waits for its turn is delivered several times: use attempts, and stallsMax for jobs that kill their process',
    );
  }
  for (const [name, [min, max]] of Object.entries(LIMITS)) {
    const value = options[name as keyof typeof LIMITS];
    const isFine = value === undefined || (value >= min && value <= max);
    if (!isFine) refuse(`${name} must be a number from ${min} to ${max}, not ${String(value)}`);
  }
  fastPathOf(options.fastPath);
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
    gate: checkedWorkerOptions(ownOptionsOf(options), REQUEST_DEADLINE_MS),
    verifies: options.verifyUpdates === true,
    invariants: options.invariants,
    removeOnComplete: options.removeOnComplete,
    removeOnFail: options.removeOnFail,
    backoffStrategy: options.settings?.backoffStrategy,
    start: options,
  };
}

/** The type lists each of a worker's options, so that a new one that is not passed on does not compile. */
type PassedOn = { [Name in keyof BedWorkerOptions]: BedWorkerOptions[Name] | undefined };

function ownOptionsOf(options: TestBedOptions): Partial<TorilWorkerOptions> {
  const { leaseMs, batchJobsMax, batchDataMax, batchMs, batchesPerLease } = options;
  const { patienceMs, snoozeMsMax, blockedMs, closeMs, durableCopies, maxStalledCount } = options;
  const { stallsMax = maxStalledCount } = options;
  const own: PassedOn = {
    leaseMs,
    batchJobsMax,
    batchDataMax,
    batchMs,
    batchesPerLease,
    patienceMs,
    snoozeMsMax,
    blockedMs,
    stallsMax,
    closeMs,
    durableCopies,
  };
  const history = { history: 'on', historyLengthMax: HISTORY_LENGTH } as const;
  return { ...own, ...history } as Partial<TorilWorkerOptions>;
}

function refuse(what: string): never {
  throw new TorilError('INVALID_OPTIONS', `createTestBed: ${what}.`);
}
