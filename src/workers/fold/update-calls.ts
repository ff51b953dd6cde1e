/**
 * The calls of users' code in one fold, one after the other: each runs in the asynchronous context in which its job
 * was delivered, can be cancelled, and is looked at for whether it keeps the process from running. An update that does
 * so for longer than its lease loses it, since nobody can renew it, and would be called again for ever.
 */
import type { Clock } from '../../base/clock.ts';
import { type AppliedUpdate, applyUpdate } from '../../updates/calling/apply.ts';
import { messageOf } from '../../errors.ts';
import type { CallSite } from '../../updates/calling/call-site.ts';
import { schemaInTime, validated } from '../../updates/job-data.ts';
import type { LaneEntry } from '../../jobs/lane.ts';
import type { AnyUpdate } from '../../updates/update.ts';
import type { FoldTurn } from './batch.ts';
import { Pulse } from './pulse.ts';

/** Of a lease, after which it is lost if nobody renews it: a renewal is due after a third. */
const LOSES_SHARE = 2 / 3;
const TICKS_PER_LEASE = 8;

/** Thrown where the worker was told to close, or the lease was lost, while the data were being checked. */
export const NOT_BEGUN: Error = new Error('not begun: the worker closes, or has lost the lease');

export class UpdateCalls implements CallSite {
  readonly clock: Clock;
  readonly lost: () => AbortSignal;
  readonly tickMs: number;
  readonly #turn: FoldTurn;
  readonly #token: number;
  readonly #pulse: Pulse;
  readonly #losesMs: number;
  #jobId = '';
  #isRepeat = false;
  #isSuspect = false;
  /** When the call before this one was over. */
  lastMs: number;
  /** When the process last ran, as far as the call in progress can tell, and the longest time for which it did not. */
  #aliveMs = 0;
  #blockedMs = 0;

  constructor(turn: FoldTurn, token: number) {
    const { lease } = turn;
    const { clock } = turn.context;
    this.clock = clock;
    this.lost = () => lease.signal;
    this.tickMs = lease.durationMs / TICKS_PER_LEASE;
    this.#turn = turn;
    this.#token = token;
    this.#pulse = Pulse.of(clock);
    this.#losesMs = lease.durationMs * LOSES_SHARE;
    this.lastMs = clock.monotonicMs();
  }

  call(
    entry: LaneEntry,
    update: AnyUpdate,
    value: unknown,
  ): AppliedUpdate | Promise<AppliedUpdate> {
    this.#jobId = entry.jobId;
    this.#isRepeat = false;
    return this.#inScope(entry, update, value);
  }

  /** Only to make a value again: it logs nothing, and cannot be cancelled. */
  repeat(
    entry: LaneEntry,
    update: AnyUpdate,
    value: unknown,
  ): AppliedUpdate | Promise<AppliedUpdate> {
    this.#isRepeat = true;
    return this.#inScope(entry, update, value);
  }

