import { TorilError } from '../errors.ts';
import type { AnyUpdate } from './update.ts';

/** The updates that a queue or a worker knows, by name. */
export class UpdateRegistry {
  readonly #updates = new Map<string, AnyUpdate>();

  /** @throws TorilError INVALID_OPTIONS, DUPLICATE_UPDATE */
  constructor(updates: readonly AnyUpdate[]) {
    for (const update of updates) {
      if (typeof update?.apply !== 'function' || typeof update.name !== 'string') {
        throw new TorilError('INVALID_OPTIONS', 'updates must hold what defineUpdate() returned.');
      }
      if (this.#updates.has(update.name)) {
        throw new TorilError(
          'DUPLICATE_UPDATE',
          `two updates are named "${update.name}". Give each its own name: a job finds its update by it.`,
        );
      }
      this.#updates.set(update.name, update);
    }
  }

  find(name: string): AnyUpdate | undefined {
    return this.#updates.get(name);
  }

  get names(): string[] {
    return [...this.#updates.keys()];
  }

  /** @throws TorilError UNKNOWN_UPDATE */
  require(name: string): AnyUpdate {
    const update = this.#updates.get(name);
    if (update !== undefined) return update;
    const known = this.names.length === 0 ? 'none is' : `known: ${this.names.join(', ')}`;
    throw new TorilError(
      'UNKNOWN_UPDATE',
      `no update named "${name}" is registered here (${known}). Pass it in "updates".`,
    );
  }
}
