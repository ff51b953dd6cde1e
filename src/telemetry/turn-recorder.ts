/** One turn: where its time goes. */
import type { Clock } from '../base/clock.ts';
import { operationAttributes, queueAttributes } from './attributes.ts';
import type { Meters } from './metrics.ts';
import type { TurnObserver } from './observer.ts';
import type { TurnSpan } from './tracing.ts';

/** Of a worker, over all of its turns. */
export interface TurnCounters {
  turns: number;
  consumed: number;
  leaseRequests: number;
  takes: number;
  commits: number;
  acknowledgements: number;
}

type Record = ReturnType<Meters['histogram']>;

export class TurnHistograms {
  readonly leaseWait: Record;
  readonly leaseHold: Record;
  readonly process: Record;
  readonly batchJobs: Record;
  readonly take: Record;
  readonly fold: Record;
  readonly commit: Record;
  readonly acknowledge: Record;

  constructor(queue: string, meters: Meters) {
    const attributes = queueAttributes(queue);
    const step = (name: string): Record =>
      meters.histogram('toril.turn.step.duration', { ...attributes, 'toril.turn.step': name });
    const operation = (name: 'take' | 'acknowledge'): Record =>
      meters.histogram('messaging.client.operation.duration', operationAttributes(queue, name));
    this.leaseWait = meters.histogram('toril.lease.wait.duration', attributes);
    this.leaseHold = meters.histogram('toril.lease.hold.duration', attributes);
    this.process = meters.histogram(
      'messaging.process.duration',
      operationAttributes(queue, 'process'),
    );
    this.batchJobs = meters.histogram('toril.batch.jobs', attributes);
    this.take = both(step('take'), operation('take'));
    this.fold = step('fold');
    this.commit = step('commit');
    this.acknowledge = both(step('acknowledge'), operation('acknowledge'));
  }
}

function both(one: Record, other: Record): Record {
  return (value) => {
    one(value);
    other(value);
  };
}

export class TurnRecorder implements TurnObserver {
  readonly within: TurnObserver['within'];
  readonly #clock: Clock;
  readonly #counters: TurnCounters;
  readonly #histograms: TurnHistograms | undefined;
  readonly #span: TurnSpan | undefined;
  /** Somebody wants to know when. */
  readonly #isTimed: boolean;
  readonly #startedMs: number;
  /** Where the step in progress began. */
  #sinceMs: number;
  #jobs = 0;
  #decided = 0;
  #applied = 0;
  #batches = 0;

  constructor(
    clock: Clock,
    startedMs: number,
    counters: TurnCounters,
    histograms: TurnHistograms | undefined,
    span: TurnSpan | undefined,
  ) {
    this.#clock = clock;
    this.#startedMs = startedMs;
    this.#sinceMs = startedMs;
    this.#counters = counters;
    this.#histograms = histograms;
    this.#span = span;
    this.#isTimed = histograms !== undefined || span !== undefined;
    this.within = span === undefined ? undefined : (call) => span.within(call);
  }

  get wantsTraces(): boolean {
    return this.#span !== undefined;
  }

  took(entries: readonly { readonly trace?: string | undefined }[]): void {
    this.#counters.takes++;
    if (!this.#isTimed) return;
    if (this.#span !== undefined)
      for (const { trace } of entries) if (trace !== undefined) this.#span.link(trace);
    this.#step('take', entries.length);
  }

  folded({ decided, applied }: { readonly decided: number; readonly applied: number }): void {
    this.#counters.consumed += decided;
    if (!this.#isTimed) return;
    this.#jobs = decided;
    this.#decided += decided;
    this.#applied += applied;
    this.#batches++;
    if (decided > 0) this.#histograms?.batchJobs(decided);
    this.#step('fold');
  }

  committed(): void {
    this.#counters.commits++;
    if (this.#isTimed) this.#step('commit');
  }

  acknowledged(): void {
    this.#counters.acknowledgements++;
    if (this.#isTimed) this.#step('acknowledge', this.#jobs);
  }

  ended({ kind, cause }: Parameters<TurnObserver['ended']>[0]): void {
    if (!this.#isTimed) return;
    const nowMs = this.#clock.monotonicMs();
    const tookS = (nowMs - this.#startedMs) / 1_000;
    this.#histograms?.leaseHold(tookS);
    this.#histograms?.process(tookS);
    this.#span?.end({
      ...{ decided: this.#decided, applied: this.#applied, batches: this.#batches },
      ...{ kind, errorCode: cause?.code },
    });
  }

  #step(name: 'take' | 'fold' | 'commit' | 'acknowledge', jobs?: number): void {
    const nowMs = this.#clock.monotonicMs();
    this.#histograms?.[name]((nowMs - this.#sinceMs) / 1_000);
    if (name !== 'fold') this.#span?.step(name, this.#sinceMs, nowMs, jobs);
    this.#sinceMs = nowMs;
  }
}
