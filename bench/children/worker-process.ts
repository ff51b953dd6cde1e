/** A process that works: one system, many runs. Everything measured in it is plain JavaScript. */
import type { Journal } from '../chain-audit.ts';
import { monotonicMs } from '../monotonic-clock.ts';
import type { Site, Worker } from '../system.ts';
import { type SystemName, systemEntry } from '../systems.ts';
import { append, emptyValue, type Value, type Work } from '../work.ts';
import { notify, serve } from './calls.ts';

export interface WorkerOrder {
  readonly system: SystemName;
  readonly site: Site;
  readonly run: string;
  readonly concurrency: number;
  readonly keys: number;
  readonly documentBytes: number;
}

/** Sent while it works, whenever something has changed. */
export interface Progress {
  readonly completed: number;
  readonly failed: number;
  /** Those of the completed whose latency counts. */
  readonly timedJobs: number;
  /** Monotonic milliseconds of the last completion. */
  readonly lastAtMs: number;
}

export interface WorkerReport extends Progress {
  readonly cpuSeconds: number;
  /** Of the process so far. */
  readonly peakRssBytes: number;
  readonly journal: Journal;
  /** Jobs whose latency counts, and their latencies in milliseconds; in parallel. */
  readonly timed: { readonly i: readonly number[]; readonly ms: readonly number[] };
  readonly failure: string | undefined;
}

const NOTICE_MS = 20;

class Run {
  completed = 0;
  failed = 0;
  lastAtMs = 0;
  failure: string | undefined;
  readonly #journal = { from: [] as number[], i: [] as number[], to: [] as number[] };
  readonly #timed = { i: [] as number[], ms: [] as number[] };
  #worker: Worker | undefined;
  #noted = 0;
  #timer: NodeJS.Timeout | undefined;
  #cpu = process.cpuUsage();

  async open({ system, site, run, concurrency, keys, documentBytes }: WorkerOrder): Promise<void> {
    const loaded = await systemEntry(system).load();
    this.#worker = await loaded.openWorker(site, run, {
      concurrency,
      keys,
      strict: system === 'toril-strict',
      history: system === 'toril-history',
      initial: () => emptyValue(documentBytes),
      change: (value, work) => this.#change(value, work),
      onCompleted: (work) => this.#complete(work),
      onFailed: (cause) => {
        this.failed++;
        this.failure ??= cause instanceof Error ? cause.message : String(cause);
      },
    });
  }

  start(): void {
    this.#cpu = process.cpuUsage();
    this.#timer = setInterval(() => this.#note(), NOTICE_MS);
    this.#worker?.start();
  }

  async finish(): Promise<WorkerReport> {
    const { user, system } = process.cpuUsage(this.#cpu);
    clearInterval(this.#timer);
    // Until the worker is closed, it may go on changing values and completing jobs.
    await this.#worker?.close();
    return {
      ...this.#progress(),
      cpuSeconds: (user + system) / 1e6,
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
      journal: this.#journal,
      timed: this.#timed,
      failure: this.failure,
    };
  }

  #change(value: Value, work: Work): Value | Promise<Value> {
    const changed = append(value, work);
    this.#journal.from.push(value.hash);
    this.#journal.i.push(work.i);
    this.#journal.to.push(changed.hash);
    if (work.pauseMs === undefined) return changed;
    const { pauseMs } = work;
    return new Promise((resolve) => setTimeout(() => resolve(changed), pauseMs));
  }

  #complete({ i, at }: Work): void {
    this.completed++;
    this.lastAtMs = monotonicMs();
    if (at === undefined) return;
    this.#timed.i.push(i);
    this.#timed.ms.push(this.lastAtMs - at);
  }

  #note(): void {
    if (this.completed + this.failed === this.#noted) return;
    this.#noted = this.completed + this.failed;
    notify(this.#progress());
  }

  #progress(): Progress {
    const { completed, failed, lastAtMs } = this;
    return { completed, failed, lastAtMs, timedJobs: this.#timed.i.length };
  }
}

let current: Run | undefined;

serve({
  open: async (order: WorkerOrder): Promise<void> => {
    current = new Run();
    await current.open(order);
  },
  start: () => current?.start(),
  finish: () => current?.finish(),
});
