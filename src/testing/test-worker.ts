/**
 * One worker process of a test bed: the real gate with everything below it, and around it what
 * workers/worker.ts and workers/delivery.ts do with BullMQ. It lives once; after a crash another
 * one takes its place.
 */
import type { Random } from '../base/random.ts';
import { keyOf, validated } from '../updates/job-data.ts';
import { decodeOutcome, failureOf } from '../updates/outcome.ts';
import type { AnyUpdate } from '../updates/update.ts';
import { UpdateRegistry } from '../updates/update-registry.ts';
import { MemcachedLeaseLocks } from '../lock/lease-locks.ts';
import type { MemoryServer } from '../memcached/memory/memory-server.ts';
import { RendezvousServers } from '../memcached/rendezvous.ts';
import type { GateOptions } from '../options.ts';
import type { Settlement } from '../workers/deliveries/arrival.ts';
import { isFinal } from '../workers/fold/fold-errors.ts';
import { Gate } from '../workers/gate.ts';
import { refusedWith } from '../workers/deliveries/refused.ts';
import type { GateReporter } from '../workers/gate-events.ts';
import type { BedJobs } from './bed-jobs.ts';
import type { BackoffStrategy } from './bullmq/job-options.ts';
import { backoffMs } from './bullmq/job-options.ts';
import type { JobQueue } from './bullmq/job-queue.ts';
import type { Delivery } from './bullmq/job-record.ts';
import { type Reach, WatchedLanes, WatchedServer } from './faults/watched-turn.ts';
import type { WorkerClock } from './time/worker-clock.ts';

export interface TestWorkerOptions {
  readonly place: number;
  readonly name: string;
  readonly clock: WorkerClock;
  readonly random: Random;
  readonly updates: readonly AnyUpdate[];
  /** Calls of its updates that have not settled. */
  readonly calls: { readonly pending: number };
  readonly jobs: BedJobs;
  readonly queue: JobQueue;
  /** The queue's qualified name. */
  readonly queueName: string;
  /** This worker's own connection to memcached. */
  readonly server: MemoryServer;
  readonly gate: GateOptions;
  /** Jobs that it is given at a time. */
  readonly concurrency: number;
  readonly reach: Reach;
  readonly report: GateReporter;
  /** It could take one more job. */
  readonly onFree: () => void;
  readonly backoff: {
    readonly strategy: BackoffStrategy | undefined;
    /** A number in [0, 1). */
    readonly fraction: () => number;
  };
}

/** What a backoff strategy says of a job that is not to be tried again. */
const GIVE_UP = -1;

export class TestWorker {
  readonly #options: TestWorkerOptions;
  readonly #registry: UpdateRegistry;
  readonly #gate: Gate;
  /** The locks of the deliveries in hand. */
  readonly #inHand = new Set<string>();

