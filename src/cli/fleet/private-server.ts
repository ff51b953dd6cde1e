/** A Redis or memcached of our own, on a free port, gone when this process ends. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TorilError } from '../../errors.ts';

const HOST = '127.0.0.1';
/** Between choosing a free port and listening on it, another process may have taken it. */
const PORTS_TRIED_MAX = 5;
const START_DEADLINE_MS = 10_000;
const POLL_MS = 20;

export interface ServerProgram {
  readonly binary: string;
  flags(port: number, folder: string): readonly string[];
}

export function redisProgram(binary: string): ServerProgram {
  return {
    binary,
    flags: (port, folder) => [
      ...['--bind', HOST, '--port', String(port), '--dir', folder],
      ...['--save', '', '--appendonly', 'no', '--maxmemory-policy', 'noeviction'],
    ],
  };
}

export function memcachedProgram(binary: string): ServerProgram {
  const help = spawnSync(binary, ['-h'], { encoding: 'utf8' }).stdout ?? '';
  return {
    binary,
    flags: (port) => [
      ...['-l', HOST, '-p', String(port), '-U', '0', '-m', '256'],
      // Keeps short-lived items, the leases, from being evicted.
      ...(help.includes('temporary_ttl') ? ['-o', 'temporary_ttl=61'] : []),
      // memcached refuses to run as root unless it is told whom to become.
      ...(process.getuid?.() === 0 ? ['-u', 'nobody'] : []),
    ],
  };
}

/** The first executable of that name on the PATH. */
export function findBinary(name: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

export class PrivateServer {
  readonly #program: ServerProgram;
  readonly #port: number;
  readonly #folder: string;
  readonly #cleanUp = (): void => {
    this.#child?.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  };
  #child: ChildProcess | undefined;

  private constructor(program: ServerProgram, port: number) {
    this.#program = program;
    this.#port = port;
    this.#folder = mkdtempSync(join(tmpdir(), 'toril-'));
    process.on('exit', this.#cleanUp);
  }

  /** @throws TorilError SERVER_MISSING if it does not start */
  static async start(program: ServerProgram): Promise<PrivateServer> {
    for (let tried = 1; ; tried++) {
      const server = new PrivateServer(program, await freePort());
      try {
        await server.#run();
        return server;
      } catch (thrown) {
        await server.stop();
        if (tried >= PORTS_TRIED_MAX) throw thrown;
      }
    }
  }

  /** `host:port` */
  get address(): string {
    return `${HOST}:${this.#port}`;
  }

  /** Ends it as a crash would, and starts it again, empty, at the same address. */
  async restart(): Promise<void> {
    await this.#kill();
    await this.#run();
  }

  async stop(): Promise<void> {
    await this.#kill();
    process.off('exit', this.#cleanUp);
    this.#cleanUp();
  }

  async #run(): Promise<void> {
    const { binary, flags } = this.#program;
    const child = spawn(binary, flags(this.#port, this.#folder), {
      cwd: this.#folder,
      detached: true, // Ctrl-C is for us; it goes when we are done
      stdio: 'ignore',
    });
    child.on('error', () => undefined); // it has no pid then
    if (child.pid !== undefined) guard(child, child.pid, this.#folder);
    this.#child = child;
    const deadline = performance.now() + START_DEADLINE_MS;
    while (isRunning(child) && performance.now() < deadline) {
      if ((await accepts(this.#port)) && isRunning(child)) return;
      await sleep(POLL_MS);
    }
    throw new TorilError('SERVER_MISSING', `${binary} does not start on port ${this.#port}.`);
  }

  async #kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || !isRunning(child)) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
}

/**
 * Even SIGKILL must not leave the server behind: a shell waits on a pipe, which the system closes
 * with the last process that holds it, us. A line says that there is nothing left to do.
 */
function guard(server: ChildProcess, pid: number, folder: string): void {
  const script = 'read -r line || { kill -9 "$1"; rm -rf "$2"; }';
  const shell = spawn('/bin/sh', ['-c', script, 'toril-guard', String(pid), folder], {
    detached: true, // Ctrl-C must not end it first
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  shell.on('error', () => undefined); // no shell, no guard
  shell.stdin.on('error', () => undefined);
  server.once('exit', () => shell.stdin.end('over\n'));
}

function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: HOST, port });
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return address.port;
}
