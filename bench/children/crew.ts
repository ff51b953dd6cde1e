/** The worker processes of one system, taken as one. They live through all runs of a comparison. */
import type { Site } from '../system.ts';
import type { SystemName } from '../systems.ts';
import { monotonicMs } from '../monotonic-clock.ts';
import type { Child, Launcher } from './launcher.ts';
import type { Progress, WorkerOrder, WorkerReport } from './worker-process.ts';

export type RunOrder = Pick<WorkerOrder, 'run' | 'concurrency' | 'keys' | 'documentBytes'>;

/** A system that completes nothing for so long will not complete the rest. */
const STALLED_MS = 20_000;

export class Crew {
  readonly system: SystemName;
  readonly #site: Site;
  readonly #children: readonly Child[];
  readonly #progress: Progress[] = [];
  #wake: () => void = () => undefined;

  constructor(launcher: Launcher, site: Site, system: SystemName, processes: number) {
    this.system = system;
    this.#site = site;
    this.#children = Array.from({ length: processes }, (_, index) =>
      launcher.worker((notice) => {
        this.#progress[index] = notice as Progress;
        this.#wake();
      }),
    );
  }

  /** Connects all workers; nothing is fetched yet. */
  async open(order: RunOrder): Promise<void> {
    this.#progress.length = 0;
    const worker: WorkerOrder = { system: this.system, site: this.#site, ...order };
    await Promise.all(this.#children.map((child) => child.call('open', worker)));
  }

  /** @returns the moment of the signal, in monotonic milliseconds */
  start(): number {
    const startedMs = monotonicMs();
    // Whether they could start shows in what they complete.
    for (const child of this.#children) child.call('start').catch(() => undefined);
    return startedMs;
  }

  /** Resolves when so many jobs are completed or failed, or nothing has been completed for long. */
  settled(jobs: number): Promise<Progress> {
    return this.until(({ completed, failed }) => completed + failed >= jobs);
  }

  /** @param withinMs altogether */
  async until(
    isOver: (progress: Progress) => boolean,
    withinMs = Number.POSITIVE_INFINITY,
  ): Promise<Progress> {
    const untilMs = monotonicMs() + withinMs;
    for (;;) {
      const progress = totalOf(this.#progress.filter((known) => known !== undefined));
      const leftMs = Math.min(STALLED_MS, untilMs - monotonicMs());
      if (isOver(progress) || leftMs <= 0 || !(await this.#noticed(leftMs))) return progress;
    }
  }

  /** Closes the workers, which finish what they have begun. */
  async finish(): Promise<WorkerReport[]> {
    return (await Promise.all(
      this.#children.map((child) => child.call('finish')),
    )) as WorkerReport[];
  }

  async dismiss(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.end()));
  }

  /** @returns false: nothing was heard within that time */
  #noticed(withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), withinMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }
}

function totalOf(progress: readonly Progress[]): Progress {
  return {
    completed: progress.reduce((sum, { completed }) => sum + completed, 0),
    failed: progress.reduce((sum, { failed }) => sum + failed, 0),
    timedJobs: progress.reduce((sum, { timedJobs }) => sum + timedJobs, 0),
    lastAtMs: Math.max(0, ...progress.map(({ lastAtMs }) => lastAtMs)),
  };
}
