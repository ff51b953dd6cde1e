/**
 * Gets a Redis and a memcached, one way for the runner, the tests and the benchmarks:
 *
 * 1. the ones named in TORIL_REDIS and TORIL_MEMCACHED, which are used as they are;
 * 2. else private ones from the binaries on the PATH;
 * 3. else the same after installing Debian's or Homebrew's packages;
 * 4. else containers;
 * 5. else an error that says what to install.
 */
import { fileURLToPath } from 'node:url';
import { TorilError } from '../src/errors.ts';
import {
  type PrivateServer,
  startPrivateServer,
  type StartOptions,
} from '../src/cli/servers/private-server.ts';
import { findBinary } from '../src/cli/servers/server-programs.ts';
import { parseAddress, problemConnecting } from './addresses.mjs';
import { composeWorks, type Containers, startContainers } from './server-containers.ts';
import { MEMCACHED, REDIS, SERVER_KINDS, type ServerKind } from './server-kinds.ts';
import { installServers } from './server-packages.ts';
import { SetupError } from './setup-error.mjs';

export type { PrivateServer, StartOptions };

const NAMED_DEADLINE_MS = 3_000;

/** The demo restarts a memcached of its own, so it wants the binary and not only an address. */
const MEMCACHED_BINARY_VARIABLE = 'TORIL_DEMO_MEMCACHED_BIN';

export interface FoundServers {
  /** TORIL_REDIS and TORIL_MEMCACHED, where they were not set already, and the like. */
  readonly env: Readonly<Record<string, string>>;
  /** Ends those that were started here. */
  readonly stop: () => Promise<void>;
}

export async function getServers(env: NodeJS.ProcessEnv = process.env): Promise<FoundServers> {
  const found: Record<string, string> = {};
  const stops: (() => unknown)[] = [];
  const stop = async (): Promise<void> => {
    for (const stopOne of stops.splice(0)) await stopOne();
  };
  try {
    for (const kind of SERVER_KINDS) await checkNamed(kind, env[kind.variable]);
    const unnamed = SERVER_KINDS.filter((kind) => isUnset(env[kind.variable]));
    const missing = await installMissing(unnamed);
    for (const kind of unnamed.filter((kind) => !missing.includes(kind))) {
      const server = await startPrivate(kind);
      stops.push(() => server.stop());
      found[kind.variable] = server.address;
    }
    if (missing.length > 0) {
      const containers = inContainers(missing);
      stops.push(containers.stop);
      for (const [kind, at] of containers.addresses)
        found[kind.variable] = kind.program.address(at);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  const memcached = env[MEMCACHED_BINARY_VARIABLE] ?? findBinary(MEMCACHED.program.command);
  if (memcached !== undefined) found[MEMCACHED_BINARY_VARIABLE] = memcached;
  return { env: found, stop };
}

/** A server of one's own, to kill, freeze and start again; needs the binary. */
export const startRedis = (options?: StartOptions): Promise<PrivateServer> =>
  startPrivate(REDIS, options);

export const startMemcached = (options?: StartOptions): Promise<PrivateServer> =>
  startPrivate(MEMCACHED, options);

async function startPrivate(kind: ServerKind, options?: StartOptions): Promise<PrivateServer> {
  const binary = findBinary(kind.program.command);
  if (binary === undefined) throw missingError([kind]);
  try {
    return await startPrivateServer(kind.program, binary, options);
  } catch (error) {
    throw error instanceof TorilError ? new SetupError(error.message) : error;
  }
}

function isUnset(text: string | undefined): boolean {
  return text === undefined || text.trim() === '';
}

/**
 * A named server must be there: falling back to a private one would test something else than what
 * was asked for. Several memcached servers may be named, separated by commas.
 */
async function checkNamed(kind: ServerKind, text: string | undefined): Promise<void> {
  if (text === undefined || isUnset(text)) return;
  for (const one of text.split(',')) {
    const address = parseAddress(one.trim(), kind.usualPort);
    // The text is not repeated: it may hold a password.
    if (address === undefined) {
      throw new SetupError(
        `${kind.variable} is not an address. Set it to host:port or to a URL` +
          ` (for example ${kind.program.address(`127.0.0.1:${kind.usualPort}`)}),` +
          ' or unset it to have a private server started.',
      );
    }
    const problem = await problemConnecting(address, NAMED_DEADLINE_MS);
    if (problem === undefined) continue;
    throw new SetupError(
      `${kind.variable} names ${address.host}:${address.port}, which cannot be reached` +
        ` (${problem}). Start it, correct the address, or unset ${kind.variable} to have a` +
        ' private server started.',
    );
  }
}

/** Those still missing. */
async function installMissing(kinds: readonly ServerKind[]): Promise<ServerKind[]> {
  const isMissing = ({ program }: ServerKind): boolean => findBinary(program.command) === undefined;
  const missing = kinds.filter(isMissing);
  if (missing.length > 0) await installServers(missing);
  return missing.filter(isMissing);
}

function inContainers(missing: readonly ServerKind[]): Containers {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const containers = composeWorks() ? startContainers(missing, root) : undefined;
  if (containers === undefined) throw missingError(missing);
  return containers;
}

function missingError(missing: readonly ServerKind[]): SetupError {
  const all = (word: (kind: ServerKind) => string): string => missing.map(word).join(' ');
  const each = missing.map((kind) => `${kind.variable}=host:port`).join(' and ');
  return new SetupError(
    [
      `${all((kind) => kind.program.command).replace(' ', ' and ')} not found on the PATH, and could not be installed from here.`,
      'Do one of these and try again:',
      `  Debian, Ubuntu   sudo apt-get install ${all((kind) => kind.debianPackage)}`,
      `  macOS            brew install ${all((kind) => kind.brewPackage)}`,
      '  Docker           start the engine; docker compose is then used by itself',
      `  a running server set ${each}`,
    ].join('\n'),
  );
}
