/**
 * Faults of updates, on command: a call throws, or takes its time. A fault lasts for the job's whole
 * attempt: an update that is called again in the same attempt (because its lease was lost, or because
 * it failed in somebody else's batch first) meets it again.
 */
import { pause, type Clock } from '../../base/clock.ts';
import { isPromiseLike } from '../../base/promises.ts';
import { TorilError } from '../../errors.ts';
import type { AnyUpdate, UpdateContext } from '../../updates/update.ts';
import type { OutsideWork } from '../time/real-time.ts';

/** Which call: of this update, or of this job. */
export type UpdateOrJob = AnyUpdate | string;

/** What is to happen to a call. */
export interface UpdateFault {
  readonly error?: Error;
  /** Virtual milliseconds. */
  readonly delayMs?: number;
  /** The call kills its process. */
  readonly crashes?: true;
}

interface Armed {
  readonly target: UpdateOrJob;
  readonly fault: UpdateFault;
  /** Attempts of one job; for a crash, which charges none, calls. */
  times: number;
  /** The first job that came along, and its attempt then. */
  met: { readonly jobId: string; readonly attempt: number } | undefined;
}

export class UpdateFaults {
  #armed: Armed[] = [];
  /** By job: the token under which its update last succeeded. */
  readonly #succeeded = new Map<string, number>();

  arm(target: UpdateOrJob, fault: UpdateFault, times: number): void {
    this.#armed.push({ target, fault, times, met: undefined });
  }

  disarm(): void {
    this.#armed = [];
  }

  /** Those that have met no call, in words. */
  get armed(): string[] {
    return this.#armed
      .filter(({ met }) => met === undefined)
      .map(({ target, fault }) => {
        const what =
          fault.crashes === true ? 'crash' : fault.error === undefined ? 'delay' : 'fail';
        return `${what} ${typeof target === 'string' ? `job ${target}` : `"${target.name}"`}`;
      });
  }

  /** The first crash, or the first error and the first delay, that are meant for this call. */
  meet(update: AnyUpdate, context: UpdateContext): UpdateFault {
    const { jobId, attempt, token } = context;
    // Only made again because a later update of the batch threw: it succeeded, and must do so again.
    if (this.#succeeded.get(jobId) === token) return {};
    this.#armed = this.#armed.filter(
      ({ met, times, fault }) =>
        fault.crashes === true || met?.jobId !== jobId || attempt < met.attempt + times,
    );
    const crash = this.#first('crashes', update, context);
    if (crash !== undefined) {
      crash.times -= 1;
      this.#armed = this.#armed.filter(({ times }) => times > 0);
      return crash.fault;
    }
    const delay = this.#first('delayMs', update, context);
    const error = this.#first('error', update, context);
    return { ...delay?.fault, ...error?.fault };
  }

  succeeded({ jobId, token }: UpdateContext): void {
    this.#succeeded.set(jobId, token);
  }

  #first(kind: keyof UpdateFault, update: AnyUpdate, context: UpdateContext): Armed | undefined {
    const { jobId, attempt } = context;
    const armed = this.#armed.find(({ met, target, fault }) => {
      if (fault[kind] === undefined) return false;
      return met === undefined ? isMeant(target, update, context) : met.jobId === jobId;
    });
    if (armed !== undefined) armed.met ??= { jobId, attempt };
    return armed;
  }
}

function isMeant(target: UpdateOrJob, update: AnyUpdate, { jobId }: UpdateContext): boolean {
  return typeof target === 'string' ? target === jobId : target.name === update.name;
}

export interface Staging {
  readonly faults: UpdateFaults;
  readonly outside: OutsideWork;
  /** Told of what a call has returned. */
  readonly returned: ((context: UpdateContext, value: unknown) => void) | undefined;
  /** Of the worker that calls it. */
  readonly clock: Clock;
  /** Of that worker: calls that have not settled. */
  readonly calls: { pending: number };
  /** Kills that worker. */
  readonly crash: () => void;
}

/** The update as a worker of the bed calls it. */
export function staged(update: AnyUpdate, staging: Staging): AnyUpdate {
  const { faults, outside, clock, calls, crash } = staging;
  const over = (): void => void calls.pending--;
  const settle = <T>(context: UpdateContext, value: T): T => {
    faults.succeeded(context);
    staging.returned?.(context, value);
    return value;
  };
  const call = (value: unknown, data: unknown, context: UpdateContext): unknown => {
    const returned: unknown = update.apply(value, data, context);
    if (!isPromiseLike(returned)) return settle(context, returned);
    return outside
      .watch(returned, (waitedMs) => explain(context.signal, waitedMs))
      .then((settled) => settle(context, settled));
  };
  return {
    ...update,
    apply(value: unknown, data: unknown, context: UpdateContext): unknown {
      const { error, delayMs, crashes } = faults.meet(update, context);
      if (crashes === true) {
        crash();
        return new Promise(() => {});
      }
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

/** The error says how long the update may take; the bed, how long it was waited for. */
function explain(signal: AbortSignal, waitedMs: number): void {
  const told = (): void => {
    const { reason } = signal;
    if (!(reason instanceof TorilError) || reason.code !== 'UPDATE_TIMED_OUT') return;
    reason.message += ` On this test bed it really had ${waitedMs} ms (the bed's option realWaitMs); then virtual time went on without it. Raise realWaitMs; or if it waits for a timer, see whether the test has put a fake one in its place (vi.useFakeTimers, jest.useFakeTimers).`;
  };
  signal.addEventListener('abort', told, { once: true });
}
