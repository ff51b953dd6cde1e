/**
 * Faults of updates, on command: the next call throws, or takes its time. A failure lasts for the
 * job's whole attempt: an update that is called again in the same attempt (because its lease was
 * lost, or because it failed in somebody else's batch first) fails again.
 */
import { pause, type Clock } from '../base/clock.ts';
import type { AnyUpdate, UpdateContext } from '../jobs/update.ts';
import type { OutsideWork } from './real-time.ts';

/** Which call: of this update, or of this job. */
export type UpdateOrJob = AnyUpdate | string;

interface Failure {
  readonly target: UpdateOrJob;
  readonly error: Error;
  /** Attempts of one job. */
  readonly times: number;
  /** The first job it met, and that job's attempt. */
  met: { readonly jobId: string; readonly attempt: number } | undefined;
}

interface Delay {
  readonly target: UpdateOrJob;
  readonly ms: number;
}

export class UpdateFaults {
  #failures: Failure[] = [];
  #delays: Delay[] = [];
  /** By job: the token under which its update last succeeded. */
  readonly #succeeded = new Map<string, number>();

  failNext(target: UpdateOrJob, error: Error, times: number): void {
    this.#failures.push({ target, error, times, met: undefined });
  }

  delayNext(target: UpdateOrJob, ms: number): void {
    this.#delays.push({ target, ms });
  }

  /** What is to happen to this call. */
  meet(update: AnyUpdate, context: UpdateContext): { error?: Error; delayMs?: number } {
    // Only made again because a later update of the batch threw: it succeeded, and must do so again.
    if (this.#succeeded.get(context.jobId) === context.token) return {};
    const error = this.#failureOf(update, context);
    const delay = this.#delays.find(({ target }) => isMeant(target, update, context));
    if (delay !== undefined) this.#delays = this.#delays.filter((one) => one !== delay);
    return { ...(error && { error }), ...(delay && { delayMs: delay.ms }) };
  }

  succeeded({ jobId, token }: UpdateContext): void {
    this.#succeeded.set(jobId, token);
  }

  #failureOf(update: AnyUpdate, context: UpdateContext): Error | undefined {
    const { jobId, attempt } = context;
    this.#failures = this.#failures.filter(
      ({ met, times }) => met?.jobId !== jobId || attempt < met.attempt + times,
    );
    const failure = this.#failures.find(({ met, target }) =>
      met === undefined ? isMeant(target, update, context) : met.jobId === jobId,
    );
    if (failure === undefined) return undefined;
    failure.met ??= { jobId, attempt };
    return failure.error;
  }
}

function isMeant(target: UpdateOrJob, update: AnyUpdate, { jobId }: UpdateContext): boolean {
  return typeof target === 'string' ? target === jobId : target.name === update.name;
}

export interface Staging {
  readonly faults: UpdateFaults;
  readonly outside: OutsideWork;
  /** Of the worker that calls it. */
  readonly clock: Clock;
  /** Of that worker: calls that have not settled. */
  readonly calls: { pending: number };
}

/** The update as a worker of the bed calls it. */
export function staged(update: AnyUpdate, staging: Staging): AnyUpdate {
  const { faults, outside, clock, calls } = staging;
  const over = (): void => void calls.pending--;
  const call = (value: unknown, data: unknown, context: UpdateContext): unknown => {
    const returned: unknown = update.apply(value, data, context);
    if (!isPromiseLike(returned)) {
      faults.succeeded(context);
      return returned;
    }
    return outside.watch(returned).then((settled) => {
      faults.succeeded(context);
      return settled;
    });
  };
  return {
    ...update,
    apply(value: unknown, data: unknown, context: UpdateContext): unknown {
      const { error, delayMs } = faults.meet(update, context);
      const go = (): unknown => {
        if (error !== undefined) throw error;
        return call(value, data, context);
      };
      const returned = delayMs === undefined ? go() : pause(clock, delayMs).then(go);
      if (isPromiseLike(returned)) {
        calls.pending++;
        returned.then(over, over);
      }
      return returned;
    },
  };
}

function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    'then' in value &&
    typeof value.then === 'function'
  );
}
