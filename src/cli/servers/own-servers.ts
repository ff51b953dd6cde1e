/** The servers of commands that bring their own when none is named: `demo` and `trace`. */
import { TorilError } from '../../errors.ts';
import { isSet, MEMCACHED_VARIABLE, REDIS_VARIABLE } from '../flags/flags.ts';
import { type PrivateServer, startPrivateServer } from './private-server.ts';
import {
  findBinary,
  MEMCACHED_PROGRAM,
  REDIS_PROGRAM,
  type ServerProgram,
} from './server-programs.ts';

/** The binary of the memcached that the demo restarts, if it is not the one on the PATH. */
const MEMCACHED_BINARY_VARIABLE = 'TORIL_DEMO_MEMCACHED_BIN';

export interface OwnServers {
  readonly redis: string;
  readonly memcached: string;
  /** Undefined: the memcached is somebody else's, and not ours to restart. */
  readonly restartMemcached: (() => Promise<void>) | undefined;
  stop(): Promise<void>;
}

export interface NamedServers {
  readonly redis?: string;
  readonly memcached?: string;
}

/**
 * What is named is used; what is not is started from the PATH.
 * @param named by flags or variables
 * @param memcachedToRestart a private memcached is preferred to a named one
 * @throws TorilError SERVER_MISSING
 */
export async function ownServers(
  named: NamedServers,
  memcachedToRestart: boolean,
): Promise<OwnServers> {
  const started: PrivateServer[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(started.map((server) => server.stop()));
  };
  const start = async (program: ServerProgram, binary: string): Promise<PrivateServer> => {
    const server = await startPrivateServer(program, binary);
    started.push(server);
    return server;
  };
  try {
    const redis = isSet(named.redis)
      ? named.redis
      : (await start(REDIS_PROGRAM, redisBinary())).address;
    const binary = memcachedBinary();
    if (binary !== undefined && (memcachedToRestart || !isSet(named.memcached))) {
      const server = await start(MEMCACHED_PROGRAM, binary);
      const restartMemcached = async (): Promise<void> => {
        await server.kill();
        await server.start();
      };
      return { redis, memcached: server.address, restartMemcached, stop };
    }
    if (!isSet(named.memcached)) throw missing('memcached', '--memcached', MEMCACHED_VARIABLE);
    return { redis, memcached: named.memcached, restartMemcached: undefined, stop };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

function redisBinary(): string {
  const binary = findBinary('redis-server');
  if (binary === undefined) throw missing('redis-server', '--redis', REDIS_VARIABLE);
  return binary;
}

function memcachedBinary(): string | undefined {
  const named = process.env[MEMCACHED_BINARY_VARIABLE];
  return isSet(named) ? named : findBinary('memcached');
}

function missing(binary: string, flag: string, variable: string): TorilError {
  return new TorilError(
    'SERVER_MISSING',
    `there is no ${binary} on the PATH to start a private one from. Install it, or name a running server with ${flag} or ${variable}.`,
  );
}
