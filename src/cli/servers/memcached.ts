/** Opening memcached for a command that does one thing and ends. */
import { systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import { cellName } from '../../memcached/item-names.ts';
import { openServers } from '../../memcached/open-servers.ts';
import type { MemcachedServers } from '../../memcached/servers.ts';
import { type MemcachedFlags, memcachedSettings } from '../flags/flags.ts';

/** Connects when it is first used. @throws TorilError INVALID_OPTIONS */
export function openMemcached(flags: MemcachedFlags): MemcachedServers {
  return openServers(memcachedSettings(flags), systemClock, systemRandom);
}

/**
 * Deletes the cells of keys that nobody works on any more; for keys of a run's own. Whatever cannot
 * be deleted stays, harmless: nobody uses its name again.
 */
export async function deleteCells(
  servers: MemcachedServers,
  keys: readonly string[],
): Promise<void> {
  await Promise.allSettled(
    keys.map(async (key) => {
      const connection = await servers.serverFor(key).connection();
      const cell = await connection.get(cellName(key));
      if (cell.kind === 'done') await connection.delete(cellName(key), cell.value.cas);
    }),
  );
}
