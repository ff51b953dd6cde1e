/** Reading cells: for a web tier that needs no queue, only memcached. */
import type { Connection, Item, MemcachedServer, Outcome } from '../memcached/server.ts';
import type { MemcachedServers } from '../memcached/servers.ts';
import { checkKey } from '../key.ts';
import { cellName } from '../memcached/item-names.ts';
import { TorilError } from '../errors.ts';
import { decodeItem } from './envelope.ts';

export interface CellState<Value> {
  /** Undefined: deleted. */
  readonly value: Value | undefined;
  /** The fencing token of the commit that wrote it. */
  readonly token: number;
  /** The sequence of the last job that went into it. */
  readonly watermark: number;
}

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
   * The value under `key`; undefined if there is none.
   * @throws TorilError INVALID_KEY, FOREIGN_VALUE, ENVELOPE_NEWER, ENVELOPE_DAMAGED, MEMCACHED_*
   */
  async get<Value = unknown>(key: string): Promise<Value | undefined> {
    return (await this.read<Value>(key))?.value;
  }

  /** The value and what is known of it; undefined if memcached has no cell there. Throws like `get`. */
  async read<Value = unknown>(key: string): Promise<CellState<Value> | undefined> {
    checkKey(key);
    const connection = await this.#servers.serverFor(key).connection();
    return stateOf<Value>(key, await connection.get(cellName(key)));
  }

  /** Many values in one round trip per server; keys without a value are not in the map. Throws like `get`. */
  async getMany<Value = unknown>(keys: Iterable<string>): Promise<Map<string, Value>> {
    const wanted = [...new Set(keys)];
    wanted.forEach(checkKey);
    const connections = await this.#connectionsOf(wanted);
    const read = await Promise.all(
      wanted.map(async (key) => {
        const connection = connections.get(this.#servers.serverFor(key)) as Connection;
        return [key, stateOf<Value>(key, await connection.get(cellName(key)))?.value] as const;
      }),
    );
    return new Map(read.filter((pair): pair is [string, Value] => pair[1] !== undefined));
  }

  async #connectionsOf(keys: readonly string[]): Promise<Map<MemcachedServer, Connection>> {
    const servers = [...new Set(keys.map((key) => this.#servers.serverFor(key)))];
    const connections = await Promise.all(servers.map((server) => server.connection()));
    return new Map(servers.map((server, index) => [server, connections[index] as Connection]));
  }
}

export function stateOf<Value>(key: string, outcome: Outcome<Item>): CellState<Value> | undefined {
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
      const { value, token, watermark } = content.envelope;
      return { value: value as Value | undefined, token, watermark };
    }
  }
}
