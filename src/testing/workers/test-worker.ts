/**
 * One worker process of a test bed: the real gate with everything below it, and the real way from a delivery to it and
 * back, over a played BullMQ. It lives once; after a crash another one takes its place.
 */
import type { Random } from '../../base/random.ts';
import type { AnyUpdate } from '../../updates/update.ts';
import { UpdateRegistry } from '../../updates/update-registry.ts';
import { MemcachedLeaseLocks } from '../../lock/lease-locks.ts';
import type { MemoryServer } from '../../memcached/memory/memory-server.ts';
import { RendezvousServers } from '../../memcached/rendezvous.ts';
import type { TorilWorkerOptions } from '../../options.ts';
import { Gate } from '../../workers/gate/gate.ts';
import { Intake } from '../../workers/deliveries/intake.ts';
import type { EventReporter } from '../../workers/worker-events.ts';
import type { BedJobs } from '../journal/bed-jobs.ts';
import type { BackoffStrategy } from '../bullmq/job-options.ts';
import type { JobQueue } from '../bullmq/job-queue.ts';
import type { PlayedDelivery } from '../bullmq/job-record.ts';
import { PlayedDeliveries } from '../bullmq/played-deliveries.ts';
import { type Reach, WatchedLanes, WatchedServer } from '../faults/watched-turn.ts';
import type { WorkerClock } from '../time/worker-clock.ts';

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
  readonly gate: TorilWorkerOptions;
  /** Jobs that it is given at a time. */
  readonly concurrency: number;
  readonly reach: Reach;
  readonly report: EventReporter;
  /** It could take one more job. */
  readonly onFree: () => void;
  readonly backoff: {
    readonly strategy: BackoffStrategy | undefined;
    /** A number in [0, 1). */
    readonly fraction: () => number;
  };
}

export class TestWorker {
  readonly #options: TestWorkerOptions;
  readonly #intake: Intake<PlayedDelivery, Promise<void>>;
  /** The locks of the deliveries in hand. */
  readonly #inHand = new Set<string>();

  constructor(options: TestWorkerOptions) {
    this.#options = options;
    const { clock, random, gate: checkedWorkerOptions, jobs, queue, report, backoff } = options;
    const { leaseMs, blockedMs } = checkedWorkerOptions;
    const registry = new UpdateRegistry(options.updates);
    registry.checkCopies(checkedWorkerOptions.durableCopies);
    const gate = new Gate({
      queue: options.queueName,
      servers: new RendezvousServers([new WatchedServer(options.server, clock, options.reach)]),
      locks: new MemcachedLeaseLocks({ clock, random, leaseMs }),
      lanes: new WatchedLanes(jobs, clock, options.reach),
      registry,
      clock,
      random,
      options: checkedWorkerOptions,
      report,
      rateLimited: false,
      resting: () => false,
      slots: () => options.concurrency,
      snoozeAhead: () => Promise.resolve(), // only saves deliveries
      deliverNext: (jobId) => clock.soon(() => queue.deliverNext(jobId)),
      log: (_key, jobId, row) => void queue.record(jobId)?.logs.push(row),
    });
    const deliveries = new PlayedDeliveries({
      ...{ queue, blockedMs, backoffStrategy: backoff.strategy, fraction: backoff.fraction },
      wallMs: () => clock.wallMs(),
      call: (execute) => clock.moment().then(() => void execute()),
    });
    this.#intake = new Intake({ gate, deliveries, registry, clock, report, blockedMs });
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

  process(delivery: PlayedDelivery): void {
    this.#inHand.add(delivery.lock);
    this.clock.soon(() => void this.#process(delivery));
  }

  /** As SIGKILL: what it has sent arrives, what it has not sent never does. */
  kill(): void {
    this.clock.kill();
    this.server.down(true, { lands: this.server.unexecuted });
  }

  async #process(delivery: PlayedDelivery): Promise<void> {
    await this.#intake.handle(delivery);
    this.#inHand.delete(delivery.lock);
    this.#options.onFree();
  }
}
