/** The parent's side of lock-holder.ts. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { HolderOrders, HolderReport } from './lock-holder.ts';

const MAIN = fileURLToPath(new URL('./lock-holder.ts', import.meta.url));

export class LockChild {
  readonly #child: ChildProcess;
  readonly #reports: HolderReport[] = [];
  #wake: () => void = () => {};

  constructor(orders: HolderOrders) {
    this.#child = spawn(process.execPath, ['--import', 'tsx', MAIN, JSON.stringify(orders)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child.on('message', (report) => {
      this.#reports.push(report as HolderReport);
      this.#wake();
    });
    this.#child.on('exit', () => this.#wake());
  }

  /** The next report of this kind. Fails if the process ends without one. */
  async report<Event extends HolderReport['event']>(
    event: Event,
  ): Promise<Extract<HolderReport, { event: Event }>> {
    for (;;) {
      const found = this.#reports.find((report) => report.event === event);
      if (found !== undefined) return found as Extract<HolderReport, { event: Event }>;
      if (this.#hasEnded) throw new Error(`the holder ended without saying "${event}"`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Tells it to write. It may be frozen: then it hears of it when it goes on. */
  tellToWrite(): void {
    this.#child.send('write');
  }

  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  /** As a crash: at once, without a word. */
  async kill(): Promise<void> {
    if (this.#hasEnded) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  async exited(): Promise<void> {
    if (!this.#hasEnded) await once(this.#child, 'exit');
  }

  get #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }
}
