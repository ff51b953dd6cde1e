/**
 * A Redis or memcached of our own: a free port on 127.0.0.1 and a temporary folder, both gone when it is
 * stopped or when this process ends. It can be killed, frozen and started again at its address, which is
 * what the demo and tests of faults need.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TorilError } from '../../errors.ts';
import { whenThisProcessEnds } from '../fleet/guard.ts';
import type { ServerProgram } from './server-programs.ts';

const HOST = '127.0.0.1';
/** Between choosing a free port and listening on it, another process may have taken it. */
const PORTS_TRIED_MAX = 5;
const START_DEADLINE_MS = 10_000;
const POLL_MS = 15;
/** Within this time a server that cannot have its port has ended. */
const NO_PORT_EXIT_MS = 200;
const ASK_DEADLINE_MS = 300;
const LOG_LINES_SHOWN = 5;
const FREEZE_DEADLINE_MS = 1_000;

export interface StartOptions {
  /** Command line flags after our own, so that they win. */
  readonly flags?: readonly string[];
  /** This port and no other. */
  readonly port?: number;
}

/** @throws TorilError SERVER_MISSING if it does not start */
export async function startPrivateServer(
  program: ServerProgram,
  binary: string,
  { port, flags = [] }: StartOptions = {},
): Promise<PrivateServer> {
  const folder = mkdtempSync(join(tmpdir(), `toril-${program.name}-`));
  for (let tried = 1; ; tried++) {
    const server = new PrivateServer(program, binary, port ?? (await freePort()), folder, flags);
    try {
      await server.start();
      return server;
    } catch (error) {
      if (port === undefined && tried < PORTS_TRIED_MAX) continue;
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }
}

export class PrivateServer {
  readonly name: ServerProgram['name'];
  readonly host: string = HOST;
  readonly port: number;
  /** As TORIL_REDIS or TORIL_MEMCACHED take it. */
  readonly address: string;
  readonly #program: ServerProgram;
  readonly #binary: string;
  readonly #folder: string;
  readonly #flags: readonly string[];
  #child: ChildProcess | undefined;
  #standDown: () => void = () => undefined;

  constructor(
    program: ServerProgram,
    binary: string,
    port: number,
    folder: string,
    flags: readonly string[],
  ) {
    this.name = program.name;
    this.port = port;
    this.address = program.address(`${HOST}:${port}`);
    this.#program = program;
    this.#binary = binary;
    this.#folder = folder;
    this.#flags = flags;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts it, again after `kill`, at the same address and with the same folder. */
  async start(): Promise<void> {
    if (this.#child !== undefined) return;
    const log = openSync(join(this.#folder, 'log'), 'a');
    const own = this.#program.flags(this.#binary, HOST, this.port, this.#folder);
    const child = spawn(this.#binary, [...own, ...this.#flags], {
      cwd: this.#folder,
      // A process group of its own: Ctrl-C must not stop it while something else is still shutting down.
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    child.unref();
    child.on('error', () => undefined); // it has no pid then, which is looked at below
    if (child.pid !== undefined) this.#watch(child, child.pid);
    if (await this.#comesUp(child)) return;
    await this.kill();
    throw new TorilError('SERVER_MISSING', `${this.#binary} does not start:\n${this.#logTail()}`);
  }

  /** Ends it at once, as a crash would. Its folder and address stay, for `start`. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const exited = once(child, 'exit');
    child.ref();
    child.kill('SIGKILL');
    await exited;
  }

  /**
   * Stops its process where it stands, as a paused machine would: it keeps its port, silently. Waits until it
   * does: on a busy machine memcached's other threads answered for some milliseconds after the signal.
   */
  freeze(): void {
    const pid = this.#child?.pid;
    if (pid === undefined || this.#child?.kill('SIGSTOP') !== true) return;
    const deadlineMs = performance.now() + FREEZE_DEADLINE_MS;
    while (!isStopped(pid) && performance.now() < deadlineMs) {
      // A turn of this process's event loop would send what is to meet a frozen server.
    }
  }

  /** Lets it go on after `freeze`. */
  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Ends it for good and removes its folder. */
  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #watch(child: ChildProcess, pid: number): void {
    this.#child = child;
    const script = 'kill -9 "$1"; rm -rf "$2"';
    this.#standDown = whenThisProcessEnds(script, [String(pid), this.#folder]);
    child.once('exit', () => {
      this.#child = undefined;
      this.#standDown();
    });
  }

  /**
   * Waits until the server answers, and answers as the process that we started: on a port that
   * somebody else took first, somebody else answers.
   */
  async #comesUp(child: ChildProcess): Promise<boolean> {
    const { whoAreYou, processId } = this.#program;
    const deadline = performance.now() + START_DEADLINE_MS;
    while (this.#child === child && performance.now() < deadline) {
      const answer = await ask(this.port, whoAreYou, processId);
      const pid = answer === undefined ? undefined : processId.exec(answer)?.[1];
      if (pid !== undefined) return Number(pid) === child.pid;
      // One that wants a password or TLS tells us nothing. Then it counts that ours lives on: had
      // somebody else answered, ours would end, because it cannot have the port.
      if (answer !== undefined) break;
      await sleep(POLL_MS);
    }
    await sleep(NO_PORT_EXIT_MS);
    return this.#child === child && performance.now() < deadline;
  }

  #logTail(): string {
    const lines = readFileSync(join(this.#folder, 'log'), 'utf8').trimEnd().split('\n');
    return lines.slice(-LOG_LINES_SHOWN).join('\n');
  }
}

/**
 * Sends one request and collects the answer until it contains `pattern`, the peer closes, or the
 * deadline passes. Undefined: nobody accepted the connection.
 */
function ask(port: number, request: string, pattern: RegExp): Promise<string | undefined> {
  return new Promise((resolve) => {
    let answer: string | undefined;
    const deadline = AbortSignal.timeout(ASK_DEADLINE_MS);
    const socket = connect({ host: HOST, port, signal: deadline }, () => {
      answer = '';
      socket.write(request);
    });
    socket.setEncoding('utf8');
    socket.on('data', (chunk) => {
      answer += String(chunk);
      if (pattern.test(answer ?? '')) socket.destroy();
    });
    socket.on('error', () => undefined); // 'close' follows
    socket.on('close', () => resolve(answer));
  });
}

/** A port that is free now. Somebody else may take it before it is used: be ready to retry. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return address.port;
}

/** Whether all its threads stand still; taken for granted where there is no /proc to ask. */
function isStopped(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).every((thread) => {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
      return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
    });
  } catch {
    return true;
  }
}
