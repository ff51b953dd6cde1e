/** Where options become real servers: the one place that chooses engines and hashing. */
import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import { binaryEngine } from './binary/binary-protocol.ts';
import { type MemcachedSetting, resolveMemcached } from './options.ts';
import { RendezvousServers } from './rendezvous.ts';
import type { MemcachedServers } from './servers.ts';
import { SocketServer } from './socket/socket-server.ts';

/** Connects to nothing yet. Throws INVALID_OPTIONS. */
export function openServers(
  setting: MemcachedSetting,
  clock: Clock,
  random: Random,
): MemcachedServers {
  const options = resolveMemcached(setting);
  return new RendezvousServers(
    options.map((server) => new SocketServer(server, binaryEngine, clock, random)),
  );
}
