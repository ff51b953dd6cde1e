/** The updates that a producer knows. By them, a job that is added is checked and gets its lane. */
import { andThen } from '../base/promises.ts';
import { TorilError } from '../errors.ts';
import { type LaneKeys, lanesOf, throughJson, validated } from '../updates/job-data.ts';
import { forEachOf } from './bullmq/adding/bulk-error.ts';
import type { AnyUpdate } from '../updates/update.ts';
import { UpdateRegistry } from '../updates/update-registry.ts';

export class ProducerUpdates {
  readonly #queueName: string;
  readonly #known: Map<string, AnyUpdate>;
  /** A name that was not given is an error, not the business of another producer. */
  readonly #isClosed: boolean;

  /**
   * @param given undefined: each update is known from the first time it is enqueued, and jobs of any name are added
   * @throws TorilError DUPLICATE_UPDATE
   */
  constructor(queueName: string, given: readonly AnyUpdate[] | undefined) {
    const registry = new UpdateRegistry(given ?? []);
    this.#queueName = queueName;
    this.#known = new Map(registry.names.map((name) => [name, registry.require(name)]));
    this.#isClosed = given !== undefined;
  }

  /** @throws TorilError DUPLICATE_UPDATE, UNKNOWN_UPDATE */
  know(update: AnyUpdate): void {
    const known = this.#known.get(update.name);
    if (known === update) return;
    if (known !== undefined) {
      throw new TorilError(
        'DUPLICATE_UPDATE',
        `another update named "${update.name}" is registered with this queue already.`,
      );
    }
    if (this.#isClosed) throw this.#unknown(update.name);
    this.#known.set(update.name, update);
  }

  /**
   * Where a job enters when it is added. Empty: nowhere, since its update is not known here.
   * @throws TorilError UNKNOWN_UPDATE, and what is wrong with its data or its key
   */
  laneOf(name: string, dataJson: string): LaneKeys | Promise<LaneKeys> {
    const update = this.#known.get(name);
    if (update === undefined) {
      if (!this.#isClosed) return '';
      throw this.#unknown(name);
    }
    const data = validated(update, JSON.parse(dataJson));
    return andThen(data, (settled) => lanesOf(update, settled));
  }

  /** BullMQ writes the data as JSON. If that fails, this throws which update's they are, and why. */
  explain(jobs: readonly { readonly name: string; readonly data: unknown }[]): void {
    forEachOf(jobs, ({ name, data }) => {
      const update = this.#known.get(name);
      if (update !== undefined) throughJson(update, data);
    });
  }

  #unknown(name: string): TorilError {
    return new TorilError(
      'UNKNOWN_UPDATE',
      `no update named "${name}" is registered with the queue "${this.#queueName}" (known: ${[...this.#known.keys()].join(', ') || 'none'}). Pass it in "updates".`,
    );
  }
}