  #inScope(
    entry: LaneEntry,
    update: AnyUpdate,
    value: unknown,
  ): AppliedUpdate | Promise<AppliedUpdate> {
    const apply = (): AppliedUpdate | Promise<AppliedUpdate> => this.#apply(entry, update, value);
    const { arrivals, context, observer } = this.#turn;
    // BullMQ's telemetry has a trace for each job, which its update belongs to.
    const within = context.inTrace === undefined ? observer?.within : undefined;
    const call = within === undefined ? apply : () => within(apply);
    const scope = arrivals.get(entry.jobId)?.scope;
    if (scope !== undefined) return scope.runInAsyncScope(call);
    const isTraced = entry.trace !== undefined && context.inTrace !== undefined;
    return isTraced ? context.inTrace(entry.trace, call) : call();
  }

  #apply(
    entry: LaneEntry,
    update: AnyUpdate,
    value: unknown,
  ): AppliedUpdate | Promise<AppliedUpdate> {
    const data = validated(update, JSON.parse(entry.data));
    return data instanceof Promise
      ? schemaInTime(data, update, this).then((settled) => {
          if (!this.#isRepeat && (this.#turn.closing() || this.isTooLate(update))) throw NOT_BEGUN;
          return this.#applyTo(entry, update, value, settled);
        })
      : this.#applyTo(entry, update, value, data);
  }

  #applyTo(
    entry: LaneEntry,
    update: AnyUpdate,
    value: unknown,
    data: unknown,
  ): AppliedUpdate | Promise<AppliedUpdate> {
    const { jobId, sequence, attemptsMade, keys } = entry;
    // Of several keys, the first one: whichever lane it is met in, its random numbers are the same.
    const key = keys?.[0] ?? this.#turn.key;
    if (keys === undefined && !this.#isRepeat) this.#compareKeys(entry, update.key(data));
    const facts = { key, keys, jobId, sequence, attempt: attemptsMade + 1, token: this.#token };
    return applyUpdate(update, value, data, facts, this);
  }

  #compareKeys({ jobId, name }: LaneEntry, named: unknown): void {
    const { key, context } = this.#turn;
    if (named === key) return;
    const otherKey = messageOf(named);
    context.report('keyChanged', { key, jobId, name, otherKey, code: 'KEY_CHANGED' });
  }

  /** A job that may have kept the process from running is applied while no other of them is. */
  mayBegin(jobId: string): boolean {
    if (!this.#turn.memory.worker.overruns.isSuspect(jobId)) return true;
    this.#isSuspect = this.#pulse.enterAlone(this);
    return this.#isSuspect;
  }

  /**
   * A strict update acts on the outside world, and must not begin beside a later holder: this process may have stood
   * still while a start alone was noted (simulation, seed 94894), or its data were checked.
   */
  isTooLate({ strict }: AnyUpdate): boolean {
    return strict && this.#turn.lease.trustLeftMs() <= 0;
  }

  /** What was waited for meanwhile is nobody's call. */
  restart(): void {
    this.lastMs = this.clock.monotonicMs();
  }

  /** An entry is done with, and nothing else has run in this process since the one before it. */
  passed(jobId: string): void {
    const nowMs = this.clock.monotonicMs();
    const tookMs = nowMs - this.lastMs;
    this.lastMs = nowMs;
    if (tookMs >= this.#losesMs) this.#pulse.explain(nowMs);
    else if (!this.#isSuspect) return; // nearly always
    this.#over(jobId, tookMs);
  }

  /** The call has returned a promise. */
  pending(): void {
    const nowMs = this.clock.monotonicMs();
    this.#aliveMs = nowMs;
    this.#blockedMs = nowMs - this.lastMs;
    if (this.#blockedMs >= this.#losesMs) this.#pulse.explain(nowMs);
  }

  /** It has settled. */
  settled(jobId: string): void {
    this.tick();
    this.lastMs = this.#aliveMs;
    this.#over(jobId, this.#blockedMs);
  }

  #over(jobId: string, blockedMs: number): void {
    this.#isSuspect = false;
    this.#pulse.leave(this);
    const { memory, lease } = this.#turn;
    if (blockedMs < this.#losesMs || lease.trustLeftMs() > 0) memory.worker.overruns.forget(jobId);
    else memory.worker.overruns.note(jobId, blockedMs);
  }

  /** By a fault of Toril it is not known how the call ended. */
  abandon(): void {
    this.#pulse.leave(this);
  }

  tick(): void {
    const nowMs = this.clock.monotonicMs();
    const sinceMs = Math.max(this.#aliveMs, this.#pulse.explainedMs);
    this.#blockedMs = Math.max(this.#blockedMs, nowMs - sinceMs);
    this.#aliveMs = nowMs;
  }

  endsBy(abort: ((reason: unknown) => void) | undefined): void {
    if (!this.#isRepeat) this.#turn.memory.worker.cancellations.running(this.#jobId, abort);
  }

  log(row: string): void {
    const { key, context } = this.#turn;
    if (!this.#isRepeat) context.log?.(key, this.#jobId, row);
  }
}
