/**
 * One `toril worker` as a process of its own, for the commands that kill and freeze some. It writes
 * its log as JSON lines to a pipe, so that what it told before a SIGKILL is not lost.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { HTTP_VARIABLE } from '../flags/http-address.ts';

/** main.ts, or main.js once compiled. */
export const MAIN_FILE: string = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../main.ts' : '../main.js', import.meta.url),
);
/** Milliseconds for a graceful stop. */
const STOP_DEADLINE_MS = 15_000;
const STDERR_LINES_KEPT = 5;

/** One line of a worker's log (worker-log.ts). */
export interface WorkerEvent {
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface WorkerSetting {
  /** Of `toril worker`; `--json` is added. */
  readonly args: readonly string[];
  /** The servers: on the command line, anybody on the machine could read their passwords. */
  readonly env: Readonly<Record<string, string>>;
}

export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #lastWords: string[] = [];
  #expectedToEnd = false;

  constructor({ args, env }: WorkerSetting, onEvent: (event: WorkerEvent) => void) {
    // The very Node and loader that run us.
    this.#child = spawn(
      process.execPath,
      [...process.execArgv, MAIN_FILE, 'worker', ...args, '--json'],
      {
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'], // the channel: it ends when we do
        // A process group of its own: Ctrl-C is for us, and we stop it when we are ready.
        detached: true,
        // Only one of them could listen there.
        env: { ...process.env, [HTTP_VARIABLE]: undefined, ...env },
      },
    );
    this.#exited = once(this.#child, 'close').catch(() => undefined);
    const { stdout, stderr } = this.#child;
    if (stdout !== null) {
      createInterface({ input: stdout }).on('line', (line) => onEvent(eventOf(line)));
    }
    if (stderr !== null) {
      createInterface({ input: stderr }).on('line', (line) => {
        this.#lastWords.push(line);
        this.#lastWords.splice(0, this.#lastWords.length - STDERR_LINES_KEPT);
      });
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Rejects if it ends though nobody told it to. */
  async unexpectedEnd(): Promise<never> {
    await this.#exited;
    if (this.#expectedToEnd) return new Promise(() => undefined);
    const how = this.#child.signalCode ?? `exit code ${this.#child.exitCode}`;
    throw new Error([`a worker process ended by itself (${how}):`, ...this.#lastWords].join('\n'));
  }

  kill(): Promise<unknown> {
    this.#expectedToEnd = true;
    this.#child.kill('SIGKILL');
    return this.#exited;
  }

  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  /** In good order if it manages that in time. */
  async stop(): Promise<void> {
    this.#expectedToEnd = true;
    if (!this.running) return;
    const late = setTimeout(() => this.#child.kill('SIGKILL'), STOP_DEADLINE_MS);
    this.#child.kill('SIGTERM');
    this.thaw(); // a frozen one would not hear of it
    await this.#exited;
    clearTimeout(late);
  }

  /** For the moment at which this process ends and nothing can be awaited any more. */
  killNow(): void {
    if (this.running) this.#child.kill('SIGKILL');
  }
}

function eventOf(line: string): WorkerEvent {
  try {
    return JSON.parse(line) as WorkerEvent;
  } catch {
    return { event: 'text', text: line }; // printed by the code in --updates
  }
}
