/**
 * What a run is like, all of it drawn from the seed. Swarm testing (Groce et al., 2012): each run has
 * some features and some faults switched off altogether, since a few of them at a time go deeper
 * than all of them at once.
 */
import type { OnExhausted, OnFailure } from '../../src/updates/update.ts';
import { type TorilWorkerOptions, checkedWorkerOptions } from '../../src/options.ts';
import { Dice } from './dice.ts';
import { FAULT_KINDS, type FaultKind } from './faults.ts';
import type { NetworkOptions } from './network.ts';
import { JOINT_KINDS, UPDATE_KINDS, type UpdateKind } from './updates.ts';

interface BullSettings {
  readonly lockMs: number;
  /** Between two looks for stalled jobs, over all processes. */
  readonly stalledCheckMs: number;
  readonly removeOnComplete: boolean;
  readonly removeOnFail: boolean;
}

interface UpdateSetting {
  readonly onFailure: OnFailure;
  readonly onExhausted: OnExhausted;
}

export interface RunOptions {
  readonly seed: number;
  readonly processes: number;
  readonly concurrency: number;
  readonly servers: number;
  readonly keys: number;
  readonly jobs: number;
  /** Processes that enqueue them over connections of their own; 0: they appear in Redis at once. */
  readonly producers: number;
  /** How many jobs have their producer die, or lose its connection, while they are under way. */
  readonly producerFaultRate: number;
  /** Milliseconds over which they are enqueued. */
  readonly spreadMs: number;
  /** Those that are enqueued, some several times. */
  readonly kinds: readonly UpdateKind[];
  readonly settings: Readonly<Record<UpdateKind, UpdateSetting>>;
  /** How many jobs enter their lane with their first delivery only, are delayed, or are lost again. */
  readonly plainRate: number;
  readonly delayedRate: number;
  readonly attemptsMax: number;
  /** Milliseconds after which a job of several keys gives up waiting for the jobs before it; 0: never. */
  readonly failAfterMs: number;
  /** Redis forgets at once which runs of such jobs somebody has in hand, so that several drive them at a time. */
  readonly drivesTogether: boolean;
  readonly failsMax: number;
  readonly killsMax: number;
  readonly slowMsMax: number;
  readonly backoffMs: number;
  /** Some processes do not know some updates. */
  readonly unknownUpdates: boolean;
  readonly rateLimited: boolean;
  readonly gate: TorilWorkerOptions;
  readonly bull: BullSettings;
  readonly network: NetworkOptions;
  readonly requestDeadlineMs: number;
  /** What the processes speak with memcached. */
  readonly protocol: 'meta' | 'binary';
  /** Which of them write locks by CAS, where the protocol has that. */
  readonly locksByCas: 'all' | 'some' | 'none';
  readonly itemSizeMax: number;
  readonly driftMax: number;
  readonly timerLatenessMs: number;
  /** Milliseconds of the phase with faults. */
  readonly safetyMs: number;
  /** Milliseconds between two faults, on average. */
  readonly faultEveryMs: number;
  /** How many steps of the protocol have a fault right behind them. */
  readonly stepFaultRate: number;
  readonly faults: readonly FaultKind[];
  /** Jobs are completed and fetched many at a time, also in the step that acknowledges their commit. */
  readonly fastPath: boolean;
  /** Milliseconds, at most, between two slots that a worker's main loop fills: BullMQ adds a scheduler's next job first. */
  readonly loopLagMs: number;
}

/** Two clocks within this differ by less than the margin of a takeover. */
const DRIFT_MAX = 0.04;
const SAFETY_MS_MAX = 1_000;
const LEASE_MS = [100, 300] as const;

