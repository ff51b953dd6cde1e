/** What an update or a transaction owes: a value for each key. */
import { TorilError } from '../../errors.ts';
import { sourceText, type ValueSource } from '../values/json-value.ts';

/** @param what it did instead: `returned undefined` */
export function returnedNothing(source: ValueSource, what: string): TorilError {
  return new TorilError(
    'UPDATE_RETURNED_NOTHING',
    `${sourceText(source)} ${what}. Return the new value, the value as it was, or DELETE_CELL.`,
  );
}

export function noInitial(source: ValueSource, key: string): TorilError {
  return new TorilError(
    'UPDATE_RETURNED_NOTHING',
    `the key "${key}" has no value yet, and ${sourceText(source)} has no "initial". Define initial(key).`,
  );
}
