/** Faults of Toril itself: each is told once per key, however often the key is tried again. */
import { internalFault, isError, messageOf, stackOf } from '../../errors.ts';
import type { EventReporter } from '../worker-events.ts';

/** Faults remembered; one that is forgotten is told once more. */
const FAULTS_MAX = 1_000;

export class Faults {
  readonly #told = new Set<string>();

  tell(key: string, thrown: unknown, report: EventReporter): void {
    const fault = `${placeOf(thrown)}\n${key}`;
    if (this.#told.has(fault)) return;
    if (this.#told.size >= FAULTS_MAX) this.#told.clear();
    this.#told.add(fault);
    report('internalFault', { key, cause: internalFault(thrown, key) });
  }
}

/** Where it was thrown: the messages of one fault may differ. */
function placeOf(thrown: unknown): string {
  const stack = isError(thrown) ? stackOf(thrown) : undefined;
  return stack?.split('\n').find((line) => /^\s+at /.test(line)) ?? messageOf(thrown);
}
