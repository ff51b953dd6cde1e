/**
 * Where the clients live. As root on Linux each has a network namespace of its own, which can be
 * unplugged, and an address by which the proxies know it; elsewhere all share 127.0.0.1.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { whenThisProcessEnds } from '../../src/cli/fleet/guard.ts';

const run = promisify(execFile);
const ip = (command: string): Promise<unknown> => run('ip', command.split(' '));

/** Set apart for tests of networks (RFC 2544), so nobody's. */
const NET = '198.18';
const FIRST_HOST = 10;

export interface Home {
  /** By which proxies see it; undefined: as everybody. */
  readonly address: string | undefined;
  /** Goes before a command that shall run there. */
  readonly prefix: readonly string[];
  plug(on: boolean): Promise<void>;
}

export interface Network {
  /** Where the proxies listen. */
  readonly host: string;
  readonly homes: readonly Home[];
  /** Why there are no namespaces here; undefined: there are. */
  readonly missing: string | undefined;
  close(): Promise<void>;
}

export async function openNetwork(homes: number): Promise<Network> {
  try {
    return await openNamespaces(homes);
  } catch (thrown) {
    const [missing = ''] = String((thrown as { stderr?: string }).stderr ?? thrown).split('\n');
    return loopback(homes, missing);
  }
}

function loopback(homes: number, missing: string): Network {
  const home = { address: undefined, prefix: [], plug: () => Promise.resolve() };
  return {
    host: '127.0.0.1',
    homes: Array.from({ length: homes }, () => home),
    missing,
    close: () => Promise.resolve(),
  };
}

async function openNamespaces(count: number): Promise<Network> {
  // Names of interfaces have 15 characters at most.
  const name = `trl${process.pid.toString(36)}`;
  const bridge = `${name}b`;
  const spaces = Array.from({ length: count }, (_, index) => `${name}n${index}`);
  const clear = `ip link del ${bridge}; for space in ${spaces.join(' ')}; do ip netns del "$space"; done`;
  const standDown = whenThisProcessEnds(`PATH=$PATH:/usr/sbin:/sbin; ${clear}`, []);
  const close = async (): Promise<void> => {
    await run('/bin/sh', ['-c', `(${clear}) 2>/dev/null; true`]);
    standDown();
  };
  try {
    const net = await freeNet();
    await ip(`link add ${bridge} type bridge`);
    await ip(`addr add ${net}.1/24 dev ${bridge}`);
    await ip(`link set ${bridge} up`);
    const homes: Home[] = [];
    for (const [index, space] of spaces.entries()) {
      homes.push(await openHome(space, bridge, `${name}v${index}`, `${net}.${FIRST_HOST + index}`));
    }
    return { host: `${net}.1`, homes, missing: undefined, close };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

async function openHome(
  space: string,
  bridge: string,
  port: string,
  address: string,
): Promise<Home> {
  await ip(`netns add ${space}`);
  await ip(`link add ${port} type veth peer name eth0 netns ${space}`);
  await ip(`link set ${port} master ${bridge} up`);
  await ip(`-n ${space} addr add ${address}/24 dev eth0`);
  await ip(`-n ${space} link set lo up`);
  await ip(`-n ${space} link set eth0 up`);
  return {
    address,
    prefix: ['ip', 'netns', 'exec', space],
    async plug(on) {
      await ip(`link set ${port} ${on ? 'up' : 'down'}`);
    },
  };
}

async function freeNet(): Promise<string> {
  const { stdout } = await run('ip', ['-o', 'addr']);
  for (let third = process.pid % 256, tried = 0; tried < 256; tried++, third = (third + 1) % 256) {
    if (!stdout.includes(`${NET}.${third}.`)) return `${NET}.${third}`;
  }
  throw new Error(`all of ${NET}.0.0/16 is in use`);
}
