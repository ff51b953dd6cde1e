/** Values as the competitors keep them: JSON under the key itself. */
import { type Item, MemcachedClient } from '../memcached-client.ts';
import type { Site, WorkerSettings } from '../system.ts';
import type { Value, Work } from '../work.ts';
import { backOff } from './backoff.ts';

export interface ValueStore {
  readonly client: MemcachedClient;
  /** Get, change, set: lost updates are the caller's to prevent. */
  update(work: Work): Promise<void>;
  /** Gets, change, cas, and all over again if somebody was faster. */
  updateByCas(work: Work, pause?: (attempt: number) => Promise<void>): Promise<void>;
}

export async function openValues(
  site: Site,
  { initial, change }: Pick<WorkerSettings, 'initial' | 'change'>,
): Promise<ValueStore> {
  const client = await MemcachedClient.connect(site.memcached);
  const valueOf = (item: Item | undefined): Value =>
    item === undefined ? initial() : (JSON.parse(item.value) as Value);
  return {
    client,
    async update(work) {
      const value = valueOf(await client.get(work.key));
      await client.set(work.key, JSON.stringify(await change(value, work)));
    },
    async updateByCas(work, pause = backOff) {
      for (let attempt = 0; ; attempt++) {
        const item = await client.get(work.key);
        const changed = JSON.stringify(await change(valueOf(item), work));
        const stored =
          item === undefined
            ? await client.add(work.key, changed)
            : await client.cas(work.key, changed, item.cas);
        if (stored === 'STORED') return;
        await pause(attempt);
      }
    },
  };
}

export async function readPlainValues(
  site: Site,
  keys: readonly string[],
): Promise<(Value | undefined)[]> {
  const client = await MemcachedClient.connect(site.memcached);
  try {
    const items = await Promise.all(keys.map((key) => client.get(key)));
    return items.map((item) =>
      item === undefined ? undefined : (JSON.parse(item.value) as Value),
    );
  } finally {
    client.close();
  }
}
