/** Faults of Toril itself: each is told once per key, however often the key is tried again. */
import { ForgetfulMap } from '../../base/forgetful-map.ts';
import { internalFault, isError, messageOf, stackOf } from '../../errors.ts';
import type { EventReporter } from '../worker-events.ts';

/** Faults remembered; one that is forgotten is told once more. */
const FAULTS_MAX = 1_000;

export class Faults {
  readonly #told = new ForgetfulMap<string, true>(FAULTS_MAX);

  tell(key: string, thrown: unknown, report: EventReporter): void {
    const fault = `${placeOf(thrown)}\n${key}`;
    if (this.#told.has(fault)) return;
    this.#told.set(fault, true);
    report('internalFault', { key, cause: internalFault(thrown, key) });
  }
}

/** Where it was thrown: the messages of one fault may differ. */
function placeOf(thrown: unknown): string {
  const stack = isError(thrown) ? stackOf(thrown) : undefined;
  return stack?.split('\n').find((line) => /^\s+at /.test(line)) ?? messageOf(thrown);
}
