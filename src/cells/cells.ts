/** Reading cells: for a web tier that needs no queue, only memcached. */
import type { Connection, Item, MemcachedServer, Outcome } from '../memcached/server.ts';
import type { MemcachedServers } from '../memcached/servers.ts';
import { checkKey, keysOnce } from '../key.ts';
import { cellName } from '../memcached/item-names.ts';
import { TorilError } from '../errors.ts';
import type { CellDefinition } from '../updates/cell-definition.ts';
import { decodeItem } from './envelope.ts';

export interface CellState<Value> {
  /** Undefined: deleted. */
  readonly value: Value | undefined;
  /** The fencing token of the commit that wrote it. */
  readonly token: number;
  /** The sequence of the last job that went into it. */
  readonly watermark: number;
  /**
   * The keys that the commit which wrote it changed by the same jobs, its own among them; only if these are several
   * (`defineTransaction`). Not known of a cell that was restored, and of a copy.
   */
  readonly keys?: readonly string[];
  /** Where it was read: `copy`: in Redis, since memcached had no cell that can be believed (`openCells({ copies })`). */
  readonly source: 'cell' | 'copy';
}

/** A cell, and whose it is. */
export interface FoundCell {
  readonly state: CellState<unknown>;
  /** The queue's qualified name; empty: a lock's. */
  readonly queue: string;
  readonly dataSet: string;
}

// oxlint-disable-next-line typescript/no-explicit-any -- `unknown` would fit no definition: ids go in
type AnyCell = CellDefinition<any, unknown>;

/**
 * A reader sees what memcached has: committed states only, one after the other, never half of one.
 * A cell that memcached has lost reads as undefined until its next update restores it.
 */
export class Cells {
  readonly #servers: MemcachedServers;

  constructor(servers: MemcachedServers) {
    this.#servers = servers;
  }

  /**
   * The value under `key`, or of the cell `id` of a definition; undefined if there is none.
   * @throws TorilError INVALID_KEY, INVALID_VALUE, FOREIGN_VALUE, ENVELOPE_NEWER, ENVELOPE_DAMAGED, MEMCACHED_*
   */
  get<Value = unknown>(key: string): Promise<Value | undefined>;
  get<Id, Value>(cell: CellDefinition<Id, Value>, id: Id): Promise<Value | undefined>;
  async get(at: string | AnyCell, id?: unknown): Promise<unknown> {
    return (await this.#readAt(at, id))?.value;
  }

  /** The value and what is known of it; undefined if memcached has no cell there. Throws like `get`. */
  read<Value = unknown>(key: string): Promise<CellState<Value> | undefined>;
  read<Id, Value>(cell: CellDefinition<Id, Value>, id: Id): Promise<CellState<Value> | undefined>;
  async read(at: string | AnyCell, id?: unknown): Promise<unknown> {
    return this.#readAt(at, id);
  }

  /** Many values in one round trip per server; keys, or ids, without a value are not in the map. Throws like `get`. */
  getMany<Value = unknown>(keys: Iterable<string>): Promise<Map<string, Value>>;
  getMany<Id, Value>(cell: CellDefinition<Id, Value>, ids: Iterable<Id>): Promise<Map<Id, Value>>;
  async getMany(
    wanted: Iterable<string> | AnyCell,
    ids: Iterable<unknown> = [],
  ): Promise<Map<unknown, unknown>> {
    if (!isDefinition(wanted)) return this.valuesOf(keysOnce('getMany()', wanted));
    const keys = new Map([...ids].map((id) => [id, wanted.key(id)]));
    const values = await this.valuesOf(keysOnce('getMany()', keys.values()));
    const found = [...keys].filter(([, key]) => values.has(key));
    return new Map(
      await Promise.all(
        found.map(async ([id, key]) => [id, await wanted.checked(values.get(key), key)] as const),
      ),
    );
  }

  async #readAt(at: string | AnyCell, id: unknown): Promise<CellState<unknown> | undefined> {
    if (!isDefinition(at)) return this.stateOf(at);
    const key = at.key(id);
    const state = await this.stateOf(key);
    if (state?.value !== undefined) await at.checked(state.value, key);
    return state;
  }

  /** Throws what `get` throws. */
  protected async stateOf(key: string): Promise<CellState<unknown> | undefined> {
    checkKey(key);
    return (await this.find(key))?.state;
  }

  /** Throws what `get` throws. */
  protected async find(key: string): Promise<FoundCell | undefined> {
    const connection = await this.#servers.serverFor(key).connection();
    return foundCell(key, await connection.get(cellName(key)));
  }

  /** @param wanted keys, each once; those without a value are not in the map. Throws what `get` throws. */
  protected async valuesOf(wanted: readonly string[]): Promise<Map<string, unknown>> {
    const connections = await this.#connectionsOf(wanted);
    const read = await Promise.all(
      wanted.map(async (key) => {
        const connection = connections.get(this.#servers.serverFor(key)) as Connection;
        const found = foundCell(key, await connection.get(cellName(key)));
        return [key, found?.state.value] as const;
      }),
    );
    return new Map(read.filter(([, value]) => value !== undefined));
  }

  async #connectionsOf(keys: readonly string[]): Promise<Map<MemcachedServer, Connection>> {
    const servers = [...new Set(keys.map((key) => this.#servers.serverFor(key)))];
    const connections = await Promise.all(servers.map((server) => server.connection()));
    return new Map(servers.map((server, index) => [server, connections[index] as Connection]));
  }
}

function isDefinition(given: string | Iterable<string> | AnyCell): given is AnyCell {
  return typeof given === 'object' && given !== null && 'checked' in given;
}

/** @throws TorilError for what is no cell */
export function foundCell(key: string, outcome: Outcome<Item>): FoundCell | undefined {
  if (outcome.kind === 'unknown') throw outcome.cause;
  if (outcome.kind === 'refused') {
    if (outcome.reason === 'missing') return undefined;
    throw new TorilError(
      'MEMCACHED_REFUSED',
      `memcached did not give out the cell of "${key}": ${outcome.reason}. Try again.`,
    );
  }
  const content = decodeItem(outcome.value);
  switch (content.kind) {
    case 'missing':
      return undefined;
    case 'foreign':
      throw new TorilError(
        'FOREIGN_VALUE',
        `the value under "${key}" was not written by Toril. Read it with a plain memcached client, or let an update adopt it.`,
      );
    case 'unreadable':
      throw content.cause;
    case 'envelope': {
      const { value, token, watermark, queue, dataSet, keys } = content.envelope;
      const state = { value, token, watermark, source: 'cell' as const, ...(keys && { keys }) };
      return { state, queue, dataSet };
    }
  }
}
