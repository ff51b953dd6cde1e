/** A client process that may be killed, frozen, unplugged and started again, as often as one likes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { Order, Orders } from './children/orders.ts';
import type { Home } from './network.ts';

export interface Casting {
  /** `worker-2`; each start adds a number. */
  readonly name: string;
  /** The file that it runs. */
  readonly program: string;
  readonly home: Home;
  readonly orders: Omit<Orders, 'name'>;
  /** Told if it ends without having been told to. */
  readonly onCrash: (what: string) => void;
}

/** Process ids of all members, one per line: whoever cleans up behind this process kills them. */
export const PIDS_FILE = 'pids';

export class Member {
  readonly name: string;
  readonly #casting: Casting;
  #child: ChildProcess | undefined;
  #starts = 0;

  constructor(casting: Casting) {
    this.#casting = casting;
    this.name = casting.name;
  }

  get home(): Home {
    return this.#casting.home;
  }

  async start(): Promise<void> {
    const { program, home, orders, onCrash } = this.#casting;
    const name = `${this.name}.${this.#starts++}`;
    const log = openSync(join(orders.folder, `${name}.log`), 'a');
    const command = [...home.prefix, process.execPath, program];
    const child = spawn(
      command[0] as string,
      [...command.slice(1), JSON.stringify({ ...orders, name } satisfies Orders)],
      { stdio: ['ignore', log, log, 'ipc'] },
    );
    closeSync(log);
    this.#child = child;
    appendFileSync(join(orders.folder, PIDS_FILE), `${child.pid}\n`);
    child.on('error', (cause) => onCrash(`${name} cannot be started: ${cause.message}`));
    child.on('exit', (code, signal) => {
      if (this.#child !== child) return;
      this.#child = undefined;
      onCrash(`${name} ended by itself (${signal ?? `code ${code}`}), see its log`);
    });
    await this.#said('ready');
  }

  async order(order: Order): Promise<void> {
    const said = this.#said(order);
    this.#child?.send(order);
    await said;
  }

  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  /** In good order. */
  async close(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    const exited = once(child, 'exit');
    child.send('close' satisfies Order);
    await exited;
  }

  /** Resolves once it has said so, or has ended. */
  #said(what: string): Promise<void> {
    const child = this.#child;
    return new Promise((resolve) => {
      const listen = (message: unknown): void => {
        if (message === what) done();
      };
      const done = (): void => {
        child?.off('message', listen);
        child?.off('exit', done);
        resolve();
      };
      child?.on('message', listen);
      child?.on('exit', done);
      if (child === undefined) resolve();
    });
  }
}
