/** Several worker processes on one queue, some of which will not live to see the end. */
import { type WorkerEvent, WorkerProcess, type WorkerSetting } from './worker-process.ts';

const START_DEADLINE_MS = 30_000;

export class Fleet {
  readonly #setting: WorkerSetting;
  readonly #workers = new Set<WorkerProcess>();
  readonly #counts = new Map<string, number>();
  readonly #killAll = (): void => this.#workers.forEach((worker) => worker.killNow());
  #fail: (cause: unknown) => void = () => undefined;
  /** Rejects when a worker ends that should not have. */
  readonly failure: Promise<never> = new Promise((_, reject) => {
    this.#fail = reject;
  });

  /** @param setting the same for all */
  constructor(setting: WorkerSetting) {
    this.#setting = setting;
    this.failure.catch(() => undefined);
    process.on('exit', this.#killAll);
  }

  /** How often an event was logged by all workers together, those that were killed included. */
  count(event: string): number {
    return this.#counts.get(event) ?? 0;
  }

  /** One of those that run. @param fraction in [0, 1) */
  pick(fraction: number): WorkerProcess {
    const running = [...this.#workers].filter((worker) => worker.running);
    const worker = running[Math.floor(fraction * running.length)];
    if (worker === undefined) throw new Error('no worker process is left');
    return worker;
  }

  /** Starts so many more; resolves when they work. @throws Error with their last words */
  async start(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.#startOne()));
  }

  /** Stops those that are left, in good order. */
  async stop(): Promise<void> {
    await Promise.all([...this.#workers].map((worker) => worker.stop()));
    process.off('exit', this.#killAll);
  }

  async kill(worker: WorkerProcess): Promise<void> {
    await worker.kill();
    this.#workers.delete(worker);
  }

  async #startOne(): Promise<void> {
    let onStarted: () => void = () => undefined;
    const started = new Promise<void>((resolve) => {
      onStarted = resolve;
    });
    const worker = new WorkerProcess(this.#setting, ({ event }: WorkerEvent) => {
      this.#counts.set(event, this.count(event) + 1);
      if (event === 'started') onStarted();
    });
    this.#workers.add(worker);
    const ended = worker.unexpectedEnd();
    ended.catch((cause: unknown) => this.#fail(cause));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const tooLate = `a worker process did not start within ${START_DEADLINE_MS} ms`;
      timer = setTimeout(() => reject(new Error(tooLate)), START_DEADLINE_MS);
    });
    try {
      await Promise.race([started, ended, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
