/** An operator's choice between cell and copy, as `toril lane KEY --trust` makes it. */
import { systemClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { MemcachedLeaseLocks } from '../../src/lock/lease-locks.ts';
import { openServers } from '../../src/memcached/open-servers.ts';
import { keysToTrust, trustTogether } from '../../src/workers/trust/trust-together.ts';
import type { TrustEnd } from '../../src/workers/trust/trust-end.ts';
import type { Stage } from './workers.ts';

export async function trust(here: Stage, key: string, which: 'cell' | 'copy'): Promise<TrustEnd> {
  const servers = openServers(here.memcached, systemClock, systemRandom);
  const locks = new MemcachedLeaseLocks({ clock: systemClock, random: systemRandom });
  const { inRedis, qualifiedName } = here.queue;
  const context = {
    queue: qualifiedName,
    servers,
    locks,
    lanes: inRedis.lanes,
    clock: systemClock,
    waitMs: 9_000,
  };
  try {
    const [end] = await trustTogether(context, which, await keysToTrust(context, key));
    return end as TrustEnd;
  } finally {
    await locks.close();
    await servers.close();
  }
}
