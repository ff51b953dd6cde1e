/** One run of the simulation, from its seed to its verdict. */
import type { Violation } from './auditor.ts';
import { Faults } from './faults.ts';
import { optionsFrom, type RunOptions, withTransactions } from './options.ts';
import { Scheduler } from './scheduler.ts';
import { Trace } from './trace.ts';
import { Workload } from './workload.ts';
import { type Damage, World } from './world.ts';

export interface RunReport {
  readonly seed: number;
  readonly options: RunOptions;
  /** Empty: every promise was kept. */
  readonly violations: readonly Violation[];
  /** Of everything that happened, in its order. */
  readonly hash: string;
  readonly lines: readonly string[];
  readonly events: number;
  readonly virtualMs: number;
  /** How often what happened. */
  readonly counts: Readonly<Record<string, number>>;
}

export interface RunSettings {
  readonly seed: number;
  readonly traced?: boolean;
  readonly damage?: Damage;
  /** With jobs of several keys. */
  readonly transactions?: boolean;
}

/** Milliseconds within which every lane must drain once nothing goes wrong any more. */
const LIVENESS_MS = 60_000;

export async function runSimulation({
  seed,
  traced = false,
  damage = {},
  transactions = false,
}: RunSettings): Promise<RunReport> {
  await nextTurn(); // the scheduler drains promises itself, and cannot from within one
  const drawn = transactions ? withTransactions(optionsFrom(seed)) : optionsFrom(seed);
  const options = damage.options?.(drawn) ?? drawn;
  const scheduler = new Scheduler();
  const trace = new Trace(traced, () => scheduler.nowMs);
  const world = new World(options, scheduler, trace, damage);
  const failures = watchForFailures();
  const { stackTraceLimit } = Error;
  // Stacks are for people, and cost as much as an update.
  if (!traced) Error.stackTraceLimit = 0;
  try {
    await inMacrotask(() => drive(world));
    await nextTurn(); // promises that were rejected and dropped are reported now
  } finally {
    failures.stop();
    Error.stackTraceLimit = stackTraceLimit;
  }
  const { violations } = world.auditor;
  for (const failure of failures.seen) {
    violations.push({ promise: 'fault', what: failure, atMs: scheduler.nowMs });
  }
  for (const { promise, what } of violations) trace.note('auditor', `${promise}: ${what}`);
  return {
    seed,
    options,
    violations,
    hash: trace.hash,
    lines: trace.lines,
    events: scheduler.events,
    virtualMs: scheduler.nowMs,
    counts: world.counts,
  };
}

function drive(world: World): void {
  const { scheduler, options, auditor, trace } = world;
  const workload = new Workload(world);
  const faults = new Faults(world);
  for (let place = 0; place < options.processes; place++) world.startProcess(place);
  workload.start();
  faults.start();
  const isViolated = (): boolean => auditor.violations.length > 0;
  scheduler.run(options.safetyMs, isViolated);
  if (isViolated()) return;
  trace.note('*', 'nothing goes wrong from now on');
  faults.heal();
  scheduler.run(
    options.safetyMs + LIVENESS_MS,
    () => isViolated() || (workload.done && isDrained(world)),
  );
  if (isViolated()) return;
  if (!isDrained(world)) auditor.violations.push(wedge(world));
  auditor.finish(copiesOf(world));
}

/** Every job is done with, and no lane holds a job that exists. */
function isDrained({ jobs, keys, bull }: World): boolean {
  if (bull.places.unfinished > 0 || behind(jobs).length > 0) return false;
  return keys.every((key) =>
    jobs.inspect(key, ALL).head.every(({ jobId }) => jobs.get(jobId) === undefined),
  );
}

/** Joint commits whose cells nobody has seen to. */
function behind(jobs: World['jobs']): readonly number[] {
  return jobs.joint.behind({ forMs: -LIVENESS_MS }).map(({ token }) => token);
}

const ALL = 10_000;

function wedge({ jobs, keys, scheduler }: World): Violation {
  const pending = [...jobs.all()]
    .filter(({ state }) => state !== 'completed' && state !== 'failed')
    .map(({ id, state }) => `${id} ${state}`);
  const lanes = keys.map(
    (key) =>
      `${key}: [${jobs
        .inspect(key, ALL)
        .head.map(({ jobId }) => jobId)
        .join(' ')}]`,
  );
  return {
    promise: 'P6',
    what: `not drained after ${LIVENESS_MS} ms without faults; jobs: ${pending.join(', ')}; lanes: ${lanes.join(' ')}; behind: ${behind(jobs).join(' ')}`,
    atMs: scheduler.nowMs,
  };
}

function copiesOf({ jobs, keys }: World): Map<string, string> {
  const copies = new Map<string, string>();
  for (const key of keys) {
    const { value } = jobs.inspect(key, 0).copy;
    if (typeof value === 'object') copies.set(key, value.json);
  }
  return copies;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

function inMacrotask(work: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        work();
        resolve();
      } catch (thrown) {
        reject(thrown as Error);
      }
    });
  });
}

/** Assertions of the product end in rejections that nobody handles. */
function watchForFailures(): { readonly seen: string[]; stop(): void } {
  const seen: string[] = [];
  const listener = (reason: unknown): void => {
    seen.push(reason instanceof Error ? (reason.stack ?? reason.message) : String(reason));
  };
  process.on('unhandledRejection', listener);
  return { seen, stop: () => void process.off('unhandledRejection', listener) };
}
