/** A run as the page shows it: what happened, moment after moment, and how each key stood right after it. */
import { CANARIES } from '../../test/simulation/canaries.ts';
import type { RunOptions } from '../../test/simulation/options.ts';
import {
  type NoteListener,
  Run,
  type RunReport,
  type RunSettings,
} from '../../test/simulation/run.ts';
import type { Steps } from '../../test/simulation/scheduler.ts';
import type { Note } from '../../test/simulation/trace.ts';
import { KeyWatch, type KeyState } from './key-watch.ts';
import type { Setup } from './setup.ts';

export type Sort = 'fault' | 'broken' | 'update' | 'redis' | 'bullmq' | 'memcached' | 'other';

export interface Moment {
  readonly atMs: number;
  /** The row of the time line. */
  readonly actor: string;
  /** Within the row: which process, of those that take one place one after the other. */
  readonly who: string;
  readonly what: string;
  readonly sort: Sort;
  /** The same object as before as long as nothing has changed. */
  readonly keys: readonly KeyState[];
}

export interface Story {
  readonly setup: Setup;
  /** Of all that happened: the same seed gives the same, here and in Node. */
  readonly hash: string;
  /** Rows of the time line, in their order. */
  readonly actors: readonly string[];
  /** Of a very long run, its beginning and its end. */
  readonly moments: readonly Moment[];
  /** The promise that was broken, if one was: its last moment tells it. */
  readonly broken: { readonly promise: string; readonly what: string } | undefined;
}

/** Takes the steps of a run; gives what was rejected meanwhile without anybody handling it. */
export type Taking = (steps: Steps) => Promise<readonly unknown[]>;

export async function storyOf(setup: Setup, take: Taking): Promise<Story> {
  const moments: Moment[] = [];
  const watch = new KeyWatch();
  const report = await runOf(setup, take, (note, world) => {
    watch.look(note, world);
    moments.push({
      atMs: note.atMs,
      actor: actorOf(note.who),
      who: note.who,
      what: note.what,
      sort: sortOf(note),
      keys: watch.states,
    });
  });
  const [broken] = report.violations;
  const shown = withoutMiddle(moments);
  return { setup, hash: report.hash, actors: actorsOf(shown), moments: shown, broken };
}

/** Of a run that does not come to an end there are 200,000; a page can show some thousands. */
const SHOWN_MAX = 3_000;

function withoutMiddle(moments: readonly Moment[]): readonly Moment[] {
  const gap = moments[SHOWN_MAX / 2];
  const left = moments.length - SHOWN_MAX;
  if (gap === undefined || left <= 0) return moments;
  return [
    ...moments.slice(0, SHOWN_MAX / 2),
    { ...gap, what: `(${left} moments are left out)`, sort: 'other' },
    ...moments.slice(-SHOWN_MAX / 2 + 1),
  ];
}

/** The first seed from the setup's on with which a promise is broken; undefined: none of so many. */
export async function brokenSeed(
  setup: Setup,
  seedsMax: number,
  take: Taking,
  onTried: (seeds: number) => void,
): Promise<number | undefined> {
  for (let tried = 0; tried < seedsMax; tried++) {
    const seed = setup.seed + tried;
    const { violations } = await runOf({ ...setup, seed }, take);
    if (violations.length > 0) return seed;
    onTried(tried + 1);
  }
  return undefined;
}

async function runOf(setup: Setup, take: Taking, onNote?: NoteListener): Promise<RunReport> {
  const run = new Run({ ...settingsOf(setup), onNote });
  return run.report(await take(run.steps()));
}

/** Where faults were picked they are to be seen: this many steps of the protocol have one right behind them, at least. */
const STEP_FAULTS_MIN = 0.15;

function settingsOf({ seed, guard, faults, severalKeys }: Setup): RunSettings {
  const damage = CANARIES[guard ?? ''] ?? {};
  const options = (drawn: RunOptions): RunOptions => {
    const damaged = damage.options?.(drawn) ?? drawn;
    if (faults.length === 0) return damaged;
    const stepFaultRate = Math.max(damaged.stepFaultRate, STEP_FAULTS_MIN);
    return { ...damaged, faults, stepFaultRate };
  };
  return { seed, damage: { ...damage, options }, transactions: severalKeys };
}

/** What the rows are called that are no processes. */
const ACTORS: Readonly<Record<string, string>> = {
  '*': 'faults',
  bull: 'BullMQ',
  redis: 'Redis',
  auditor: 'auditor',
};

/** Processes are named by their place and a number: those that take a place one after the other share a row. */
function actorOf(who: string): string {
  const [, worker] = /^p(\d+)-/.exec(who) ?? [];
  if (worker !== undefined) return `worker ${Number(worker) + 1}`;
  return ACTORS[who] ?? who.replace(/\d+$/, '');
}

const FIRST = ['faults', 'producer'];
const LAST = ['BullMQ', 'Redis', 'auditor'];

function actorsOf(moments: readonly Moment[]): string[] {
  const all = [...new Set(moments.map(({ actor }) => actor))];
  const isEdge = (actor: string): boolean => FIRST.includes(actor) || LAST.includes(actor);
  const workers = all.filter((actor) => !isEdge(actor)).toSorted();
  return [
    ...FIRST.filter((actor) => all.includes(actor)),
    ...workers,
    ...LAST.filter((actor) => all.includes(actor)),
  ];
}

/** Said by `run.ts`. */
const FAULTS_END = 'nothing goes wrong from now on';
/** Requests of `memcached-wire.ts`, by their first word. */
const REQUEST = /^(get|gat|add|replace|delete|bump|look at) /;

function sortOf({ who, what }: Note): Sort {
  if (who === 'auditor') return 'broken';
  if (who === '*') return what === FAULTS_END ? 'other' : 'fault';
  if (who === 'redis') return 'redis';
  if (who === 'bull') return 'bullmq';
  if (what.startsWith('apply ')) return 'update';
  return REQUEST.test(what) ? 'memcached' : 'other';
}
