/** A memcached whose writes the auditor sees as they land. */
import type { Clock } from '../../src/base/clock.ts';
import { MemoryStore } from '../../src/memcached/memory/memory-store.ts';
import type { Cas, NewItem, Outcome } from '../../src/memcached/server.ts';
import type { Auditor } from './auditor.ts';
import type { SentItem } from './memcached-wire.ts';

const LOCK_PREFIX = 'toril:lock:';
/** Marks an item as an envelope of Toril's (docs/design.md). */
const CELL_FLAGS = 0x544f_0000;
/** By which a stranger knows his own. */
const STRANGE = 'stranger';

export class ObservedStore extends MemoryStore {
  readonly #keyOf: ReadonlyMap<string, string>;
  readonly #auditor: Auditor;

  constructor(
    clock: Clock,
    itemSizeMax: number,
    keyOf: ReadonlyMap<string, string>,
    auditor: Auditor,
  ) {
    super({ clock, itemSizeMax, casByUs: true });
    this.#keyOf = keyOf;
    this.#auditor = auditor;
  }

  override add(name: string, item: NewItem): Outcome<Cas> {
    return this.#landed(name, item, super.add(name, item), false);
  }

  override replace(name: string, item: NewItem, cas: Cas): Outcome<Cas> {
    return this.#landed(name, item, super.replace(name, item, cas), true);
  }

  override bump(name: string, cas: Cas): Outcome<Cas> {
    const outcome = super.bump(name, cas);
    const key = this.#keyOf.get(name);
    if (outcome.kind === 'done' && key !== undefined) this.#auditor.cellClosed(key);
    return outcome;
  }

  override delete(name: string, cas: Cas): Outcome<void> {
    const outcome = super.delete(name, cas);
    const key = this.#keyOf.get(name);
    if (outcome.kind === 'done' && key !== undefined) this.#auditor.cellDeleted(key);
    return outcome;
  }

  override put(name: string, value: Buffer, flags?: number): Cas {
    const key = this.#keyOf.get(name);
    if (key !== undefined) this.#auditor.cellOverwritten(key);
    return super.put(name, value, flags);
  }

  /** Another data set has its first commit there, if nothing else is. */
  putEnvelope(name: string, envelope: object): boolean {
    if (this.peek(name) !== undefined) return false;
    this.put(name, Buffer.from(JSON.stringify({ ...envelope, [STRANGE]: true })), CELL_FLAGS);
    return true;
  }

  /** Whoever wrote over the cell, or began it, deletes what is his. */
  takeBack(name: string): void {
    const item = this.peek(name);
    if (item?.flags === 0 || item?.value.includes(STRANGE) === true) this.evict(name);
  }

  override evict(name: string): boolean {
    const key = this.#keyOf.get(name);
    if (key !== undefined) this.#auditor.cellLost(key);
    else if (name.startsWith(LOCK_PREFIX)) this.#auditor.lockLost(name.slice(LOCK_PREFIX.length));
    return super.evict(name);
  }

  override flushAll(): void {
    this.#lostAll();
    super.flushAll();
  }

  override restart(): void {
    this.#lostAll();
    super.restart();
  }

  #landed(
    name: string,
    item: NewItem & Partial<SentItem>,
    outcome: Outcome<Cas>,
    replaces: boolean,
  ): Outcome<Cas> {
    const key = this.#keyOf.get(name);
    if (outcome.kind !== 'done') {
      const hasNoRoom = outcome.kind === 'refused' && outcome.reason === 'out-of-memory';
      if (hasNoRoom && !replaces && key !== undefined) this.#auditor.cellDeleted(key);
      return outcome;
    }
    if (key !== undefined) {
      this.#auditor.cellWritten(key, item.value.toString(), item.ttlSeconds);
    } else if (name.startsWith(LOCK_PREFIX)) {
      const lockedKey = name.slice(LOCK_PREFIX.length);
      const { sender = '', chosenCas } = item;
      if (chosenCas === undefined) this.#auditor.lockWritten(lockedKey, item.value.toString());
      else this.#auditor.lockWrittenByCas(lockedKey, sender, chosenCas, replaces);
    }
    return outcome;
  }

  /** Two servers share the keys, so some of these were elsewhere: the auditor is lenient with those. */
  #lostAll(): void {
    for (const [name, key] of this.#keyOf) {
      if (this.peek(name) !== undefined) this.#auditor.cellLost(key);
      if (this.peek(LOCK_PREFIX + key) !== undefined) this.#auditor.lockLost(key);
    }
  }
}
