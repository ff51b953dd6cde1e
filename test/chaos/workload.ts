/**
 * The updates of the chaos, for producers and workers alike. A value's hash is made of the one
 * before and the job, so that every value tells all that went into it, in order, and each call of an
 * update tells from which value it came to which.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AnyUpdate,
  defineTransaction,
  defineUpdate,
  DELETE_CELL,
  type UpdateContext,
} from '../../src/index.ts';
import { START_CENTS } from '../transfers/accounts.ts';
import {
  BRIEF_SECONDS,
  type Call,
  failureText,
  isAccount,
  type Operation,
  type UpdateName,
  type Value,
  valueOf,
} from './history.ts';

export interface Data extends Operation {
  /** Milliseconds that a slow update takes. */
  readonly ms: number;
}

type Transfer = Data & Required<Pick<Operation, 'to' | 'cents'>>;

/** A value with its ballast, so that cells are of many sizes and large ones travel in many segments. */
interface Stored extends Value {
  readonly ballast: string;
}

const BALLAST_BYTES = [0, 0, 0, 100, 400, 1_500, 6_000, 20_000];

function initial(key: string): Stored {
  const value = { n: 0, h: '', ballast: ballastOf(key) };
  return isAccount(key) ? { ...value, cents: START_CENTS } : value;
}

function step(saw: Value, op: string, jobId: string, change: number): Value {
  const text = `${saw.h} ${op} ${jobId}`;
  const h = createHash('sha256').update(text).digest('hex').slice(0, 16);
  const made = { n: saw.n + 1, h };
  return saw.cents === undefined ? made : { ...made, cents: saw.cents + change };
}

/** What a deletion is known by: the next value begins anew, and does not tell of it. */
const grave = (op: string): Value => ({ n: 0, h: `deleted by ${op}` });

/** @param note told of each call before the update returns */
export function updatesWith(note: (call: Call) => void): readonly AnyUpdate[] {
  const define = (name: UpdateName, settings: object): AnyUpdate =>
    defineUpdate({
      name,
      key: ({ key }: Data) => key,
      initial,
      apply: (value: Stored, data: Data, context) => apply(name, value, data, context, note),
      result: (value: Stored | undefined, { op }: Data): Value =>
        value === undefined ? grave(op) : valueOf(value),
      ...settings,
    });
  return [
    define('append', {}),
    define('slow', {
      async apply(value: Stored, data: Data, context: UpdateContext) {
        await sleep(data.ms);
        return apply('slow', value, data, context, note);
      },
    }),
    define('strict', { strict: true }),
    define('skip', { onFailure: 'skip' }),
    define('delete', {}),
    define('brief', { expireSeconds: BRIEF_SECONDS }),
    transferWith(note),
  ];
}

/** Its calls are told of as two, one for each account; so each account has a chain, as all other keys do. */
function transferWith(note: (call: Call) => void): AnyUpdate {
  return defineTransaction({
    name: 'transfer',
    keys: ({ key, to }: Transfer) => [key, to] as const,
    initial,
    apply([from, to], data, context) {
      const { key, to: other, cents } = data;
      return [
        apply('transfer', from, { ...data, key }, context, note, -cents) as Stored,
        apply('transfer', to, { ...data, key: other }, context, note, cents) as Stored,
      ];
    },
    result: ([from]) => from && valueOf(from),
  });
}

function apply(
  update: UpdateName,
  { ballast, ...saw }: Stored,
  { key, op, failures }: Data,
  { jobId, sequence, token, attempt }: Omit<UpdateContext, 'key'>,
  note: (call: Call) => void,
  change = 0,
): Stored | typeof DELETE_CELL {
  const call = { key, op, jobId, update, sequence, token, attempt, saw };
  if (attempt <= failures) {
    note(call);
    throw new Error(failureText(op, attempt));
  }
  if (update === 'delete') {
    note({ ...call, made: grave(op) });
    return DELETE_CELL;
  }
  const made = step(saw, op, jobId, change);
  note({ ...call, made });
  return { ...made, ballast };
}

function ballastOf(key: string): string {
  const index = Number(/\d+$/.exec(key)?.[0] ?? 0);
  return 'x'.repeat(BALLAST_BYTES[index % BALLAST_BYTES.length] ?? 0);
}
