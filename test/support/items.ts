/** What others do to memcached's items: plain clients, evictions. */
import type { Connection, Item } from '../../src/memcached/server.ts';
import { clientOf, newItem, valueOf } from './memcached.ts';
import { memcachedAddresses } from './servers.ts';

async function connected<T>(
  address: string | undefined,
  act: (connection: Connection) => Promise<T>,
): Promise<T> {
  const client = clientOf(address ?? (memcachedAddresses()[0] as string));
  try {
    return await act(await client.connection());
  } finally {
    await client.close();
  }
}

/** A plain client's `set`. */
export function writeItem(name: string, value: string, flags = 0, address?: string): Promise<void> {
  return connected(address, async (connection) => {
    const there = await connection.get(name);
    const item = newItem(value, 0, flags);
    if (there.kind === 'done') valueOf(await connection.replace(name, item, there.value.cas));
    else valueOf(await connection.add(name, item));
  });
}

/** A plain client's `delete`, or an eviction. False: it was not there, or has changed meanwhile. */
export function removeItem(name: string, address?: string): Promise<boolean> {
  return connected(address, async (connection) => {
    const item = await connection.get(name);
    if (item.kind !== 'done') return false;
    return (await connection.delete(name, item.value.cas)).kind === 'done';
  });
}

/** Whether there is such an item. */
export function hasItem(name: string): Promise<boolean> {
  return connected(undefined, async (connection) => (await connection.get(name)).kind === 'done');
}

export function itemOf(name: string): Promise<Item> {
  return connected(undefined, async (connection) => valueOf(await connection.get(name)));
}
