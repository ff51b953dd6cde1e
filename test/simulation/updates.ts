/**
 * The updates of a simulation, by kind of trouble. Each appends its job's id to a list, so that the
 * value tells which jobs made it, in which order, and two orders never look the same.
 */
import type { Clock } from '../../src/base/clock.ts';
import { pause } from '../../src/base/clock.ts';
import {
  type AnyUpdate,
  DELETE_CELL,
  defineUpdate,
  type UpdateContext,
} from '../../src/updates/update.ts';
import { defineTransaction } from '../../src/updates/transaction.ts';
import type { Application } from './observer.ts';
import type { ProcessClock } from './process-clock.ts';
import type { World } from './world.ts';

export const UPDATE_KINDS = [
  /** At once, making a new value. */
  'append',
  /** At once, changing the value it was given; reports no result. */
  'quiet',
  /** After a promise. */
  'async',
  /** After some milliseconds. */
  'slow',
  /** Promises more: no older holder's write lands once it has begun. */
  'strict',
  /** Fails some times. */
  'flaky',
  /** Acts on the outside world, which fails now and then: strict, and not deterministic. */
  'fickle',
  /** Changes the value it was given, then fails. */
  'spoil',
  /** Never settles, some times. */
  'hang',
  /** Kills its process, some times. */
  'lethal',
  /** Makes a value that memcached cannot store. */
  'huge',
  /** Gives the value a second to live. */
  'expire',
  /** Deletes the value. */
  'erase',
] as const;

/** Of several keys; only in runs with transactions. */
export const JOINT_KINDS = [
  /** At once, making new values. */
  'transfer',
  /** Changes the values it was given, then fails, some times. */
  'uncovered',
  /** Deletes the value of its first key. */
  'sweep',
] as const;
type JointKind = (typeof JOINT_KINDS)[number];
export type UpdateKind = (typeof UPDATE_KINDS)[number] | JointKind;

interface Value {
  jobs: string[];
  /** Only in a value that must never be seen: of a job that failed. */
  spoilt?: string;
  ballast?: string;
}

export interface Data {
  readonly key: string;
  /** Of a job of several keys. */
  readonly keys?: readonly string[];
  /** Attempts that fail. */
  readonly fails: number;
  /** Processes that it kills. */
  readonly kills: number;
  /** Milliseconds that it takes. */
  readonly ms: number;
}

/** Said by every failure that is the update's own. */
const OWN_FAILURE = 'own failure';
/** Milliseconds after which `hang` is given up. */
const HANG_TIMEOUT_MS = 40;

type Outcome = Value | typeof DELETE_CELL;
type Body = (value: Value, data: Data, context: UpdateContext) => Outcome | Promise<Outcome>;

/** For one process: `die` kills it. */
export function updatesFor(
  world: World,
  clock: ProcessClock,
  die: () => void,
  process: string,
  kinds: readonly UpdateKind[],
): AnyUpdate[] {
  const bodies = bodiesFor(world, clock, die);
  return [...new Set(kinds)].map((kind) => {
    const { onFailure, onExhausted } = world.options.settings[kind];
    if (isJoint(kind)) return transactionFor(world, process, kind);
    return defineUpdate({
      name: kind,
      key: (data: Data) => data.key,
      initial: (): Value => ({ jobs: [] }),
      apply: (value: Value, data: Data, context) =>
        observed({ world, clock, process, kind, body: bodies[kind] }, value, data, context),
      result: (value, _data, context) =>
        kind === 'quiet' ? undefined : resultOf(value, context.jobId),
      onFailure,
      onExhausted,
      strict: isStrict(kind),
      ...(kind === 'expire' && { expireSeconds: 1 }),
      ...(kind === 'hang' && { timeoutMs: HANG_TIMEOUT_MS }),
    });
  });
}

function isJoint(kind: UpdateKind): kind is JointKind {
  return (JOINT_KINDS as readonly string[]).includes(kind);
}

