/** A user's condition, in JavaScript: `value.cents < 0`. */
import { compileFunction } from 'node:vm';
import { messageOf, TorilError } from '../../../errors.ts';
import type { Moment } from '../../../history/stepping/walk.ts';

const NAMES = ['value', 'before', 'job', 'data', 'result', 'failed'] as const;

/** @throws TorilError INVALID_OPTIONS, also when it is asked */
export function conditionOf(text: string): (moment: Moment) => boolean {
  let ask: (...given: unknown[]) => unknown;
  try {
    ask = compileFunction(`return (${text}\n);`, [...NAMES]) as typeof ask;
  } catch (cause) {
    throw refused(text, messageOf(cause), cause);
  }
  return (moment) => {
    try {
      return Boolean(ask(...NAMES.map((name) => moment[name])));
    } catch (cause) {
      throw refused(text, `job ${moment.job.id}: ${messageOf(cause)}`, cause);
    }
  };
}

function refused(text: string, why: string, cause: unknown): TorilError {
  return new TorilError(
    'INVALID_OPTIONS',
    `the condition ${text} cannot be asked (${why}). It is JavaScript with ${NAMES.join(', ')}, such as value?.cents < 0.`,
    { cause },
  );
}
