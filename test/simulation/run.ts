/** One run of the simulation, from its seed to its verdict. */
import type { HistoryEntry } from '../../src/history/history.ts';
import type { Violation } from './auditor.ts';
import { Faults } from './faults.ts';
import { optionsFrom, type RunOptions, withTransactions } from './options.ts';
import { Scheduler, type Steps } from './scheduler.ts';
import { type Note, Trace } from './trace.ts';
import { Workload } from './workload.ts';
import { type Damage, World } from './world.ts';

export interface RunReport {
  readonly seed: number;
  readonly options: RunOptions;
  /** Empty: every promise was kept. */
  readonly violations: readonly Violation[];
  /** Of everything that happened, in its order. */
  readonly hash: string;
  readonly events: number;
  readonly virtualMs: number;
  /** How often what happened. */
  readonly counts: Readonly<Record<string, number>>;
}

export interface RunSettings {
  readonly seed: number;
  readonly damage?: Damage;
  /** With jobs of several keys. */
  readonly transactions?: boolean;
  readonly onNote?: NoteListener | undefined;
}

/** Is told of everything that happens, right after it has. It must only look. */
export type NoteListener = (note: Note, world: World) => void;

/** Milliseconds within which every lane must drain once nothing goes wrong any more. */
const LIVENESS_MS = 60_000;

/**
 * It knows no host: whoever runs it takes its steps (simulate.ts in Node, site/playground in a browser), and says which
 * promises were rejected meanwhile without anybody handling it.
 */
export class Run {
  readonly #world: World;

  constructor({ seed, damage = {}, transactions = false, onNote }: RunSettings) {
    const drawn = transactions ? withTransactions(optionsFrom(seed)) : optionsFrom(seed);
    const scheduler = new Scheduler();
    const listener = onNote && ((note: Note) => onNote(note, this.#world));
    const trace = new Trace(() => scheduler.nowMs, listener);
    this.#world = new World(damage.options?.(drawn) ?? drawn, scheduler, trace, damage);
  }

  steps(): Steps {
    return drive(this.#world);
  }

  /** To be called once, after the last step. @param unhandled what was rejected */
  report(unhandled: readonly unknown[]): RunReport {
    const { auditor, trace, scheduler, options, counts } = this.#world;
    const { violations } = auditor;
    for (const reason of unhandled) {
      // Assertions of the product end there.
      const what = reason instanceof Error ? (reason.stack ?? reason.message) : String(reason);
      violations.push({ promise: 'fault', what, atMs: scheduler.nowMs });
    }
    for (const { promise, what } of violations) trace.note('auditor', `${promise}: ${what}`);
    return {
      seed: options.seed,
      options,
      violations,
      hash: trace.hash,
      events: scheduler.events,
      virtualMs: scheduler.nowMs,
      counts,
    };
  }
}

function* drive(world: World): Steps {
  const { scheduler, options, auditor, trace } = world;
  const workload = new Workload(world);
  const faults = new Faults(world);
  for (let place = 0; place < options.processes; place++) world.startProcess(place);
  workload.start();
  faults.start();
  const isViolated = (): boolean => auditor.violations.length > 0;
  yield* scheduler.run(options.safetyMs, isViolated);
  if (isViolated()) return;
  trace.note('*', 'nothing goes wrong from now on');
  faults.heal();
  yield* scheduler.run(
    options.safetyMs + LIVENESS_MS,
    () => isViolated() || (workload.done && isDrained(world)),
  );
  if (isViolated()) return;
  if (!isDrained(world)) auditor.violations.push(wedge(world));
  auditor.finish(copiesOf(world), yield* historyOf(world));
}

/** Undefined: this run keeps none. */
function* historyOf({ jobs, options }: World): Steps<readonly HistoryEntry[] | undefined> {
  if (options.gate.history === 'off') return undefined;
  let entries: readonly HistoryEntry[] | undefined;
  const whole = { after: 0, until: Number.MAX_SAFE_INTEGER };
  void jobs.history.read(whole).then((page) => ({ entries } = page));
  yield;
  return entries;
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
  return jobs.joint.behind().map(({ token }) => token);
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
