/** Servers of the lab's own, since it takes items away and opens a connection for every client. */
import { startMemcached, startRedis } from '../../scripts/servers.ts';
import { Launcher } from '../children/launcher.ts';
import type { LabSite } from './host-process.ts';

export interface Lab {
  readonly launcher: Launcher;
  readonly site: LabSite;
}

/** Connections to each memcached: two for each of 1,000 clients, and some. */
const CONNECTIONS_MAX = 8_192;

export async function withLab<T>(use: (lab: Lab) => Promise<T>): Promise<T> {
  const launcher = Launcher.compile();
  const flags = ['-c', String(CONNECTIONS_MAX)];
  const servers = [];
  try {
    const redis = await startRedis();
    servers.push(redis);
    const memcached = await startMemcached({ flags });
    servers.push(memcached);
    const elsewhere = await startMemcached({ flags });
    servers.push(elsewhere);
    const site: LabSite = {
      redis: redis.address,
      memcached: memcached.address,
      elsewhere: elsewhere.address,
      postgres: undefined,
      product: launcher.compiledFrom(new URL('../../src/index.ts', import.meta.url)),
    };
    return await use({ launcher, site });
  } finally {
    for (const server of servers) await server.stop();
    launcher.close();
  }
}