export function optionsFrom(seed: number): RunOptions {
  const dice = new Dice(seed, 'options');
  const producers = new Dice(seed, 'producer options');
  const later = new Dice(seed, 'later faults');
  const fastPath = new Dice(seed, 'shortcuts');
  const leaseMs = Math.round(dice.magnitude(...LEASE_MS));
  const requestDeadlineMs = Math.round(dice.between(20, leaseMs * 0.8));
  const jobs = Math.round(dice.magnitude(2, 30));
  const latencyMsMax = dice.magnitude(0.1, 10);
  // Slower than a key can be worked on, or all at once: with something to do while faults strike.
  const spreadMs = dice.pick([0, 1, 5, 20]) * jobs * latencyMsMax * dice.fraction();
  const safetyMs = Math.min(spreadMs * 1.2 + leaseMs * dice.between(0.5, 3), SAFETY_MS_MAX);
  const durableCopies = dice.chance(0.8);
  const faultsShare = dice.pick([0.1, 0.25, 0.6]);
  return {
    seed,
    processes: dice.pick([1, 2, 2, 3, 3, 3, 4]),
    concurrency: dice.pick([1, 2, 5, 20]),
    servers: dice.pick([1, 1, 2]),
    keys: dice.pick([1, 1, 1, 1, 2, 3]),
    jobs,
    producers: producers.pick([0, 0, 1, 2]),
    producerFaultRate: producers.pick([0, 0.05, 0.3]),
    spreadMs: Math.min(spreadMs, SAFETY_MS_MAX),
    kinds: drawKinds(dice),
    settings: drawSettings(dice),
    plainRate: dice.pick([0, 0, 0.2]),
    delayedRate: dice.pick([0, 0, 0.2]),
    attemptsMax: dice.pick([1, 2, 3, 5]),
    failAfterMs: 0,
    drivesTogether: false,
    failsMax: dice.pick([1, 2, 5]),
    killsMax: dice.pick([1, 2]),
    slowMsMax: dice.magnitude(1, leaseMs * 2),
    backoffMs: dice.pick([0, 5, 30]),
    unknownUpdates: dice.chance(0.1),
    rateLimited: dice.chance(0.1),
    gate: drawGate(dice, leaseMs, requestDeadlineMs, durableCopies, new Dice(seed, 'history')),
    bull: {
      lockMs: Math.round(dice.between(100, 400)),
      stalledCheckMs: Math.round(dice.between(30, 150)),
      removeOnComplete: dice.chance(0.3),
      removeOnFail: dice.chance(0.2),
    },
    network: {
      latencyMsMin: 0.02,
      latencyMsMax,
      splitRate: dice.pick([0, 0.2, 1]),
    },
    requestDeadlineMs,
    protocol: new Dice(seed, 'protocol').pick(['meta', 'binary']),
    locksByCas: new Dice(seed, 'locks').pick(['all', 'some', 'none']),
    itemSizeMax: 8_192,
    driftMax: dice.pick([0, 0, DRIFT_MAX]),
    timerLatenessMs: dice.pick([0, 1, 5]),
    safetyMs,
    faultEveryMs: dice.magnitude(10, safetyMs * 2),
    stepFaultRate: dice.pick([0, 0.05, 0.15, 0.4]),
    faults: FAULT_KINDS.filter((kind) => (isLater(kind) ? later : dice).chance(faultsShare)),
    fastPath: fastPath.chance(0.3),
    loopLagMs: fastPath.pick([0, 0, 5]),
  };
}

/** Kinds that came later have dice of their own, so that runs without them stay what they were. */
function isLater(kind: FaultKind): boolean {
  return ['redis-refuses', 'other-data-set', 'stock-client', 'redis-promotes'].includes(kind);
}

function drawKinds(dice: Dice): UpdateKind[] {
  const kinds = UPDATE_KINDS.filter((kind) => dice.chance(kind === 'slow' ? 0.5 : 0.3));
  return kinds.length === 0 ? ['append'] : kinds;
}

/** The same run, but with several keys, and with jobs that change some of them at a time. */
export function withTransactions(options: RunOptions): RunOptions {
  const dice = new Dice(options.seed, 'transactions');
  const kinds = JOINT_KINDS.filter(() => dice.chance(0.5));
  const joint = kinds.length === 0 ? (['transfer'] as const) : kinds;
  const share = dice.pick([1, 2, 4]);
  return {
    ...options,
    keys: dice.pick([2, 2, 3, 4]),
    // Some of them several times: about as many jobs of several keys as of one, or more, or fewer.
    kinds: [...options.kinds, ...Array.from({ length: share }, () => joint).flat()],
    settings: { ...options.settings, ...drawSettings(dice, JOINT_KINDS) },
    failAfterMs: new Dice(options.seed, 'giving up').pick([0, 0, 0, 1, 20]),
    drivesTogether: new Dice(options.seed, 'driving together').chance(0.5),
    gate: { ...options.gate, durableCopies: true },
  };
}

function drawSettings(
  dice: Dice,
  kinds: readonly UpdateKind[] = UPDATE_KINDS,
): Record<UpdateKind, UpdateSetting> {
  const settings = {} as Record<UpdateKind, UpdateSetting>;
  for (const kind of kinds) {
    settings[kind] = {
      onFailure: dice.pick(['block', 'block', 'skip']),
      onExhausted: dice.pick(['continue', 'continue', 'hold', 'cascade']),
    };
  }
  return settings;
}

/** @param later for settings that came later: without them, runs are what they were */
function drawGate(
  dice: Dice,
  leaseMs: number,
  requestDeadlineMs: number,
  durableCopies: boolean,
  later: Dice,
): TorilWorkerOptions {
  const drawn: TorilWorkerOptions = {
    leaseMs,
    batchJobsMax: dice.pick([1, 2, 5, 500]),
    batchDataMax: dice.pick([1, 100, 1_000_000]),
    batchMs: dice.pick([1, 10, 100]),
    batchesPerLease: dice.pick([1, 2, 20]),
    patienceMs: dice.pick([5, 50]),
    snoozeMsMax: dice.pick([50, 300]),
    blockedMs: dice.pick([30, 150]),
    stallsMax: dice.pick([0, 1, 2, 5]),
    closeMs: dice.pick([0, 50, 500]),
    durableCopies,
    history: dice.chance(0.15) || later.chance(0.3) ? 'on' : 'off',
    historyLengthMax: later.pick([1, 4, 20, 100_000, 100_000]),
    historyAgeMs: later.pick([0, 0, 20, 200]),
    historyValueMax: later.pick([0, 20, 200]),
    checkpointEvery: later.pick([1, 2, 5, 100]),
  };
  return checkedWorkerOptions(drawn, requestDeadlineMs);
}
