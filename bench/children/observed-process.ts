/**
 * A queue and a worker that somebody observes, or nobody, in a process of its own: what one observer has switched on in a process
 * (async_hooks, above all) the next one would pay as well.
 */
import { systemClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { defineUpdate, Queue, Worker } from '../../src/index.ts';
import type { Observer } from '../../src/telemetry/observer.ts';
import { byOpenTelemetry, byPrometheus, useContexts } from '../observers.ts';
import { serve } from './calls.ts';

export type Observation =
  | { readonly by: 'nobody' }
  /** In an application with an SDK, which has nothing to do with Toril. */
  | { readonly by: 'sdk-alone' }
  | { readonly by: 'prometheus' }
  | { readonly by: 'opentelemetry'; readonly sampled: number };

export interface Observed {
  readonly redis: string;
  readonly memcached: string;
  readonly observation: Observation;
}

/** Microseconds per job: of this process's CPU, and by the clock. */
export interface RoundCost {
  readonly cpuUs: number;
  readonly wallUs: number;
}

const CONCURRENCY = 64;
const BULK = 1_000;

const update = defineUpdate({
  name: 'count',
  key: ({ key }: { key: string }) => key,
  initial: () => 0,
  apply: (count: number) => count + 1,
});

function observerOf(observation: Observation): Observer | undefined {
  switch (observation.by) {
    case 'nobody':
      return undefined;
    case 'sdk-alone':
      useContexts();
      return undefined;
    case 'prometheus':
      return byPrometheus(systemClock);
    case 'opentelemetry':
      return byOpenTelemetry(observation.sampled);
  }
}

class ObservedWorker {
  readonly #name = `telemetry-cost-${systemRandom.id()}`;
  readonly #queue: Queue;
  readonly #worker: Worker;
  #jobs = 0;

  constructor({ redis, memcached, observation }: Observed) {
    const observer = observerOf(observation);
    const connection = { url: redis };
    this.#queue = new Queue(this.#name, {
      ...{ connection, updates: [update] },
      ...(observer && { observer }),
    });
    this.#worker = new Worker(this.#name, {
      ...{ connection, memcached, updates: [update], autorun: false },
      ...{ concurrency: CONCURRENCY, observer, removeOnComplete: { count: 0 } },
    });
  }

  async open(): Promise<void> {
    await this.#worker.waitUntilReady();
    await this.#worker.pause();
    void this.#worker.run();
  }

  /** Every job has a key of its own: one turn per job. */
  async round(jobs: number): Promise<RoundCost> {
    for (let from = 0; from < jobs; from += BULK) {
      const bulk = Array.from({ length: Math.min(BULK, jobs - from) }, () => ({
        update,
        data: { key: `${this.#name}-${this.#jobs++}` },
      }));
      await this.#queue.enqueueBulk(bulk);
    }
    let left = jobs;
    const done = new Promise<void>((resolve) => {
      const count = (): void => {
        if (--left > 0) return;
        this.#worker.off('completed', count);
        resolve();
      };
      this.#worker.on('completed', count);
    });
    const cpu = process.cpuUsage();
    const startedMs = systemClock.monotonicMs();
    void this.#worker.resume();
    await done;
    const wallMs = systemClock.monotonicMs() - startedMs;
    const { user, system } = process.cpuUsage(cpu);
    await this.#worker.pause();
    return { cpuUs: (user + system) / jobs, wallUs: (wallMs * 1_000) / jobs };
  }

  async close(): Promise<void> {
    await this.#worker.close();
    await this.#queue.obliterate({ force: true });
    await this.#queue.close();
  }
}

let observed: ObservedWorker | undefined;

serve({
  async open(how: Observed): Promise<void> {
    observed = new ObservedWorker(how);
    await observed.open();
  },
  round: (jobs: number) => observed?.round(jobs),
  close: () => observed?.close(),
});
