/**
 * The way of a delivered job, whichever engine delivers it: its key, the wait at the gate, and what is told of it once
 * it is settled.
 */
import { AsyncResource } from 'node:async_hooks';
import type { Clock } from '../../base/clock.ts';
import { TorilError } from '../../errors.ts';
import type { Deliveries, Delivery } from '../../jobs/deliveries.ts';
import { keyOf, type LaneKeys, lanesOf, schemaInTime, validated } from '../../updates/job-data.ts';
import { cannotMoveJob, controlOf, errorOf } from '../../updates/calling/thrown.ts';
import { decodeOutcome } from '../../updates/outcome.ts';
import type { AnyUpdate } from '../../updates/update.ts';
import type { UpdateRegistry } from '../../updates/update-registry.ts';
import type { Settlement } from './arrival.ts';
import { type Ending, isLastAttempt, tell } from './tell.ts';
import type { Gate } from '../gate/gate.ts';
import type { EventReporter } from '../worker-events.ts';
import { settlementOfNameless } from '../watching/missing-jobs.ts';

export interface IntakeOptions<Job extends Delivery, Told> {
  readonly gate: Gate;
  readonly deliveries: Deliveries<Job, Told>;
  readonly registry: UpdateRegistry;
  readonly clock: Clock;
  readonly report: EventReporter;
  readonly blockedMs: number;
}

export class Intake<Job extends Delivery, Told> {
  readonly #options: IntakeOptions<Job, Told>;
  /** Deliveries that have ended, however. */
  ended = 0;
  readonly #validating = new Set<{ readonly jobId: string; readonly addedMs: number }>();

  constructor(options: IntakeOptions<Job, Told>) {
    this.#options = options;
  }

  /** From its delivery to what is told of it. What a schema or a key throws is the job's own failure. */
  async handle(job: Job): Promise<Awaited<Told>> {
    const { deliveries, blockedMs } = this.#options;
    const { cancellations, isolatedStarts } = this.#options.gate.memory;
    cancellations.delivered(job.jobId, job.addedMs);
    let ending = await this.#take(job);
    if (ending.kind === 'decided' && ending.outcome.joint !== undefined)
      ending = await this.#onceSettled(ending, ending.outcome.joint);
    cancellations.settled(job.jobId, ending);
    // What is superseded may be applied right now, for the newer delivery: nobody knows yet what the process lives through.
    const survived = ending.kind === 'superseded' ? [] : isolatedStarts.survivedOf(job.jobId);
    if (ending.kind === 'decided') isolatedStarts.forget(job.jobId);
    this.ended++;
    return tell(deliveries, job, ending, survived, blockedMs) as Awaited<Told>;
  }

  /** Nobody is told of a job of several keys before all its cells are known to be written. */
  async #onceSettled(ending: Ending, token: number): Promise<Ending> {
    const { gate, blockedMs } = this.#options;
    const isSettled = await gate.behind.isSettled(token);
    return isSettled ? ending : { kind: 'snoozed', delayMs: blockedMs };
  }

  /** True if the job is here: its update, if it has been called, is told; else it will not be called. */
  cancel(jobId: string, reason: unknown): boolean {
    for (const job of this.#cancellable()) {
      if (job.jobId !== jobId) continue;
      this.#options.gate.memory.cancellations.cancel(jobId, job.addedMs, reason);
      return true;
    }
    return false;
  }

  cancelAll(reason: unknown): void {
    for (const { jobId, addedMs } of [...this.#cancellable()])
      this.#options.gate.memory.cancellations.cancel(jobId, addedMs, reason);
  }

  *#cancellable(): Generator<{ readonly jobId: string; readonly addedMs: number }> {
    yield* this.#validating;
    for (const { jobId, addedMs = 0 } of this.#options.gate.arrivals()) yield { jobId, addedMs };
  }

  #take(job: Job): Ending | Promise<Ending> {
    const { deliveries, registry, report, blockedMs } = this.#options;
    const { jobId, name, lane } = job;
    const known = decodeOutcome(job.outcome);
    if (known === undefined && name === undefined)
      return settlementOfNameless(job, deliveries, report);
    const update = name === undefined ? undefined : registry.find(name);
    if (known !== undefined) {
      if (job.stalls > 0) this.#visit(job, update);
      return { kind: 'decided', outcome: known };
    }
    if (update === undefined) {
      report('updateUnknown', { key: undefined, jobId, name: name as string });
      return { kind: 'snoozed', delayMs: blockedMs };
    }
    // Once it has entered a lane, it goes there, whatever `key` says by now: in two lanes it would be applied twice.
    if (lane !== '') return this.#arrive(job, lane);
    try {
      const data = validated(update, job.data);
      if (!(data instanceof Promise)) return this.#enter(job, lanesOf(update, data));
      return this.#validated(job, schemaInTime(data, update, { clock: this.#options.clock }))
        .then((settled) => this.#enter(job, lanesOf(update, settled)))
        .catch((thrown: unknown) => refusedWith(update, thrown));
    } catch (thrown) {
      return refusedWith(update, thrown);
    }
  }

  /** Its process died or froze with it, perhaps between a commit and its acknowledgement. */
  #visit({ data, lane }: Job, update: AnyUpdate | undefined): void {
    if (lane !== '') return this.#options.gate.visit(lane);
    if (update === undefined) return;
    const visit = (own: unknown): void => this.#options.gate.visit(keyOf(update, own));
    // A job whose key can no longer be told was in no commit of Toril's.
    Promise.resolve(data)
      .then((given: unknown) => validated(update, given))
      .then(visit)
      .catch(() => undefined);
  }

  /** An asynchronous schema has the job meanwhile. */
  async #validated(job: Job, data: Promise<unknown>): Promise<unknown> {
    const validating = { jobId: job.jobId, addedMs: job.addedMs };
    this.#validating.add(validating);
    try {
      return await data;
    } finally {
      this.#validating.delete(validating);
    }
  }

  /** A job of one key enters its lane when it is taken. */
  #enter(job: Job, keys: LaneKeys): Ending | Promise<Ending> {
    if (typeof keys === 'string') return this.#arrive(job, keys);
    const { gate, blockedMs, report } = this.#options;
    const [key] = keys as [string];
    return gate.context.lanes.enterJoint(job.jobId, keys).then(
      () => this.#arrive(job, key),
      (cause: unknown): Ending => {
        if (!(cause instanceof TorilError)) throw cause;
        report('unavailable', { key, cause });
        return { kind: 'snoozed', delayMs: blockedMs };
      },
    );
  }

  #arrive(job: Job, key: string): Promise<Settlement> {
    const { gate, clock } = this.#options;
    return new Promise((settle) => {
      gate.arrive(key, {
        jobId: job.jobId,
        scope: new AsyncResource('TorilJob'),
        addedMs: job.addedMs,
        arrivedAtMs: clock.monotonicMs(),
        attemptsMade: job.attemptsMade,
        deliveries: job.deliveries,
        stalls: job.stalls,
        completable: job.completable,
        isLastAttempt: (thrown) => isLastAttempt(job, thrown),
        settle,
      });
    });
  }
}

/** Of a job whose schema or key throws: it never comes to a gate. */
function refusedWith({ name }: AnyUpdate, thrown: unknown): Settlement {
  const error = errorOf(thrown, name);
  const control = controlOf(error);
  if (control === 'rate-limit') return { kind: 'limited' };
  return { kind: 'retry', thrown: control === 'moved' ? cannotMoveJob(error, name) : error };
}