  constructor(options: TestWorkerOptions) {
    this.#options = options;
    const { clock, random, gate, jobs, queue } = options;
    this.#registry = new UpdateRegistry(options.updates);
    this.#gate = new Gate({
      queue: options.queueName,
      servers: new RendezvousServers([new WatchedServer(options.server, clock, options.reach)]),
      locks: new MemcachedLeaseLocks({ clock, random, leaseMs: gate.leaseMs }),
      lanes: new WatchedLanes(jobs, clock, options.reach),
      registry: this.#registry,
      clock,
      random,
      options: gate,
      report: options.report,
      rateLimited: false,
      resting: () => false,
      slots: () => options.concurrency,
      parkAhead: () => Promise.resolve(), // only saves deliveries
      deliverNext: (jobId) => clock.soon(() => queue.deliverNext(jobId)),
      log: (_key, jobId, row) => void queue.record(jobId)?.logs.push(row),
    });
  }

  get place(): number {
    return this.#options.place;
  }

  get name(): string {
    return this.#options.name;
  }

  get clock(): WorkerClock {
    return this.#options.clock;
  }

  get server(): MemoryServer {
    return this.#options.server;
  }

  get applying(): number {
    return this.#options.calls.pending;
  }

  get jobsInHand(): number {
    return this.#inHand.size;
  }

  process(delivery: Delivery): void {
    this.#inHand.add(delivery.lock);
    this.clock.soon(() => void this.#process(delivery));
  }

  /** As SIGKILL: what it has sent arrives, what it has not sent never does. */
  kill(): void {
    this.clock.kill();
    this.server.down(true, { lands: this.server.unexecuted });
  }

  async #process(delivery: Delivery): Promise<void> {
    const settlement = await this.#settlementOf(delivery);
    await this.clock.moment();
    if (settlement.kind === 'retry') await this.#tellAttempt(delivery, settlement.thrown);
    else this.#tell(delivery, settlement);
    this.#inHand.delete(delivery.lock);
    this.#options.onFree();
  }

  async #settlementOf(delivery: Delivery): Promise<Settlement> {
    const { jobId, name, attemptsMade, attempts, deliveries, stalls } = delivery;
    const known = decodeOutcome(delivery.outcome);
    if (known !== undefined) {
      if (stalls > 0) await this.#visit(delivery);
      return { kind: 'decided', outcome: known };
    }
    const update = this.#registry.find(name);
    if (update === undefined) {
      this.#options.report('updateUnknown', { key: undefined, jobId, name });
      return { kind: 'parked', delayMs: this.#options.gate.blockedMs };
    }
    let key: string;
    try {
      key = keyOf(update, await validated(update, JSON.parse(delivery.data)));
    } catch (thrown) {
      return refusedWith(update, thrown);
    }
    return new Promise((settle) => {
      this.#gate.arrive(key, {
        jobId,
        arrivedAtMs: this.clock.monotonicMs(),
        deliveries,
        stalls,
        isLastAttempt: (thrown) => isFinal(thrown) || attemptsMade + 1 >= attempts,
        settle,
      });
    });
  }

  /** As intake.ts does. */
  async #visit({ name, data }: Delivery): Promise<void> {
    const update = this.#registry.find(name);
    if (update === undefined) return;
    try {
      this.#gate.visit(keyOf(update, await validated(update, JSON.parse(data))));
    } catch {
      // Its key cannot be told any more.
    }
  }

  /** As delivery.ts and BullMQ's worker behind it. A lock that is lost makes all of these do nothing. */
  #tell({ jobId, lock }: Delivery, settlement: Exclude<Settlement, { kind: 'retry' }>): void {
    const { queue } = this.#options;
    switch (settlement.kind) {
      case 'decided': {
        const { outcome, thrown } = settlement;
        if (outcome.kind === 'applied') queue.complete(jobId, lock, outcome.result);
        else queue.fail(jobId, lock, thrown ?? failureOf(outcome), 'left');
        return;
      }
      case 'held':
        queue.fail(jobId, lock, settlement.thrown, 'holds');
        return;
      case 'limited': // the bed has no rate limits: as if none had been set
        queue.park(jobId, lock, this.clock.wallMs() + this.#options.gate.blockedMs);
        return;
      case 'parked':
        queue.park(jobId, lock, this.clock.wallMs() + settlement.delayMs, settlement.survivedStart);
        return;
      case 'returned':
        queue.giveBack(jobId, lock, settlement.survivedStart);
        return;
    }
  }

  /** Its update threw. The job stays active while a strategy of the user's takes its time. */
  async #tellAttempt(
    { jobId, lock, attemptsMade, attempts }: Delivery,
    thrown: Error,
  ): Promise<void> {
    const { queue } = this.#options;
    const isLast = isFinal(thrown) || attemptsMade + 1 >= attempts;
    const delayMs = isLast ? GIVE_UP : await this.#backoffMs(jobId, attemptsMade + 1, thrown);
    if (delayMs === GIVE_UP) queue.fail(jobId, lock, thrown);
    else queue.retry(jobId, lock, thrown, delayMs);
  }

  async #backoffMs(jobId: string, attemptsMade: number, thrown: Error): Promise<number> {
    const { queue, gate, backoff } = this.#options;
    const { backoff: asked } = queue.record(jobId)?.options ?? {};
    const delayMs = backoffMs(asked, attemptsMade, backoff.fraction);
    if (delayMs !== undefined) return delayMs;
    const type = typeof asked === 'object' ? asked.type : undefined;
    let told: number | undefined;
    try {
      told = await backoff.strategy?.(attemptsMade, type, thrown);
    } catch {
      // As with a worker: it waits as long as if there were no strategy.
    }
    await this.clock.moment();
    return told ?? gate.blockedMs;
  }
}
