/** Worker processes of a long run, which are killed and frozen. They know no test runner: processes.ts has those of a test. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

export class WorkerFleet {
  readonly #main: string;
  readonly #orders: string;
  /** The one that has run longest first. */
  readonly #workers: ChildProcess[] = [];

  /** @param main the file that each of them runs @param orders its first argument, as JSON */
  constructor(main: string, orders: object) {
    this.#main = main;
    this.#orders = JSON.stringify(orders);
  }

  /** Resolves once all of them have said that they work. */
  async start(count: number): Promise<void> {
    const started = Array.from({ length: count }, () => this.#one());
    await Promise.all(started.map((worker) => once(worker, 'message')));
  }

  /** At once, without a word, as a crash. Another one takes its place. */
  async killOldest(): Promise<void> {
    const worker = this.#workers.shift();
    if (worker !== undefined) await ended(worker);
    this.#one();
  }

  freezeOldest(forMs: number): void {
    const worker = this.#workers.at(0);
    worker?.kill('SIGSTOP');
    void sleep(forMs).then(() => worker?.kill('SIGCONT'));
  }

  async end(): Promise<void> {
    await Promise.all(this.#workers.map(ended));
  }

  #one(): ChildProcess {
    const worker = fork(this.#main, [this.#orders], { execArgv: ['--import', 'tsx'] });
    this.#workers.push(worker);
    return worker;
  }
}

async function ended(worker: ChildProcess): Promise<void> {
  if (worker.exitCode !== null || worker.signalCode !== null) return;
  const gone = once(worker, 'exit');
  worker.kill('SIGKILL');
  await gone;
}
