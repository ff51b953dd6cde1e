/** The updates that most tests use: their values tell afterwards what was applied, when and how often. */
import {
  type AnyUpdate,
  defineTransaction,
  defineUpdate,
  type Update,
  type UpdateContext,
} from '../../src/index.ts';

/** What one job does. Everything about it follows from its data, so that every worker does the same. */
export interface Entry {
  readonly key: string;
  /** Tells the test's jobs apart. */
  readonly n: number;
  /** Attempts that fail before one succeeds. */
  readonly failures?: number;
  /** Milliseconds that the update takes. */
  readonly takesMs?: number;
  /** It never settles. */
  readonly hangs?: boolean;
  /** Kills the process that applies it. */
  readonly poison?: boolean;
}

/** One applied job: its number, its sequence and its token. */
export type Line = readonly [n: number, sequence: number, token: number];

/** Where a job ended up in its key's log: its result, different for every job of a key. */
export type Position = number;

export class Refusal extends Error {
  override readonly name = 'Refusal';
}

function write(log: Line[], entry: Entry, context: UpdateContext): Line[] | Promise<Line[]> {
  const { n, failures = 0, takesMs = 0, hangs = false, poison = false } = entry;
  if (poison) process.kill(process.pid, 'SIGKILL');
  const line: Line = [n, context.sequence, context.token];
  // Before it fails: whoever throws may have spoilt its value already, and it must not show.
  log.push(line);
  if (context.attempt <= failures) throw new Refusal(`attempt ${context.attempt} of job ${n}`);
  if (hangs) return new Promise(() => {});
  if (takesMs === 0) return log;
  return new Promise((resolve) => setTimeout(() => resolve(log), takesMs));
}

type Settings = Pick<AnyUpdate, 'onFailure' | 'onExhausted'>;

/** Appends a line to the key's log. Neither commutes with others nor may be applied twice. */
function logging(
  name: string,
  settings: Partial<Settings> = {},
): Update<string, Line[], Entry, Entry, Position> {
  return defineUpdate({
    name,
    key: (entry: Entry) => entry.key,
    initial: (): Line[] => [],
    apply: (log: Line[], entry: Entry, context) => write(log, entry, context),
    result: (log) => (log?.length ?? 0) - 1,
    ...settings,
  });
}

/** One update for each pair of failure settings, as `log`, `log-block-hold` and so on. */
export const log: Update<string, Line[], Entry, Entry, Position> = logging('log');
export const logOr = {
  hold: logging('log-hold', { onExhausted: 'hold' }),
  cascade: logging('log-cascade', { onExhausted: 'cascade' }),
  skip: logging('log-skip', { onFailure: 'skip' }),
  skipHold: logging('log-skip-hold', { onFailure: 'skip', onExhausted: 'hold' }),
  skipCascade: logging('log-skip-cascade', { onFailure: 'skip', onExhausted: 'cascade' }),
};

/** What worker processes know. */
export const allUpdates: readonly AnyUpdate[] = [log, ...Object.values(logOr)];

/** Numbers that were moved, in the values of both keys. Worker processes know it if they are told its name. */
export const move: AnyUpdate = defineTransaction({
  name: 'move',
  keys: ({ keys }: { keys: [string, string]; n: number; poison?: boolean }) => keys,
  initial: (): number[] => [],
  apply: ([from, to], { n, poison = false }) => {
    if (poison) process.kill(process.pid, 'SIGKILL');
    return [
      [...from, n],
      [...to, n],
    ];
  },
});
