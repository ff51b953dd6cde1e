/**
 * A Redis or memcached of our own: a free port on 127.0.0.1 and a temporary folder, both gone when
 * it is stopped or when this process ends. It can be killed, frozen and started again at its
 * address, which is what tests of faults and the demo need.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask, freePort } from './addresses.mjs';
import { whenThisProcessEnds } from './guard.mjs';
import { SetupError } from './setup-error.mjs';

/** Between choosing a free port and listening on it, another process may have taken it. */
const PORTS_TRIED_MAX = 5;
const START_DEADLINE_MS = 10_000;
const POLL_MS = 15;
/** Within this time a server that cannot have its port has ended. */
const NO_PORT_EXIT_MS = 200;
const ASK_DEADLINE_MS = 300;
const LOG_LINES_SHOWN = 5;

/**
 * @typedef {object} StartOptions
 * @property {string[]} [flags] after our own, so that they win
 * @property {number} [port] this one and no other
 */

/**
 * @param {import('./server-kinds.mjs').ServerKind} kind
 * @param {string} binary
 * @param {StartOptions} [options]
 */
export async function startPrivateServer(kind, binary, options = {}) {
  const folder = mkdtempSync(join(tmpdir(), `toril-${kind.name}-`));
  for (let tried = 1; ; tried++) {
    const port = options.port ?? (await freePort());
    const server = new PrivateServer(kind, binary, port, folder, options.flags ?? []);
    try {
      await server.start();
      return server;
    } catch (error) {
      if (options.port === undefined && tried < PORTS_TRIED_MAX) continue;
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }
}

export class PrivateServer {
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #child;
  #kind;
  #binary;
  #folder;
  #flags;
  #standDown = () => {};

  /**
   * @param {import('./server-kinds.mjs').ServerKind} kind
   * @param {string} binary
   * @param {number} port
   * @param {string} folder
   * @param {string[]} flags
   */
  constructor(kind, binary, port, folder, flags) {
    this.name = kind.name;
    this.host = '127.0.0.1';
    this.port = port;
    /** As TORIL_REDIS or TORIL_MEMCACHED take it. */
    this.address = kind.format(`${this.host}:${port}`);
    this.#kind = kind;
    this.#binary = binary;
    this.#folder = folder;
    this.#flags = flags;
  }

  get running() {
    return this.#child !== undefined;
  }

  /** Undefined while it does not run. */
  get pid() {
    return this.#child?.pid;
  }

  /** Starts it, again after `kill`, at the same address and with the same folder. */
  async start() {
    if (this.#child !== undefined) return;
    const log = openSync(join(this.#folder, 'log'), 'a');
    const own = this.#kind.flags(this.#binary, this.port, this.#folder);
    const child = spawn(this.#binary, [...own, ...this.#flags], {
      cwd: this.#folder,
      // A process group of its own: Ctrl-C must not stop it under whoever is still shutting down.
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    child.unref();
    child.on('error', () => {}); // it has no pid then, which is looked at below
    if (child.pid !== undefined) this.#watch(child, child.pid);
    if (await this.#comesUp(child)) return;
    await this.kill();
    throw new SetupError(`${this.#binary} does not start:\n${this.#logTail()}`);
  }

  /** Ends it at once, as a crash would. Its folder and address stay, for `start`. */
  async kill() {
    const child = this.#child;
    if (child === undefined) return;
    const exited = once(child, 'exit');
    child.ref();
    child.kill('SIGKILL');
    await exited;
  }

  /** Stops its process where it stands, as a paused machine would: it keeps its port, silently. */
  freeze() {
    this.#child?.kill('SIGSTOP');
  }

  /** Lets it go on after `freeze`. */
  thaw() {
    this.#child?.kill('SIGCONT');
  }

  /** Ends it for good. */
  async stop() {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** @param {import('node:child_process').ChildProcess} child @param {number} pid */
  #watch(child, pid) {
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
   * @param {import('node:child_process').ChildProcess} child
   */
  async #comesUp(child) {
    const { whoAreYou, processId } = this.#kind;
    const deadline = performance.now() + START_DEADLINE_MS;
    while (this.#child === child && performance.now() < deadline) {
      const answer = await ask(this, whoAreYou, processId, ASK_DEADLINE_MS);
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

  #logTail() {
    const lines = readFileSync(join(this.#folder, 'log'), 'utf8').trimEnd().split('\n');
    return lines.slice(-LOG_LINES_SHOWN).join('\n');
  }
}
