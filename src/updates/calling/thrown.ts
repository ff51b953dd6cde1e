/** What code of users' throws: made an error that is safe to read, and what it means to BullMQ. */
import { isError, messageOf, nameOf, TorilError } from '../../errors.ts';

/** Characters. */
const CODE_MAX = 100;

/**
 * The very error, if it is one that can be read; else one with a code, and what was thrown as its cause: not
 * everything that is thrown is an Error, and a getter of an Error may throw in its turn.
 */
export function errorOf(thrown: unknown, updateName: string): Error {
  if (isError(thrown) && isReadable(thrown)) return thrown;
  const what = isError(thrown)
    ? 'an Error that cannot be read'
    : `${describe(thrown)}, which is not an Error`;
  return new TorilError(
    'UPDATE_THREW',
    `the update "${updateName}" threw ${what}. Throw an Error with a message, so that its stack is kept.`,
    { cause: thrown },
  );
}

function isReadable(thrown: Error): boolean {
  try {
    const { message, name, stack } = thrown as { message: unknown; name: unknown; stack: unknown };
    const isText = typeof message === 'string' && typeof name === 'string';
    return isText && (stack === undefined || typeof stack === 'string');
  } catch {
    return false;
  }
}

/** What is kept of an error besides its message: its own code, or else its name. */
export function codeOf(thrown: Error): string {
  try {
    const { code } = thrown as { code?: unknown };
    if (typeof code === 'string' && code !== '' && code.length <= CODE_MAX) return code;
  } catch {
    // a getter
  }
  return nameOf(thrown).slice(0, CODE_MAX);
}

function describe(thrown: unknown): string {
  return typeof thrown === 'string' ? JSON.stringify(thrown) : messageOf(thrown);
}

/** BullMQ's errors that are no failures, and the one that allows no further attempt. */
export type Control = 'rate-limit' | 'unrecoverable' | 'moved';

const CONTROLS: Readonly<Record<string, Control>> = {
  RateLimitError: 'rate-limit',
  UnrecoverableError: 'unrecoverable',
  DelayedError: 'moved',
  WaitingError: 'moved',
  WaitingChildrenError: 'moved',
};
/** By it BullMQ knows the error, whatever its class. */
const RATE_LIMIT_MESSAGE = 'bullmq:rateLimitExceeded';

/**
 * What an error means in a processor of BullMQ. By names, its own and those of its classes: it may be of
 * another copy of BullMQ, and of a class derived from one of BullMQ's.
 */
export function controlOf(thrown: Error): Control | undefined {
  if (messageOf(thrown) === RATE_LIMIT_MESSAGE) return 'rate-limit';
  const name = nameOf(thrown);
  if (Object.hasOwn(CONTROLS, name)) return CONTROLS[name];
  try {
    return controlOfClass(thrown);
  } catch {
    return undefined;
  }
}

function controlOfClass(thrown: Error): Control | undefined {
  let prototype: unknown = Object.getPrototypeOf(thrown);
  while (typeof prototype === 'object' && prototype !== null && prototype !== Error.prototype) {
    const { name } = prototype.constructor;
    if (Object.hasOwn(CONTROLS, name)) return CONTROLS[name];
    prototype = Object.getPrototypeOf(prototype);
  }
  return undefined;
}

/** An update that throws one of BullMQ's errors for a job that was moved has no job that it could have moved. */
export function cannotMoveJob(thrown: Error, updateName: string): TorilError {
  return new TorilError(
    'UPDATE_CANNOT_MOVE_JOB',
    `the update "${updateName}" threw BullMQ's ${nameOf(thrown)}, which says that the job was moved. An update cannot move its job. Throw an ordinary error (the job's backoff is the delay until its next attempt), or enqueue another job.`,
    { cause: thrown },
  );
}
