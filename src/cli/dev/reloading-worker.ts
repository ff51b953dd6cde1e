/**
 * A worker process that is started again whenever a file beside the updates changes. What a module has imported cannot be
 * taken back within a process. Jobs that it has in hand go back to the queue, as with any worker that stops.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type FSWatcher, watch } from 'node:fs';
import { dirname, resolve, sep } from 'node:path';
import { type Clock, type Timer } from '../../base/clock.ts';
import { MAIN_FILE } from '../fleet/worker-process.ts';
import { note } from '../terminal/terminal.ts';

/** Milliseconds of quiet after a change: editors write a file in several steps. */
const QUIET_MS = 150;
/** Milliseconds for a graceful stop. */
const STOP_DEADLINE_MS = 5_000;
/** What is code, or is read by it. */
const CODE = /\.([cm]?[jt]s|json)$/;

export interface ReloadingSetting {
  /** The user's module with updates; its folder is watched. */
  readonly updates: string;
  /** Of `toril worker`. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export class ReloadingWorker {
  readonly #setting: ReloadingSetting;
  readonly #clock: Clock;
  readonly #watcher: FSWatcher;
  readonly #killNow = (): void => void this.#child?.kill('SIGKILL');
  #child: ChildProcess | undefined;
  #quiet: Timer | undefined;
  /** One restart after the other. */
  #turn: Promise<void>;
  #isOver = false;

  constructor(setting: ReloadingSetting, clock: Clock) {
    this.#setting = setting;
    this.#clock = clock;
    const folder = dirname(resolve(setting.updates));
    this.#watcher = watch(folder, { recursive: true }, (_, file) => this.#changed(file));
    this.#watcher.on('error', ({ message }) => note(`changes are not seen any more: ${message}`));
    process.on('exit', this.#killNow);
    this.#turn = this.#start();
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    this.#quiet?.cancel();
    this.#watcher.close();
    await this.#turn;
    await this.#end();
    process.off('exit', this.#killNow);
  }

  #changed(file: string | null): void {
    if (this.#isOver || (file !== null && !isCode(file))) return;
    this.#quiet?.cancel();
    this.#quiet = this.#clock.after(QUIET_MS, () => {
      note(`${file ?? 'a file'} has changed: starting the worker again`);
      this.#turn = this.#turn.then(async () => {
        await this.#end();
        if (!this.#isOver) await this.#start();
      });
    });
  }

  async #start(): Promise<void> {
    const { updates, args, env } = this.#setting;
    const child = spawn(
      process.execPath,
      [...process.execArgv, MAIN_FILE, 'worker', '--updates', updates, ...args],
      {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'], // the channel: it ends when we do
        // A process group of its own: Ctrl-C is for us, and we stop it when we are ready.
        detached: true,
        env: { ...process.env, ...env },
      },
    );
    this.#child = child;
    child.on('error', ({ message }) => note(`the worker cannot be started: ${message}`));
    child.once('exit', (code) => {
      if (this.#child === child) this.#child = undefined;
      if (!this.#isOver && code !== 0 && code !== null) note('waiting for a change of the updates');
    });
    return Promise.resolve();
  }

  async #end(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    const late = this.#clock.after(STOP_DEADLINE_MS, () => child.kill('SIGKILL'));
    child.kill('SIGTERM');
    await exited;
    late.cancel();
  }
}

function isCode(file: string): boolean {
  const isOthers = file.split(sep).some((part) => part === 'node_modules' || part.startsWith('.'));
  return !isOthers && CODE.test(file);
}
