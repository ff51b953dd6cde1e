/** Where options become real servers: the one place that chooses engines and hashing. */
import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import { keysElsewhereWarning } from './memjs-settings.ts';
import { metaEngine } from './meta/meta-protocol.ts';
import {
  isNamedByMemjs,
  type MemcachedSetting,
  type ProtocolSetting,
  resolveMemcached,
  type ServerOptions,
} from './options.ts';
import type { ProtocolEngine } from './protocol.ts';
import { RendezvousServers } from './rendezvous.ts';
import type { MemcachedServers } from './servers.ts';
import { SocketServer } from './socket/socket-server.ts';

/** memjs and what it loads take 6 MB and 20 ms, for servers that speak nothing newer. */
const binaryEngine = loadedLater(
  async () => (await import('./binary/binary-protocol.ts')).binaryEngine,
);

/** What is tried, in this order. */
export const ENGINES: { readonly [P in ProtocolSetting]: readonly ProtocolEngine[] } = {
  auto: [metaEngine, binaryEngine],
  meta: [metaEngine],
  binary: [binaryEngine],
};

/** Connects to nothing yet. Throws INVALID_OPTIONS. */
export function openServers(
  setting: MemcachedSetting | undefined,
  clock: Clock,
  random: Random,
): MemcachedServers {
  const options = resolveMemcached(setting);
  if (options.length > 1 && isNamedByMemjs(setting)) warnOfOtherKeys(options);
  return new RendezvousServers(
    options.map((server) => new SocketServer(server, ENGINES[server.protocol], clock, random)),
  );
}

function loadedLater(load: () => Promise<ProtocolEngine>): ProtocolEngine {
  let engine: ProtocolEngine | undefined;
  return {
    ready: async () => {
      engine ??= await load();
    },
    greet: async (socket, options) => (engine as ProtocolEngine).greet(socket, options),
  };
}

let warned = false;

/** Once per process. */
function warnOfOtherKeys(servers: readonly ServerOptions[]): void {
  if (warned) return;
  warned = true;
  process.emitWarning(keysElsewhereWarning(servers), { code: 'TORIL_KEYS_ELSEWHERE' });
}