/** Each of its keys is a chain of its own for the auditor, which compares what was committed of them. */
function transactionFor(world: World, process: string, kind: JointKind): AnyUpdate {
  const { settings, failAfterMs } = world.options;
  const { onFailure, onExhausted } = settings[kind];
  return defineTransaction({
    name: kind,
    keys: (data: Data) => data.keys ?? [],
    initial: (): Value => ({ jobs: [] }),
    apply: (values, data, context) => {
      const { jobId, token, sequence, attempt, keys } = context;
      world.trace.note(
        process,
        `apply job ${jobId} (${kind}, attempt ${attempt}) of ${keys.join(' ')}`,
      );
      const applications = keys.map((key, at): Application => {
        const before = JSON.stringify(values[at]);
        return {
          ...{ process, key, jobId, token, sequence, before },
          ...{ after: undefined, result: '', isFencedOff: false },
        };
      });
      for (const application of applications) world.auditor.appliedJoint(application);
      if (kind === 'uncovered' && attempt <= data.fails) {
        values[0]?.jobs.push('spoilt');
        world.auditor.threw(jobId, kind);
        throw new Error(`${OWN_FAILURE} of job ${jobId}`);
      }
      const made = values.map(({ jobs }, at) =>
        kind === 'sweep' && at === 0 ? DELETE_CELL : { jobs: [...jobs, jobId] },
      );
      applications.forEach((application, at) => {
        const value = made[at];
        application.after = value === DELETE_CELL ? 'deleted' : JSON.stringify(value);
        application.result = JSON.stringify({ by: jobId });
      });
      return made;
    },
    result: (_values, _data, { jobId }) => ({ by: jobId }),
    onBlocked: failAfterMs > 0 ? { failAfterMs } : 'wait',
    onFailure,
    onExhausted,
  });
}

export function isStrict(kind: string): boolean {
  return kind === 'strict' || kind === 'fickle';
}

function resultOf(value: Value | undefined, jobId: string): { at: number; by: string } {
  return { at: value?.jobs.length ?? 0, by: jobId };
}

interface Scene {
  readonly world: World;
  readonly clock: ProcessClock;
  readonly process: string;
  readonly kind: UpdateKind;
  readonly body: Body;
}

function observed(
  { world, clock, process, kind, body }: Scene,
  value: Value,
  data: Data,
  context: UpdateContext,
): Outcome | Promise<Outcome> {
  const { key, jobId, token, sequence, attempt } = context;
  world.trace.note(process, `apply job ${jobId} (${kind}, attempt ${attempt}) of ${key}`);
  const application: Application = {
    process,
    key,
    jobId,
    token,
    sequence,
    before: JSON.stringify(value),
    after: undefined,
    result: '',
    isFencedOff: false,
  };
  world.auditor.applied(application);
  const ended = isStrict(kind)
    ? world.auditor.startedStrict(application, () => context.signal.aborted || !clock.runs)
    : undefined;
  const keep = (outcome: Outcome): Outcome => {
    ended?.();
    const made = outcome === DELETE_CELL ? undefined : outcome;
    application.after = made === undefined ? 'deleted' : JSON.stringify(made);
    if (kind !== 'quiet') application.result = JSON.stringify(resultOf(made, jobId));
    return outcome;
  };
  try {
    const outcome = body(value, data, context);
    return outcome instanceof Promise
      ? outcome.then(keep, (thrown: Error) => {
          ended?.();
          world.auditor.threw(jobId, kind);
          throw thrown;
        })
      : keep(outcome);
  } catch (thrown) {
    ended?.();
    world.auditor.threw(jobId, kind);
    throw thrown;
  }
}

function bodiesFor(
  world: World,
  clock: Clock,
  die: () => void,
): Record<(typeof UPDATE_KINDS)[number], Body> {
  const append: Body = (value, _data, { jobId }) => ({ jobs: [...value.jobs, jobId] });
  const appendInPlace: Body = (value, _data, { jobId }) => {
    value.jobs.push(jobId);
    return value;
  };
  const failing = (data: Data, { attempt, jobId }: UpdateContext): void => {
    if (attempt <= data.fails) throw new Error(`${OWN_FAILURE} of job ${jobId}`);
  };
  return {
    append,
    quiet: appendInPlace,
    async: async (value, data, context) => append(value, data, context),
    slow: async (value, data, context) => {
      await pause(clock, data.ms, context.signal);
      return append(value, data, context);
    },
    strict: append,
    flaky: (value, data, context) => {
      failing(data, context);
      return append(value, data, context);
    },
    fickle: async (value, data, context) => {
      await pause(clock, data.ms, context.signal);
      if (world.failsByChance()) failing({ ...data, fails: context.attempt }, context);
      return append(value, data, context);
    },
    spoil: (value, data, context) => {
      value.jobs.unshift('spoilt');
      value.spoilt = context.jobId;
      failing(data, context);
      value.jobs.shift();
      delete value.spoilt;
      return appendInPlace(value, data, context);
    },
    hang: (value, data, context) => {
      if (context.attempt > data.fails) return append(value, data, context);
      world.auditor.threw(context.jobId, 'hang');
      return new Promise(() => {});
    },
    lethal: (value, data, context) => {
      if (!world.kills(context.jobId, data.kills)) return append(value, data, context);
      die();
      return new Promise(() => {});
    },
    huge: (value, _data, context) => {
      world.auditor.threw(context.jobId, 'huge');
      return {
        jobs: [...value.jobs, context.jobId],
        ballast: 'x'.repeat(world.options.itemSizeMax),
      };
    },
    expire: append,
    erase: () => DELETE_CELL,
  };
}
