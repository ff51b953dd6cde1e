/** A memcached in memory that notes what its readers can see. */
import type { Clock } from '../../base/clock.ts';
import { decodeItem } from '../../cells/envelope.ts';
import { cellName } from '../../memcached/item-names.ts';
import { MemoryStore } from '../../memcached/memory/memory-store.ts';
import type { Cas, NewItem, Outcome } from '../../memcached/server.ts';
import type { Journal } from './journal.ts';

export interface BedStoreOptions {
  readonly clock: Clock;
  readonly journal: Journal;
  /** Bytes of the largest item. */
  readonly itemSizeMax: number | undefined;
}

export class BedStore extends MemoryStore {
  readonly #journal: Journal;
  readonly #keys = new Map<string, string>();

  constructor({ clock, journal, itemSizeMax }: BedStoreOptions) {
    super({ clock, ...(itemSizeMax !== undefined && { itemSizeMax }) });
    this.#journal = journal;
  }

  /** The item named after it is a cell. */
  know(key: string): void {
    this.#keys.set(cellName(key), key);
  }

  override add(name: string, item: NewItem): Outcome<Cas> {
    return this.#noted(name, item, false, super.add(name, item));
  }

  override replace(name: string, item: NewItem, cas: Cas): Outcome<Cas> {
    return this.#noted(name, item, true, super.replace(name, item, cas));
  }

  override put(name: string, value: Buffer, flags = 0, ttlSeconds = 0): Cas {
    const key = this.#keys.get(name);
    if (key !== undefined) this.#journal.cellForgotten(key);
    return super.put(name, value, flags, ttlSeconds);
  }

  #noted(name: string, item: NewItem, wasThere: boolean, outcome: Outcome<Cas>): Outcome<Cas> {
    const key = this.#keys.get(name);
    if (key === undefined || outcome.kind !== 'done') return outcome;
    const content = decodeItem({ ...item, cas: outcome.value });
    if (content.kind === 'envelope' && content.envelope.queue !== '') {
      this.#journal.cellWritten(key, content.envelope, wasThere);
    }
    return outcome;
  }
}
