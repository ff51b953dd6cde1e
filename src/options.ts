/** Every default of a worker, its unit, and how the options relate. */
import { misspelt } from './base/misspelt.ts';
import { TorilError } from './errors.ts';

/** How a worker combines the jobs of a key. All limits are per key. */
export interface TorilWorkerOptions {
  /** Milliseconds that a lease lasts without renewal; a dead holder is succeeded about so long after. */
  readonly leaseMs: number;
  /** Jobs per commit at most. */
  readonly batchJobsMax: number;
  /** Characters of job data per commit at most. */
  readonly batchDataMax: number;
  /** Milliseconds after which a commit is made though more jobs wait. */
  readonly batchMs: number;
  /** Commits under one lease at most, so that other processes get their turn. */
  readonly batchesPerLease: number;
  /** Milliseconds that a delivered job waits for its turn before it gives its worker slot back. */
  readonly patienceMs: number;
  /** Milliseconds for which a job gives its slot back at most. */
  readonly snoozeMsMax: number;
  /** Milliseconds after which jobs look again at a lane that cannot go on (held, blocked, unreachable). */
  readonly blockedMs: number;
  /** Times a job may be applied alone after its process died with it; then it fails for good. */
  readonly stallsMax: number;
  /** Milliseconds that closing waits for what is being applied. */
  readonly closeMs: number;
  /** Keep the value in Redis too, so that losing memcached loses nothing. */
  readonly durableCopies: boolean;
  /** Record what is committed, for replay and audit: nothing, everything, or commits with jobs of these updates. */
  readonly history: 'off' | 'on' | readonly string[];
  /** Commits that the history keeps, about; one of several keys counts once for each. */
  readonly historyLengthMax: number;
  /** Milliseconds that it keeps them, about; 0: for ever. */
  readonly historyAgeMs: number;
  /** Characters of JSON up to which a value is recorded in full with every commit, not only its hash. */
  readonly historyValueMax: number;
  /** Commits of a key after which its value is recorded in full, whatever its size. */
  readonly checkpointEvery: number;
}

export const WORKER_DEFAULTS: TorilWorkerOptions = {
  leaseMs: 10_000,
  batchJobsMax: 500,
  batchDataMax: 1_000_000,
  batchMs: 100,
  batchesPerLease: 20,
  patienceMs: 50,
  snoozeMsMax: 120_000,
  blockedMs: 1_000,
  stallsMax: 2,
  closeMs: 10_000,
  durableCopies: true,
  history: 'off',
  historyLengthMax: 100_000,
  historyAgeMs: 0,
  historyValueMax: 200,
  checkpointEvery: 100,
};

/**
 * An option that is nearly called as a known one would be left out without a word.
 * @param taker for the message: what takes the options
 * @throws TorilError INVALID_OPTIONS
 */
export function refuseMisspelt(taker: string, given: object, known: readonly string[]): void {
  const found = misspelt(given, known);
  if (found === undefined) return;
  throw new TorilError(
    'INVALID_OPTIONS',
    `${taker} has no option "${found.name}". Did you mean "${found.meant}"?`,
  );
}

/** Milliseconds for which a queue tries to add jobs by default, */
export const ENQUEUE_MS = 60_000;
/** and in which limits it may be told otherwise. */
const ENQUEUE_MS_LIMITS = [100, 3_600_000] as const;

/** Milliseconds for which a queue that closes waits for what is being added. */
const QUEUE_CLOSE_MS = 5_000;

/** @throws TorilError INVALID_OPTIONS */
export function queueCloseMsOf(given: number | undefined): number {
  const [min, max] = LIMITS.closeMs;
  const closeMs = given ?? QUEUE_CLOSE_MS;
  if (Number.isInteger(closeMs) && closeMs >= min && closeMs <= max) return closeMs;
  throw new TorilError(
    'INVALID_OPTIONS',
    `closeMs must be a whole number from ${min} to ${max}, not ${String(given)}.`,
  );
}

