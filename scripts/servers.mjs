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
import { parseAddress, problemConnecting } from './addresses.mjs';
import { findBinary } from './binaries.mjs';
import { startPrivateServer } from './private-server.mjs';
import { composeWorks, startContainers } from './server-containers.mjs';
import { MEMCACHED, REDIS, SERVER_KINDS } from './server-kinds.mjs';
import { installServers } from './server-packages.mjs';
import { SetupError } from './setup-error.mjs';

/** @typedef {import('./server-kinds.mjs').ServerKind} ServerKind */
/** @typedef {import('./private-server.mjs').PrivateServer} PrivateServer */
/** @typedef {import('./private-server.mjs').StartOptions} StartOptions */

const NAMED_DEADLINE_MS = 3_000;

/** The demo restarts a memcached of its own, so it wants the binary and not only an address. */
const MEMCACHED_BINARY_VARIABLE = 'TORIL_DEMO_MEMCACHED_BIN';

/**
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<{ env: Record<string, string>, stop: () => Promise<void> }>} what to add to
 *   the environment of whoever uses the servers; `stop` ends those that were started here
 */
export async function getServers(env = process.env) {
  /** @type {Record<string, string>} */
  const found = {};
  /** @type {(() => unknown)[]} */
  const stops = [];
  const stop = async () => {
    for (const stopOne of stops.splice(0)) await stopOne();
  };
  try {
    for (const kind of SERVER_KINDS) await checkNamed(kind, env[kind.variable]);
    const unnamed = SERVER_KINDS.filter((kind) => isUnset(env[kind.variable]));
    const missing = await installMissing(unnamed);
    for (const kind of unnamed.filter((kind) => !missing.includes(kind))) {
      const server = await startPrivateServer(kind, binaryOf(kind));
      stops.push(() => server.stop());
      found[kind.variable] = server.address;
    }
    if (missing.length > 0) {
      const containers = inContainers(missing);
      stops.push(containers.stop);
      for (const [kind, at] of containers.addresses) found[kind.variable] = kind.format(at);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  const memcached = env[MEMCACHED_BINARY_VARIABLE] ?? findBinary(MEMCACHED.binary);
  if (memcached !== undefined) found[MEMCACHED_BINARY_VARIABLE] = memcached;
  return { env: found, stop };
}

/**
 * A server of one's own, to kill, freeze and start again; needs the binary.
 * @param {StartOptions} [options]
 */
export const startRedis = (options) => startPrivateServer(REDIS, binaryOf(REDIS), options);

/** @param {StartOptions} [options] */
export const startMemcached = (options) =>
  startPrivateServer(MEMCACHED, binaryOf(MEMCACHED), options);

/** @param {ServerKind} kind */
function binaryOf(kind) {
  const binary = findBinary(kind.binary);
  if (binary === undefined) throw missingError([kind]);
  return binary;
}

/** @param {string | undefined} text */
function isUnset(text) {
  return text === undefined || text.trim() === '';
}

/**
 * A named server must be there: falling back to a private one would test something else than what
 * was asked for. Several memcached servers may be named, separated by commas.
 * @param {ServerKind} kind
 * @param {string | undefined} text
 */
async function checkNamed(kind, text) {
  if (text === undefined || isUnset(text)) return;
  for (const one of text.split(',')) {
    const address = parseAddress(one.trim(), kind.usualPort);
    // The text is not repeated: it may hold a password.
    if (address === undefined) {
      throw new SetupError(
        `${kind.variable} is not an address. Set it to host:port or to a URL` +
          ` (for example ${kind.format(`127.0.0.1:${kind.usualPort}`)}),` +
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

/** @param {readonly ServerKind[]} kinds @returns {Promise<ServerKind[]>} those still missing */
async function installMissing(kinds) {
  const isMissing = (/** @type {ServerKind} */ kind) => findBinary(kind.binary) === undefined;
  const missing = kinds.filter(isMissing);
  if (missing.length > 0) await installServers(missing);
  return missing.filter(isMissing);
}

/** @param {readonly ServerKind[]} missing */
function inContainers(missing) {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const containers = composeWorks() ? startContainers(missing, root) : undefined;
  if (containers === undefined) throw missingError(missing);
  return containers;
}

/** @param {readonly ServerKind[]} missing */
function missingError(missing) {
  const all = (/** @type {(kind: ServerKind) => string} */ word) => missing.map(word).join(' ');
  const each = missing.map((kind) => `${kind.variable}=host:port`).join(' and ');
  return new SetupError(
    [
      `${all((kind) => kind.binary).replace(' ', ' and ')} not found on the PATH, and could not be installed from here.`,
      'Do one of these and try again:',
      `  Debian, Ubuntu   sudo apt-get install ${all((kind) => kind.debianPackage)}`,
      `  macOS            brew install ${all((kind) => kind.brewPackage)}`,
      '  Docker           start the engine; docker compose is then used by itself',
      `  a running server set ${each}`,
    ].join('\n'),
  );
}
