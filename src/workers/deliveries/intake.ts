/** A job that BullMQ delivers, up to the moment in which it is settled: whose key it names, and the wait at its gate. */
import { AsyncResource } from 'node:async_hooks';
import type { Job } from 'bullmq';
import type { Clock } from '../../base/clock.ts';
import type { TorilBackend } from '../../jobs/bullmq/bull-backend.ts';
import { keyOf, schemaInTime, validated } from '../../updates/job-data.ts';
import { decodeOutcome } from '../../updates/outcome.ts';
import type { AnyUpdate } from '../../updates/update.ts';
import type { UpdateRegistry } from '../../updates/update-registry.ts';
import type { Settlement } from './arrival.ts';
import { type Ending, isLastAttempt } from './delivery.ts';
import type { Gate } from '../gate.ts';
import type { GateReporter } from '../gate-events.ts';
import { settlementOfNameless } from '../watching/missing-jobs.ts';
import { refusedWith } from './refused.ts';

export interface IntakeOptions {
  readonly gate: Gate;
  readonly backend: TorilBackend;
  readonly registry: UpdateRegistry;
  readonly clock: Clock;
  readonly report: GateReporter;
  readonly blockedMs: number;
}

export class Intake {
  readonly #options: IntakeOptions;
  readonly #validating = new Set<{ readonly jobId: string; readonly addedMs: number }>();

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** Never throws: what a schema or a key throws is the job's own failure. */
  settlementOf(job: Job, token: string): Ending | Promise<Ending> {
    this.#options.gate.cancellations.delivered(job.id as string, job.timestamp);
    return this.#take(job, token);
  }

  /** Of a job that was settled. */
  settled(job: Job, settlement: Ending): void {
    this.#options.gate.cancellations.settled(job.id as string, settlement);
  }

  /** True if the job is here: its update, if it has been called, is told; else it will not be called. */
  cancel(jobId: string, reason: unknown): boolean {
    for (const job of this.#cancellable()) {
      if (job.jobId !== jobId) continue;
      this.#options.gate.cancellations.cancel(jobId, job.addedMs, reason);
      return true;
    }
    return false;
  }

  cancelAll(reason: unknown): void {
    for (const { jobId, addedMs } of [...this.#cancellable()])
      this.#options.gate.cancellations.cancel(jobId, addedMs, reason);
  }

  *#cancellable(): Generator<{ readonly jobId: string; readonly addedMs: number }> {
    yield* this.#validating;
    for (const { jobId, addedMs = 0 } of this.#options.gate.arrivals()) yield { jobId, addedMs };
  }

  #take(job: Job, token: string): Ending | Promise<Ending> {
    const { backend, registry, report, blockedMs } = this.#options;
    const jobId = job.id as string;
    const { outcome, lane } = backend.takeFields(jobId);
    const known = decodeOutcome(outcome);
    // Whatever its type says: nothing may be left of it.
    if (known === undefined && (job.name as string | undefined) === undefined)
      return settlementOfNameless(jobId, token, backend, report);
    const update = registry.find(job.name);
    if (known !== undefined) {
      if (job.stalledCounter > 0) this.#visit(job, update, lane);
      return { kind: 'decided', outcome: known };
    }
    if (update === undefined) {
      report('updateUnknown', { key: undefined, jobId, name: job.name });
      return { kind: 'parked', delayMs: blockedMs };
    }
    // Once it has entered a lane, it goes there, whatever `key` says by now: in two lanes it would be applied twice.
    if (lane !== '') return this.#arrive(job, token, lane);
    try {
      const data = validated(update, job.data);
      if (!(data instanceof Promise)) return this.#arrive(job, token, keyOf(update, data));
      return this.#validated(job, schemaInTime(data, update, { clock: this.#options.clock }))
        .then((settled) => this.#arrive(job, token, keyOf(update, settled)))
        .catch((thrown: unknown) => refusedWith(update, thrown));
    } catch (thrown) {
      return refusedWith(update, thrown);
    }
  }

  /** Its process died or froze with it, maybe between a commit and its acknowledgement. */
  #visit(job: Job, update: AnyUpdate | undefined, lane: string): void {
    if (lane !== '') return this.#options.gate.visit(lane);
    if (update === undefined) return;
    const visit = (data: unknown): void => this.#options.gate.visit(keyOf(update, data));
    // A job whose key cannot be told any more was not in a commit of ours.
    Promise.resolve(job.data)
      .then((data: unknown) => validated(update, data))
      .then(visit)
      .catch(() => undefined);
  }

  /** An asynchronous schema has the job meanwhile. */
  async #validated(job: Job, data: Promise<unknown>): Promise<unknown> {
    const validating = { jobId: job.id as string, addedMs: job.timestamp };
    this.#validating.add(validating);
    try {
      return await data;
    } finally {
      this.#validating.delete(validating);
    }
  }

  #arrive(job: Job, token: string, key: string): Promise<Settlement> {
    const { gate, backend, clock } = this.#options;
    const jobId = job.id as string;
    const { removeOnComplete } = job.opts;
    return new Promise((settle) => {
      gate.arrive(key, {
        jobId,
        scope: new AsyncResource('TorilJob'),
        addedMs: job.timestamp,
        arrivedAtMs: clock.monotonicMs(),
        deliveries: job.attemptsStarted,
        stalls: job.stalledCounter,
        delivery: backend.slots.deliveryOf(jobId, token, removeOnComplete),
        isLastAttempt: (thrown) => isLastAttempt(job, thrown),
        settle,
      });
    });
  }
}
