/**
 * What the clients saw: each process writes its own file, one JSON line per event, at once, so that
 * a SIGKILL loses nothing that it has said. All processes of a machine read the same monotonic clock.
 */
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export type UpdateName = 'append' | 'slow' | 'strict' | 'skip' | 'delete' | 'brief' | 'transfer';

/** Whether a key's value may go: `mortal` ones are deleted now and then, `brief` ones expire. */
export type Lifetime = 'lasting' | 'mortal' | 'brief';
export const lifetimeOf = (key: string): Lifetime =>
  key.startsWith('mortal') ? 'mortal' : key.startsWith('brief') ? 'brief' : 'lasting';
/** Accounts transfer cents among each other. All other updates leave those as they are. */
export const isAccount = (key: string): boolean => key.startsWith('account');
/** Of a brief value, unless it is changed again. */
export const BRIEF_SECONDS = 2;

/** How a job comes to its lane, if not in the moment in which it is asked for. */
type Way = 'delayed' | 'child' | 'parent' | 'scheduled';

/** What a producer asks for. */
export interface Operation {
  /** Nobody else's; also the job's id, if it is `named`. */
  readonly op: string;
  readonly key: string;
  readonly update: UpdateName;
  readonly named: boolean;
  /** Attempts that fail, and those that it has. */
  readonly failures: number;
  readonly attempts: number;
  readonly way?: Way;
  /** Of a delayed one. */
  readonly delayMs?: number;
  /** Operations that must be done before this one, their parent. */
  readonly children?: readonly string[];
  /** Of a transfer: the account to which `cents` go from `key`. */
  readonly to?: string;
  readonly cents?: number;
}

/** Whose values it changes. */
export const keysOf = ({ key, to }: Operation): readonly string[] =>
  to === undefined ? [key] : [key, to];

/** A value as the updates make it; `h` depends on everything that went into it, in order. */
export interface Value {
  readonly n: number;
  readonly h: string;
  /** Of accounts. */
  readonly cents?: number;
}

/** Without what is beside it where it is stored. */
export const valueOf = ({ n, h, cents }: Value): Value =>
  cents === undefined ? { n, h } : { n, h, cents };

export interface Call {
  readonly key: string;
  readonly op: string;
  readonly jobId: string;
  readonly update: UpdateName;
  readonly sequence: number;
  readonly token: number;
  readonly attempt: number;
  readonly saw: Value;
  /** Undefined: it threw. A value whose `n` is 0: it deleted the cell. */
  readonly made?: Value;
}

export type Event =
  /** About to be sent; jobs of one bulk are in order. */
  | ({ readonly e: 'asked' } & Operation)
  | { readonly e: 'enqueued'; readonly op: string; readonly jobId: string }
  | ({ readonly e: 'called' } & Call)
  | { readonly e: 'completed'; readonly jobId: string; readonly result: Value }
  | { readonly e: 'failed'; readonly jobId: string; readonly reason: string }
  /** Of the gate. */
  | { readonly e: 'gate'; readonly name: string; readonly key: string; readonly more: string }
  /** A reader found another value than last time; asked for at `sinceUs`, by monotonic clock. */
  | {
      readonly e: 'read';
      readonly server: number;
      readonly key: string;
      readonly sinceUs: number;
      readonly token: number;
      /** Undefined: there is none. */
      readonly value?: Value;
    }
  /** All accounts as of one moment since `sinceUs`; those that are missing were not touched yet. */
  | {
      readonly e: 'snapshot';
      readonly sinceUs: number;
      readonly values: Readonly<Record<string, Value>>;
    }
  /** A stock client of BullMQ's has done something, and it took it since `sinceUs`. */
  | {
      readonly e: 'meddled';
      readonly call: string;
      readonly sinceUs: number;
      readonly effect: 'removed' | 'retried' | 'failures retried' | 'promoted' | 'nothing';
      /** Undefined: to which jobs is not known; to any, or to any that had not `finished`. */
      readonly jobIds?: readonly string[];
      readonly finished: boolean;
    }
  /** An update of another data set, on the same memcached. */
  | { readonly e: 'strange'; readonly key: string; readonly saw: Value; readonly made?: Value }
  /** An operator has said of a key that its copy is true, because of the error's code; it took it since `sinceUs`. */
  | {
      readonly e: 'settled';
      readonly key: string;
      readonly sinceUs: number;
      readonly code: string;
      readonly end: string;
    }
  /** Redis has lost what it acknowledged from `fromUs` on. */
  | { readonly e: 'wentBack'; readonly fromUs: number }
  /** Said by whoever carries out the faults. */
  | { readonly e: 'fault'; readonly kind: string; readonly target: string; readonly more: string }
  /** memcached server `server` may have lost values from `fromUs` to the event's own time. */
  | { readonly e: 'lost'; readonly server: number; readonly fromUs: number };

export type Happened = Event & {
  /** Microseconds on the machine's monotonic clock. */
  readonly us: number;
  /** Of the process, with its incarnation: `worker-2.7`. */
  readonly by: string;
};

/** With which an operation fails that is meant to. */
export const failureText = (op: string, attempt: number): string =>
  `attempt ${attempt} of ${op} fails`;

export const nowUs = (): number => Number(process.hrtime.bigint() / 1000n);

export class Recorder {
  readonly #by: string;
  readonly #file: number;

  constructor(folder: string, by: string) {
    this.#by = by;
    this.#file = openSync(join(folder, `${by}.jsonl`), 'a');
  }

  note(event: Event): void {
    writeSync(this.#file, `${JSON.stringify({ us: nowUs(), by: this.#by, ...event })}\n`);
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** All that was written into the folder, in order of time. */
export function readHistory(folder: string): Happened[] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.jsonl'));
  return files
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n').flatMap(parsed))
    .toSorted((a, b) => a.us - b.us);
}

/** The last line of a killed process may be torn. */
function parsed(line: string): Happened[] {
  try {
    return line === '' ? [] : [JSON.parse(line) as Happened];
  } catch {
    return [];
  }
}