/** @throws TorilError INVALID_OPTIONS */
export function enqueueMsOf(given: number | undefined): number {
  const [min, max] = ENQUEUE_MS_LIMITS;
  const enqueueMs = given ?? ENQUEUE_MS;
  if (Number.isInteger(enqueueMs) && enqueueMs >= min && enqueueMs <= max) return enqueueMs;
  throw new TorilError(
    'INVALID_OPTIONS',
    `enqueueMs must be a whole number from ${min} to ${max}, not ${String(given)}.`,
  );
}

const LIMITS: Record<
  Exclude<keyof TorilWorkerOptions, 'durableCopies' | 'history'>,
  readonly [min: number, max: number]
> = {
  leaseMs: [100, 3_600_000],
  batchJobsMax: [1, 5_000],
  batchDataMax: [1, 100_000_000],
  batchMs: [1, 60_000],
  batchesPerLease: [1, 1_000_000],
  patienceMs: [0, 60_000],
  snoozeMsMax: [10, 3_600_000],
  blockedMs: [10, 3_600_000],
  stallsMax: [0, 1_000],
  closeMs: [0, 3_600_000],
  historyLengthMax: [1, 1_000_000_000],
  historyAgeMs: [0, 1_000_000_000_000],
  historyValueMax: [0, 1_000_000],
  checkpointEvery: [1, 1_000_000],
};

/**
 * Fills in the defaults and checks every option alone and against the others.
 * @param requestDeadlineMs of the memcached connection
 * @throws TorilError INVALID_OPTIONS, naming the option, or both where two contradict each other
 */
export function checkedWorkerOptions(
  given: Partial<TorilWorkerOptions>,
  requestDeadlineMs: number,
): TorilWorkerOptions {
  const options: TorilWorkerOptions = { ...WORKER_DEFAULTS, ...withoutUndefined(given) };
  for (const [name, [min, max]] of Object.entries(LIMITS)) {
    const value: unknown = options[name as keyof TorilWorkerOptions];
    if (!Number.isInteger(value) || Number(value) < min || Number(value) > max) {
      throw new TorilError(
        'INVALID_OPTIONS',
        `${name} must be a whole number from ${min} to ${max}, not ${String(value)}.`,
      );
    }
  }
  if (typeof options.durableCopies !== 'boolean') {
    throw new TorilError(
      'INVALID_OPTIONS',
      `durableCopies must be true or false, not ${String(options.durableCopies)}.`,
    );
  }
  checkHistory(options.history);
  checkLeaseAgainstDeadline(options.leaseMs, requestDeadlineMs);
  if (options.patienceMs > options.snoozeMsMax) {
    throw new TorilError(
      'INVALID_OPTIONS',
      `patienceMs (${options.patienceMs}) must not be longer than snoozeMsMax (${options.snoozeMsMax}).`,
    );
  }
  return options;
}

function checkHistory(history: unknown): void {
  const isList =
    Array.isArray(history) && history.length > 0 && history.every((one) => typeof one === 'string');
  if (isList || history === 'on' || history === 'off') return;
  throw new TorilError(
    'INVALID_OPTIONS',
    `history must be "off", "on" or a list of names of updates, not ${JSON.stringify(history)}.`,
  );
}

/** @throws TorilError INVALID_OPTIONS */
export function checkLeaseAgainstDeadline(leaseMs: number, requestDeadlineMs: number): void {
  if (leaseMs > requestDeadlineMs) return;
  throw new TorilError(
    'INVALID_OPTIONS',
    `leaseMs (${leaseMs}) must be longer than the memcached option requestDeadlineMs (${requestDeadlineMs}): a single slow request would lose the lease. Raise leaseMs or lower requestDeadlineMs.`,
  );
}

function withoutUndefined<T extends object>(given: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  ) as Partial<T>;
}

/** `off`: BullMQ's own scripts complete and fetch each job of a worker. */
export type FastPath = 'auto' | 'off';

/** @throws TorilError INVALID_OPTIONS */
export function fastPathOf(given: unknown): FastPath {
  if (given === undefined || given === 'auto') return 'auto';
  if (given === 'off') return given;
  throw new TorilError(
    'INVALID_OPTIONS',
    `fastPath must be 'auto' or 'off', not ${describe(given)}.`,
  );
}

function describe(given: unknown): string {
  return typeof given === 'string' ? `'${given}'` : typeof given;
}
