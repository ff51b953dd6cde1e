/**
 * The updates of the chaos, for producers and workers alike. A value's hash is made of the one
 * before and the job, so that every value tells all that went into it, in order, and each call of an
 * update tells from which value it came to which.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AnyUpdate, defineUpdate, DELETE_CELL, type UpdateContext } from '../../src/index.ts';
import {
  BRIEF_SECONDS,
  type Call,
  failureText,
  type Operation,
  type UpdateName,
  type Value,
} from './history.ts';

export interface Data extends Operation {
  /** Milliseconds that a slow update takes. */
  readonly ms: number;
}

/** A value with its ballast, so that cells are of many sizes and large ones travel in many segments. */
interface Stored extends Value {
  readonly ballast: string;
}

const BALLAST_BYTES = [0, 0, 0, 100, 400, 1_500, 6_000, 20_000];

function step(saw: Value, op: string, jobId: string): Value {
  const text = `${saw.h} ${op} ${jobId}`;
  return { n: saw.n + 1, h: createHash('sha256').update(text).digest('hex').slice(0, 16) };
}

/** What a deletion is known by: the next value begins anew, and does not tell of it. */
const grave = (op: string): Value => ({ n: 0, h: `deleted by ${op}` });

/** @param note told of each call before the update returns */
export function updatesWith(note: (call: Call) => void): readonly AnyUpdate[] {
  const define = (name: UpdateName, settings: object): AnyUpdate =>
    defineUpdate({
      name,
      key: ({ key }: Data) => key,
      initial: (key: string): Stored => ({ n: 0, h: '', ballast: ballastOf(key) }),
      apply: (value: Stored, data: Data, context) => apply(name, value, data, context, note),
      result: (value: Stored | undefined, { op }: Data): Value =>
        value === undefined ? grave(op) : { n: value.n, h: value.h },
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
  ];
}

function apply(
  update: UpdateName,
  { ballast, ...saw }: Stored,
  { key, op, failures }: Data,
  { jobId, sequence, token, attempt }: UpdateContext,
  note: (call: Call) => void,
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
  const made = step(saw, op, jobId);
  note({ ...call, made });
  return { ...made, ballast };
}

function ballastOf(key: string): string {
  const index = Number(/\d+$/.exec(key)?.[0] ?? 0);
  return 'x'.repeat(BALLAST_BYTES[index % BALLAST_BYTES.length] ?? 0);
}
