/** Where users' options become Cells without a queue; imports the engines so that nothing else must. */
import { systemClock } from './base/clock.ts';
import { systemRandom } from './base/random.ts';
import { Cells } from './cells/cells.ts';
import { openServers } from './memcached/open-servers.ts';
import type { MemcachedSetting } from './memcached/options.ts';

export interface OpenCells extends Cells {
  close(): Promise<void>;
}

/**
 * Reads cells; needs memcached only. Connects when it is first used.
 * @throws TorilError INVALID_OPTIONS
 */
export function openCells(options: { readonly memcached: MemcachedSetting }): OpenCells {
  const servers = openServers(options.memcached, systemClock, systemRandom);
  return Object.assign(new Cells(servers), { close: () => servers.close() });
}
