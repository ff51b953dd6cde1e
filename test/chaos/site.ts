/** Everything that a run consists of: servers, the proxies before them, the clients, and what cleans up. */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { whenThisProcessEnds } from '../../src/cli/fleet/guard.ts';
import { type PrivateServer, startMemcached } from '../../scripts/servers.ts';
import type { MemcachedSettings } from '../../src/memcached/options.ts';
import { Recorder } from './history.ts';
import { Member, PIDS_FILE } from './member.ts';
import { type Home, type Network, openNetwork } from './network.ts';
import { Proxy } from './proxy.ts';
import { RedisPair } from './redis-pair.ts';
import type { TwinName } from './twins.ts';

export const QUEUE = 'chaos';
const named = (name: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `${name}-${n}`);
export const KEYS: readonly string[] = [
  ...named('key', 18),
  ...named('mortal', 3),
  ...named('brief', 3),
  ...named('account', 20),
];
/** The memcached server that can be filled, and its megabytes. */
export const SMALL_SERVER = 1;
const SMALL_SERVER_MB = '4';
const WORKERS = 4;
const PRODUCERS = 2;
const ROOT = new URL('../../', import.meta.url);

export const PROTOCOLS = ['auto', 'meta', 'binary', 'mixed'] as const;
/** Spoken with memcached; `mixed`: by every second process another one. */
export type Protocol = (typeof PROTOCOLS)[number];
export const LOCK_FORMS = ['value', 'cas', 'mixed'] as const;
/** In which locks are written, where the server can. */
export type LockForm = (typeof LOCK_FORMS)[number];

export interface SiteOptions {
  readonly seed: number;
  /** For history and logs. */
  readonly folder: string;
  readonly protocol: Protocol;
  readonly locks: LockForm;
  readonly twin?: TwinName | undefined;
}

interface Servers {
  readonly redis: RedisPair;
  readonly memcached: readonly PrivateServer[];
}

export interface Site extends Servers {
  readonly network: Network;
  /** Before Redis, and before each memcached. */
  readonly redisProxy: Proxy;
  readonly memcachedProxies: readonly Proxy[];
  readonly workers: readonly Member[];
  readonly producers: readonly Member[];
  readonly reader: Member;
  readonly meddler: Member;
  readonly stranger: Member;
  readonly operator: Member;
  readonly teller: Member;
  readonly recorder: Recorder;
  /** Processes that ended without having been told to. */
  readonly crashes: string[];
  close(): Promise<void>;
}

