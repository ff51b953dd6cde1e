/** Reading cells with memcached alone: what `toril` and `toril/cells` share. */
import { systemClock } from './base/clock.ts';
import { closeInTime } from './base/close-in-time.ts';
import { systemRandom } from './base/random.ts';
import { Cells } from './cells/cells.ts';
import { TorilError } from './errors.ts';
import { openServers } from './memcached/open-servers.ts';
import type { MemcachedSetting } from './memcached/options.ts';
import type { MemcachedServers } from './memcached/servers.ts';

export interface OpenCells extends Cells {
  close(): Promise<void>;
}

export interface CellsOptions {
  readonly memcached?: MemcachedSetting | undefined;
}

/**
 * Reads cells as memcached has them. Connects when it is first used.
 * @throws TorilError INVALID_OPTIONS
 */
export function openCells(options: CellsOptions): OpenCells {
  if ('copies' in options && options.copies !== undefined) {
    throw new TorilError(
      'INVALID_OPTIONS',
      'toril/cells has no Redis client to read "copies" with. Import openCells from "toril".',
    );
  }
  const servers = openServers(options.memcached, systemClock, systemRandom);
  return Object.assign(new Cells(servers), { close: () => closeServers(servers, servers.close()) });
}

/** However long a request to a frozen server may take. */
export async function closeServers(
  servers: MemcachedServers,
  orderly: Promise<unknown>,
): Promise<void> {
  await closeInTime({
    ...{ clock: systemClock, orderly, workMs: 0, left: () => 0 },
    abandon: () => void servers.close(true),
  });
}
