/** Workers in processes of their own, to be killed, frozen and counted. The parent's side. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import type { WorkerOptions } from '../../src/index.ts';
import type { ProcessOrders, ProcessReport } from './worker-process.ts';
import type { Stage } from './workers.ts';

const MAIN = fileURLToPath(new URL('./worker-process.ts', import.meta.url));

export type ProcessOptions = Partial<Omit<WorkerOptions, 'updates'>> &
  Pick<ProcessOrders, 'fault' | 'updates' | 'withoutCas'>;

export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly reports: ProcessReport[] = [];
  #wake: () => void = () => {};

  constructor(orders: ProcessOrders) {
    this.#child = fork(MAIN, [JSON.stringify(orders)], { execArgv: ['--import', 'tsx'] });
    this.#child.on('message', (report) => {
      this.reports.push(report as ProcessReport);
      this.#wake();
    });
    this.#child.on('exit', () => this.#wake());
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Resolves once it works. Also if it has died on the way: what it was told to do may be quick. */
  async ready(): Promise<this> {
    await this.said('ready');
    return this;
  }

  /** Resolves once it has said so, or has ended. */
  async said(what: ProcessReport['event']): Promise<void> {
    while (!this.hasEnded && !this.reports.some(({ event }) => event === what)) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  /** As a crash: at once, without a word. */
  async kill(): Promise<void> {
    if (this.hasEnded) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  /** Resolves with the signal that ended it, if one did. */
  async exited(): Promise<NodeJS.Signals | null> {
    if (!this.hasEnded) await once(this.#child, 'exit');
    return this.#child.signalCode;
  }

  /** Asks it to close gracefully, and waits for its end. */
  async close(): Promise<void> {
    this.#child.send('close');
    await this.exited();
  }
}

/** Starts one, knowing all updates of updates.ts unless `updates` names some. It ends with the test. */
export function startProcess(stage: Stage, options: ProcessOptions = {}): Promise<WorkerProcess> {
  const { fault, updates, withoutCas, ...workerOptions } = options;
  const { updates: _known, ...byDefault } = stage.workerOptions();
  const child = new WorkerProcess({
    queue: stage.name,
    options: { ...byDefault, ...workerOptions },
    ...(fault && { fault }),
    ...(updates && { updates }),
    ...(withoutCas && { withoutCas }),
  });
  onTestFinished(() => child.kill());
  return child.ready();
}
