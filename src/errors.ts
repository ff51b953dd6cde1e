import { isNativeError } from 'node:util/types';

/**
 * Every error that Toril reports on purpose. The code is stable: scripts and dashboards may match
 * on it. The message says what happened and what to do.
 */
export const ERROR_CODES = {
  // What a caller got wrong
  INVALID_OPTIONS: 'an option is missing, nonsense, or contradicts another',
  INVALID_KEY: 'a key is empty, longer than 1 KiB, not a string, or reserved',
  INVALID_DATA: "a job's data fails its schema",
  DATA_NOT_JSON: "a job's data cannot be written as JSON",
  VALUE_NOT_JSON: 'a value written under a lease is not what JSON can hold',
  UNKNOWN_UPDATE: 'no update of that name is registered here',
  DUPLICATE_UPDATE: 'two updates share a name',
  INVALID_JOB_ID: 'a job id is a name that BullMQ needs for itself, or one that it refuses',
  PARENT_MISSING: 'the parent of a job that was to be added does not exist',
  JOB_REFUSED: 'BullMQ refused to add a job',
  BULLMQ_UNSUPPORTED: 'the BullMQ that is installed lacks a script that Toril needs',
  // What an update got wrong: these use up an attempt of its job
  UPDATE_RETURNED_NOTHING: 'an update returned undefined instead of the new value',
  UPDATE_NOT_JSON: 'an update returned what JSON cannot hold',
  INVALID_VALUE: 'a value does not fit the schema of its cell',
  UPDATE_THREW: 'an update threw something that is not an Error',
  UPDATE_TIMED_OUT: 'an update did not settle in time',
  UPDATE_NOT_REPEATABLE:
    'an update did not give the same value each time (checked with verifyUpdates)',
  UPDATE_CANNOT_MOVE_JOB: 'an update threw an error of BullMQ that says that its job was moved',
  RESULT_TOO_LARGE:
    "a job's result does not fit beside its key's value into memcached's largest item",
  VALUE_TOO_LARGE: "the new value does not fit into memcached's largest item",
  // What a job ends with
  JOB_STALLED_TOO_OFTEN: 'the process died whenever it applied this job',
  JOB_CANCELLED: 'the job was cancelled before its update was called',
  JOB_DROPPED: 'an operator dropped the job from its lane',
  LANE_NOT_HELD: 'the lane is not held, so there is nothing to retry, skip or drop',
  QUEUE_MISSING: 'nobody has used a queue of this name in this Redis',
  JOB_CASCADED: 'an earlier job of the same key failed, and its update cascades',
  JOB_NOT_APPLIED: 'somebody who is no worker of Toril completed the job',
  JOB_DAMAGED: "parts of the job's hash in Redis are gone",
  JOINT_BLOCKED: 'a transaction waited too long for the jobs before it at one of its keys',
  LANES_APART: 'a transaction is missing in the lane of one of its keys',
  KEY_CHANGED:
    "an update's key names another key than the one under which the job has entered its lane",
  // What is wrong with a stored value
  FOREIGN_VALUE: 'memcached holds a value under this key that Toril did not write',
  ENVELOPE_NEWER: 'the cell was written by a newer version of Toril',
  ENVELOPE_DAMAGED: 'the cell carries the mark of Toril but cannot be read',
  CELL_OF_ANOTHER_QUEUE: 'the cell belongs to another queue',
  CELL_OF_ANOTHER_REDIS: 'the cell belongs to a queue of the same name in another Redis',
  COPY_NOT_KEPT: 'a reader needs the copy of a value, and the queue keeps none',
  REDIS_WENT_BACK: 'the cell is newer than Redis remembers',
  // Infrastructure: none of these costs a job an attempt
  MEMCACHED_UNREACHABLE: 'the memcached server does not answer',
  MEMCACHED_TIMED_OUT: 'memcached did not answer within the request deadline',
  MEMCACHED_CLOSED: 'the connection to memcached is closed',
  MEMCACHED_PROTOCOL: 'the server does not speak a protocol of memcached',
  MEMCACHED_AUTH: 'memcached refused the user name or the password',
  MEMCACHED_TLS: 'TLS with memcached failed: its certificate, or it speaks none',
  MEMCACHED_CAS_DISABLED: 'memcached was started with CAS switched off',
  MEMCACHED_REFUSED: 'memcached refused the request',
  REDIS_FAILED: 'Redis refused or failed a request',
  OUTCOME_UNKNOWN: 'Redis did not answer in time: jobs were added once, or not at all',
  SERVER_LIST_CHANGED: 'the memcached servers differ from those registered for the queue',
  LEASE_LOST: 'the lease ended before the work was committed',
  LEASE_TIMED_OUT: 'the lease could not be acquired in time',
  CLOSED: 'the object is closed',
  INTERNAL: 'a fault of Toril itself',
  // The command line and the environment
  SERVER_MISSING: 'no Redis or memcached could be found or started',
  BAD_FILE: 'a file cannot be read or is not what it should be',
  FILE_NOT_WRITTEN: 'a file could not be written',
  PEER_MISSING: 'a package that this entry point needs is not installed',
  INVARIANT_UNUSABLE: 'an invariant threw, or gave no answer',
  FILE_EXISTS: 'a file would be overwritten',
  NOT_ON_A_TEST_BED: 'a test bed does not play this call of BullMQ',
  // History, recordings and replays
  NOTHING_RECORDED: 'the history, or the recording, has nothing of that',
  RECORDING_DAMAGED: 'a recording was cut off, changed, or put together from pieces',
  RECORDING_NEWER: 'a recording was written by a newer version of Toril',
  RECORDING_TOO_LARGE: 'a key of a recording has too many values to be stepped through',
  RECORDING_MASKED: 'a recording cannot be replayed, because its data were masked',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

export class TorilError extends Error {
  override readonly name: string = 'TorilError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options?.cause === undefined ? undefined : options); // else Node prints `[cause]: undefined`
    this.code = code;
  }
}

