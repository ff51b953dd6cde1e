/** A delivered job whose schema or key throws: it never comes to a gate. */
import { cannotMoveJob, controlOf, errorOf } from '../../updates/calling/thrown.ts';
import type { AnyUpdate } from '../../updates/update.ts';
import type { Settlement } from './arrival.ts';

export function refusedWith({ name }: AnyUpdate, thrown: unknown): Settlement {
  const error = errorOf(thrown, name);
  const control = controlOf(error);
  if (control === 'rate-limit') return { kind: 'limited' };
  return { kind: 'retry', thrown: control === 'moved' ? cannotMoveJob(error, name) : error };
}