export async function openSite(options: SiteOptions): Promise<Site> {
  const closers: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).toReversed()) await closer();
  };
  try {
    const programs = compile();
    closers.push(() => rmSync(programs, { recursive: true, force: true }));
    closers.push(cleanUpBehind(options.folder, programs));
    const servers = await openServers(closers);
    const network = await openNetwork(WORKERS + PRODUCERS);
    closers.push(() => network.close());
    const proxied = async ({ port }: PrivateServer): Promise<Proxy> => {
      const proxy = await Proxy.open(network.host, port);
      closers.push(() => proxy.close());
      return proxy;
    };
    const redisProxy = await proxied(servers.redis.primary);
    const memcachedProxies = await Promise.all(servers.memcached.map(proxied));
    const recorder = new Recorder(options.folder, 'chaos');
    closers.push(() => recorder.close());
    const stage = { ...servers, network, redisProxy, memcachedProxies, recorder };
    const cast = castIn(programs, options, stage);
    closers.push(() => Promise.all(cast.members.map((member) => member.kill())));
    return { ...stage, ...cast, close };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

/** Into a folder of this process's own, inside the project, so that packages are found. */
function compile(): string {
  const folder = fileURLToPath(new URL(`.toril/chaos-${process.pid}/`, ROOT));
  const project = fileURLToPath(new URL('tsconfig.children.json', import.meta.url));
  const tsc = fileURLToPath(new URL('node_modules/.bin/tsc', ROOT));
  const { status, stdout, error } = spawnSync(tsc, ['-p', project, '--outDir', folder], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`the chaos does not compile: ${stdout || error?.message}`);
  return folder;
}

/**
 * If this process is ended on the way: members go, also frozen ones, which do not notice it (a process
 * id may have been given to somebody else since), and then the files.
 */
function cleanUpBehind(folder: string, programs: string): () => void {
  const kill =
    'while read -r pid; do case "$(ps -o args= -p "$pid")" in *"$2"*) kill -9 "$pid";; esac; done < "$1"';
  const script = `${kill}; rm -rf "$2" "$3"`;
  return whenThisProcessEnds(script, [join(folder, PIDS_FILE), folder, programs]);
}

async function openServers(closers: (() => unknown)[]): Promise<Servers> {
  const keep = (server: PrivateServer): PrivateServer => {
    closers.push(() => server.stop());
    return server;
  };
  const redis = await RedisPair.open();
  closers.push(() => redis.stop());
  const large = keep(await startMemcached());
  const small = keep(await startMemcached({ flags: ['-m', SMALL_SERVER_MB] }));
  return { redis, memcached: [large, small] };
}

type Cast = Pick<
  Site,
  'workers' | 'producers' | 'reader' | 'meddler' | 'stranger' | 'operator' | 'teller' | 'crashes'
> & {
  readonly members: readonly Member[];
};

function castIn(
  programs: string,
  options: SiteOptions,
  site: Pick<Site, 'redis' | 'memcached' | 'network' | 'redisProxy' | 'memcachedProxies'>,
): Cast {
  const { redis, memcached, network, redisProxy, memcachedProxies } = site;
  const crashes: string[] = [];
  const shared = { ...options, queue: QUEUE, keys: KEYS };
  const throughProxies = {
    ...shared,
    redis: { host: network.host, port: redisProxy.port },
    memcached: memcachedProxies.map(({ port }) => `${network.host}:${port}`),
  };
  const direct = {
    ...shared,
    redis: { host: redis.primary.host, port: redis.primary.port },
    memcached: memcached.map(({ address }) => address),
  };
  const cast = (role: string, name: string, home: Home, orders: typeof direct, n = 0): Member =>
    new Member({
      name,
      program: join(programs, `test/chaos/children/${role}.js`),
      home,
      orders: { ...orders, ...spokenBy(n, options) },
      onCrash: (what) => crashes.push(what),
    });
  const many = (role: string, count: number, firstHome: number): Member[] =>
    Array.from({ length: count }, (_, n) =>
      cast(role, `${role}-${n}`, network.homes[firstHome + n] as Home, throughProxies, n),
    );
  const workers = many('worker', WORKERS, 0);
  const producers = many('producer', PRODUCERS, WORKERS);
  const beside: Home = { address: undefined, prefix: [], plug: () => Promise.resolve() };
  const reader = cast('reader', 'reader', beside, direct);
  const meddler = cast('meddler', 'meddler', beside, throughProxies);
  const stranger = cast('stranger', 'stranger', beside, throughProxies);
  const operator = cast('operator', 'operator', beside, throughProxies);
  const teller = cast('teller', 'teller', beside, throughProxies);
  const others = { reader, meddler, stranger, operator, teller };
  const members = [...workers, ...producers, ...Object.values(others)];
  return { workers, producers, ...others, crashes, members };
}

/** Of four processes, each does it in another way. */
function spokenBy(
  n: number,
  { protocol, locks }: SiteOptions,
): Required<Pick<MemcachedSettings, 'protocol' | 'locks'>> {
  return {
    protocol: protocol === 'mixed' ? (n % 2 === 0 ? 'meta' : 'binary') : protocol,
    locks: locks === 'mixed' ? (n % 4 < 2 ? 'cas' : 'value') : locks,
  };
}