/** Whether it is an error, also of another realm (Jest runs tests in one of their own). Never throws. */
export function isError(thrown: unknown): thrown is Error {
  try {
    return thrown instanceof Error || isNativeError(thrown);
  } catch {
    return false; // a Proxy can refuse even that
  }
}

/** The message of anything that was thrown, Error or not. Never throws itself. */
export function messageOf(thrown: unknown): string {
  return textOf(isError(thrown) ? memberOf(thrown, 'message') : thrown);
}

/** The name of an error; `Error` if it has none that can be read. */
export function nameOf(thrown: Error): string {
  const name = memberOf(thrown, 'name');
  return typeof name === 'string' ? name : 'Error';
}

export function stackOf(thrown: Error): string | undefined {
  const stack = memberOf(thrown, 'stack');
  return typeof stack === 'string' ? stack : undefined;
}

/** Undefined where a getter throws: errors are users' objects, too. */
function memberOf(thrown: Error, member: 'message' | 'name' | 'stack'): unknown {
  try {
    return thrown[member];
  } catch {
    return undefined;
  }
}

/** Not everything can be made a string: an object without a prototype cannot, nor one whose toString throws. */
function textOf(thing: unknown): string {
  try {
    return String(thing);
  } catch {
    return typeof thing === 'function' ? 'a function' : 'an object that cannot be described';
  }
}

/** What a call to Redis threw, with a code. */
export function redisFailed(thrown: unknown): TorilError {
  if (thrown instanceof TorilError) return thrown;
  return new TorilError(
    'REDIS_FAILED',
    `Redis did not carry out a script of Toril: ${messageOf(thrown)}`,
    { cause: thrown },
  );
}

/** Whatever has no code where it could be given one is a fault of Toril: nobody else is to blame. */
export function internalFault(thrown: unknown, key: string): TorilError {
  return new TorilError(
    'INTERNAL',
    `Toril failed at the key "${key}", by a fault of its own: ${messageOf(thrown)} No job is charged, and the key is tried again. Please report it, with the stack of its cause.`,
    { cause: thrown },
  );
}
