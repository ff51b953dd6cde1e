/**
 * What the workers of one queue do in this process: their counters are one series, which outlasts each of them. Counters
 * are numbers here, read when somebody collects them, and always exact. Durations and sizes are recorded of some turns
 * only if there are many (sampling.ts).
 */
import type { Clock } from '../base/clock.ts';
import { operationAttributes, queueAttributes } from './attributes.ts';
import { CountedEvents } from './counted-events.ts';
import { queueGauges, workerGauges } from './gauges.ts';
import type { Reading } from './metrics.ts';
import type { ObservedWorker, TurnObserver, WorkerObserver } from './observer.ts';
import type { RecorderOptions } from './recorder-options.ts';
import type { Tracing } from './tracing.ts';
import { Sampling } from './sampling.ts';
import { type TurnCounters, TurnHistograms, TurnRecorder } from './turn-recorder.ts';

export class WorkersRecorder {
  readonly #queue: string;
  readonly #clock: Clock;
  readonly #tracing: Tracing | undefined;
  readonly #histograms: TurnHistograms;
  readonly #sampling = new Sampling();
  readonly #events = new CountedEvents();
  readonly #sites = new Set<ObservedWorker>();
  readonly #counters: TurnCounters = {
    turns: 0,
    consumed: 0,
    leaseRequests: 0,
    takes: 0,
    commits: 0,
    acknowledgements: 0,
  };

  /** Of all turns of which nothing but their number is recorded. */
  readonly #counting: TurnObserver;

  constructor(queue: string, { clock, meters, tracing }: RecorderOptions) {
    this.#queue = queue;
    this.#clock = clock;
    this.#tracing = tracing;
    this.#histograms = new TurnHistograms(queue, meters);
    this.#counting = new TurnRecorder(clock, 0, this.#counters, undefined, undefined);
    meters.observe(() => this.#readings());
  }

  observe(site: ObservedWorker): WorkerObserver {
    this.#sites.add(site);
    return {
      event: (name, facts) => this.#events.note(name, facts),
      asksForLease: () => void this.#counters.leaseRequests++,
      turn: (key, wantedMs) => this.#turn(key, wantedMs),
      close: () => void this.#sites.delete(site),
    };
  }

  #turn(key: string, wantedMs: number): TurnObserver {
    const nowMs = this.#clock.monotonicMs();
    this.#counters.turns++;
    const histograms = this.#sampling.next(nowMs) ? this.#histograms : undefined;
    histograms?.leaseWait((nowMs - wantedMs) / 1_000);
    const span = this.#tracing?.turn(this.#queue, key, nowMs - wantedMs);
    if (histograms === undefined && span === undefined) return this.#counting;
    return new TurnRecorder(this.#clock, nowMs, this.#counters, histograms, span);
  }

  async #readings(): Promise<Reading[]> {
    const attributes = queueAttributes(this.#queue);
    const { turns, consumed, leaseRequests, takes, commits, acknowledgements } = this.#counters;
    const roundTrips = (server: string, value: number): Reading => ({
      metric: 'toril.round_trips',
      attributes: { ...attributes, 'toril.server': server },
      value,
    });
    const own: Reading[] = [
      { metric: 'toril.turns', attributes, value: turns },
      {
        metric: 'messaging.client.consumed.messages',
        attributes: operationAttributes(this.#queue, 'process'),
        value: consumed,
      },
      roundTrips('memcached', leaseRequests + commits),
      roundTrips('redis', takes + acknowledgements),
      ...this.#events.readings(this.#queue),
      ...workerGauges(
        this.#queue,
        Array.from(this.#sites, ({ sight }) => sight()),
      ),
    ];
    // All of them see the same queue.
    const [site] = this.#sites;
    const backlog = await site?.backlog();
    return backlog === undefined ? own : [...own, ...queueGauges(this.#queue, backlog)];
  }
}
