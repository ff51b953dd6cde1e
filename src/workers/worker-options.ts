import type { WorkerOptions as BullWorkerOptions } from 'bullmq';
import { TorilError } from '../errors.ts';
import { WORKER_OPTIONS } from '../jobs/bullmq/option-names.ts';
import { checkConnection } from '../redis/connection-option.ts';
import type { Observer } from '../telemetry/observer.ts';
import type { AnyUpdate } from '../updates/update.ts';
import { longestDeadlineMs, type MemcachedSetting } from '../memcached/options.ts';
import {
  type FastPath,
  fastPathOf,
  WORKER_DEFAULTS,
  type TorilWorkerOptions,
  checkedWorkerOptions,
  refuseMisspelt,
} from '../options.ts';

/** What may be left out may be given as undefined, also with `exactOptionalPropertyTypes`. */
type OrUndefined<T> = { readonly [Name in keyof T]?: T[Name] | undefined };

/** BullMQ's own options and Toril's, side by side. */
export interface WorkerOptions
  extends Omit<BullWorkerOptions, 'maxStartedAttempts'>,
    OrUndefined<TorilWorkerOptions> {
  /**
   * The memcached servers: `'host:port'`, several of them, an object with credentials and TLS, or a `memjs.Client`.
   * Default: those of memjs' environment variables.
   */
  readonly memcached?: MemcachedSetting | undefined;
  /** The updates that this worker can apply; jobs of others wait for a worker that can. */
  readonly updates: readonly AnyUpdate[];
  /**
   * For development: runs each update three times, and fails its job with UPDATE_NOT_REPEATABLE if it does
   * not give the same again. Default false.
   */
  readonly verifyUpdates?: boolean | undefined;
  /** `'off'`: BullMQ's own scripts complete and fetch each job (docs/bullmq.md). Default `'auto'`: where they may, Toril's do. */
  readonly fastPath?: FastPath | undefined;
  /** Measures what it does: `openTelemetry()` of toril/opentelemetry, for example. BullMQ's own option is `telemetry`. */
  readonly observer?: Observer | undefined;
}

const OWN_OPTIONS: readonly string[] = [
  ...Object.keys(WORKER_DEFAULTS),
  ...Object.keys({
    ...{ memcached: true, updates: true, verifyUpdates: true, fastPath: true, observer: true },
  } satisfies Record<
    Exclude<keyof WorkerOptions, keyof BullWorkerOptions | keyof TorilWorkerOptions>,
    true
  >),
];

/** An option that is neither BullMQ's nor a setting of the gate must be taken out by `splitOptions`, or that does not compile. */
type TakenOut = {
  readonly [Name in keyof WorkerOptions]?: Name extends
    | keyof BullWorkerOptions
    | keyof TorilWorkerOptions
    ? unknown
    : never;
};

export interface SplitOptions {
  /** Toril's, complete. */
  readonly own: TorilWorkerOptions;
  readonly bull: BullWorkerOptions;
  readonly fastPath: FastPath;
}

/**
 * Which options are whose.
 * @throws TorilError INVALID_OPTIONS
 */
export function splitOptions(given: WorkerOptions): SplitOptions {
  const refuse = (what: string): never => {
    throw new TorilError('INVALID_OPTIONS', what);
  };
  if (typeof given !== 'object' || given === null)
    refuse('a worker needs options: connection, memcached and updates.');
  refuseMisspelt('a worker', given, [...WORKER_OPTIONS, ...OWN_OPTIONS]);
  if (given.connection !== undefined) checkConnection(given.connection); // BullMQ says that it is missing
  if (!Array.isArray(given.updates) || given.updates.length === 0) {
    refuse(
      'the option updates is missing or empty: pass what defineUpdate() or defineTransaction() returned, in an array.',
    );
  }
  if ((given as BullWorkerOptions).maxStartedAttempts !== undefined) {
    refuse(
      'maxStartedAttempts counts deliveries, and a job that waits for its turn is delivered several times. Use attempts, and stallsMax for jobs that kill their process.',
    );
  }
  const {
    memcached,
    updates: _updates,
    verifyUpdates: _verifyUpdates,
    autorun: _autorun,
    fastPath,
    observer: _observer,
    maxStalledCount,
    stallsMax = maxStalledCount,
    ...others
  } = given;
  const isOwn = ([name]: [string, unknown]): boolean => Object.hasOwn(WORKER_DEFAULTS, name);
  const all = Object.entries(others satisfies TakenOut);
  const own = { ...Object.fromEntries(all.filter(isOwn)), stallsMax };
  const bull = Object.fromEntries(all.filter((option) => !isOwn(option)));
  return {
    fastPath: fastPathOf(fastPath),
    own: checkedWorkerOptions(own as Partial<TorilWorkerOptions>, longestDeadlineMs(memcached)),
    // BullMQ must not fail a job for stalling by itself: its update may be in the chain already.
    bull: {
      ...(bull as unknown as BullWorkerOptions),
      autorun: false,
      maxStalledCount: Number.MAX_SAFE_INTEGER,
    },
  };
}
