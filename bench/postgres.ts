/**
 * A PostgreSQL for the systems that need one: the one named in TORIL_POSTGRES, else a private one
 * from the binaries of this machine, else none. The private one does not wait for the disk, since
 * the Redis it is compared with does not either.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';

export interface OwnPostgres {
  readonly url: string;
  stop(): Promise<void>;
}

/** Where Debian and Homebrew keep versions that are not on the PATH. */
const LIBRARIES = ['/usr/lib/postgresql', '/opt/homebrew/opt', '/usr/local/opt'];
/** 4 processes at concurrency 128, each with a connection per running job. */
const CONNECTIONS_MAX = 600;
const SETTINGS = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  shared_buffers: '256MB',
  max_connections: String(CONNECTIONS_MAX),
  listen_addresses: '127.0.0.1',
};
const START_DEADLINE_MS = 15_000;
const POLL_MS = 50;

/** Undefined: there is none. */
export async function findPostgres(): Promise<OwnPostgres | undefined> {
  const named = process.env['TORIL_POSTGRES'];
  if (named !== undefined && named !== '') return { url: named, stop: async () => undefined };
  const folder = binaryFolder();
  return folder === undefined ? undefined : startPostgres(folder);
}

function binaryFolder(): string | undefined {
  const onPath = (process.env['PATH'] ?? '').split(delimiter);
  const versions = LIBRARIES.filter((library) => existsSync(library)).flatMap((library) =>
    readdirSync(library)
      .toSorted((a, b) => b.localeCompare(a, 'en', { numeric: true }))
      .map((version) => join(library, version, 'bin')),
  );
  const complete = (folder: string): boolean =>
    ['postgres', 'initdb'].every((name) => existsSync(join(folder, name)));
  return [...onPath, ...versions].find(complete);
}

async function startPostgres(binaries: string): Promise<OwnPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'toril-postgres-'));
  const user = unprivilegedUser();
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  execFileSync(
    join(binaries, 'initdb'),
    ['-D', data, '-U', 'bench', '--auth=trust', '--no-sync', '-E', 'UTF8', '--locale=C'],
    { ...user, stdio: 'ignore', cwd: folder },
  );
  const port = await freePort();
  const settings = Object.entries({ ...SETTINGS, port: String(port), unix_socket_directories: '' });
  const flags = settings.flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  // It ends with this process, however that ends: the shell waits on a pipe that closes then.
  const script =
    'folder=$1; shift; "$0" "$@" >/dev/null 2>&1 & read -r end; kill -INT $!; wait $!; rm -rf "$folder"';
  const command = [join(binaries, 'postgres'), folder, '-D', data, ...flags];
  const shell = spawn('/bin/sh', ['-c', script, ...command], {
    ...user,
    cwd: folder,
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const stop = async (): Promise<void> => {
    const ended = shell.exitCode === null ? once(shell, 'exit') : undefined;
    shell.stdin.end();
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  const url = `postgres://bench@127.0.0.1:${port}/postgres`;
  if (await comesUp(url)) return { url, stop };
  await stop();
  throw new Error(`no answer within ${START_DEADLINE_MS} ms`);
}

async function comesUp(url: string): Promise<boolean> {
  const untilMs = performance.now() + START_DEADLINE_MS;
  while (performance.now() < untilMs) {
    const client = new Client({ connectionString: url });
    client.on('error', () => undefined); // connect() reports it
    const connected = await client.connect().then(
      () => true,
      () => false,
    );
    if (connected) await client.end();
    if (connected) return true;
    await sleep(POLL_MS);
  }
  return false;
}

/** PostgreSQL refuses to run as root. */
function unprivilegedUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = ['-u', '-g'].map((flag) =>
      Number(spawnSync('id', [flag, name], { encoding: 'utf8' }).stdout.trim() || Number.NaN),
    );
    if (uid !== undefined && gid !== undefined && uid > 0 && gid > 0) return { uid, gid };
  }
  throw new Error('it refuses to run as root, and there is no other user to run it as');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return address.port;
}
