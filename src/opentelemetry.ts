/**
 * `toril/opentelemetry`: metrics and spans of queues and workers by OpenTelemetry's API, which this file alone loads. What
 * an SDK throws is told to OpenTelemetry's own logger (`diag`), and costs no job anything.
 * @module toril/opentelemetry
 */
import { readFileSync } from 'node:fs';
import {
  type BatchObservableCallback,
  type Context,
  context,
  diag,
  type Histogram,
  type Meter,
  metrics,
  type MeterProvider,
  type Observable,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  type Tracer,
  type TracerProvider,
  trace,
} from '@opentelemetry/api';
import { systemClock } from './base/clock.ts';
import { messageOf, nameOf, TorilError } from './errors.ts';
import { queueAttributes, spanAttributes } from './telemetry/attributes.ts';
import {
  type Attributes,
  type HistogramName,
  type Meters,
  type Metric,
  METRICS,
  type Reading,
} from './telemetry/metrics.ts';
import type { Observer } from './telemetry/observer.ts';
import { Recorder } from './telemetry/recorder.ts';
import type { Operation, Tracing, TurnEnd, TurnSpan } from './telemetry/tracing.ts';

export type {
  Backlog,
  ObservedWorker,
  Observer,
  QueueObserver,
  TurnObserver,
  WorkerObserver,
  WorkerSight,
} from './telemetry/observer.ts';

export interface OpenTelemetryOptions {
  /** Default: the one that is registered with OpenTelemetry's API. */
  readonly tracerProvider?: TracerProvider;
  /** Default: the one that is registered with OpenTelemetry's API, which must be there by now. */
  readonly meterProvider?: MeterProvider;
  /** Puts the key of each turn on its span (`toril.key`). It may be personal data. Default false; never on a metric. */
  readonly keysOnSpans?: boolean;
}

/** Links that a span keeps by default, too; the others are not even read. */
const LINKS_MAX = 128;

/** For the option `observer` of queues and workers: one for all of a process. */
export function openTelemetry(options: OpenTelemetryOptions = {}): Observer {
  const { tracerProvider = trace, meterProvider = metrics, keysOnSpans = false } = options;
  const { version } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  ) as { version: string };
  return new Recorder({
    clock: systemClock,
    meters: new OtelMeters(meterProvider.getMeter('toril', version)),
    tracing: new OtelTracing(tracerProvider.getTracer('toril', version), keysOnSpans),
  });
}

class OtelMeters implements Meters {
  readonly #meter: Meter;
  readonly #histograms = new Map<HistogramName, Histogram>();
  readonly #observables = new Map<string, Observable>();

  constructor(meter: Meter) {
    this.#meter = meter;
    for (const [name, { kind, unit, description }] of Object.entries<Metric>(METRICS)) {
      if (kind === 'counter')
        this.#observables.set(name, meter.createObservableCounter(name, { unit, description }));
      if (kind === 'gauge')
        this.#observables.set(name, meter.createObservableGauge(name, { unit, description }));
    }
  }

  histogram(metric: HistogramName, attributes: Attributes): (value: number) => void {
    const histogram = this.#histogram(metric);
    return (value) => safely(() => histogram.record(value, attributes, ROOT_CONTEXT));
  }

  observe(read: () => Promise<readonly Reading[]>): void {
    const observables = [...this.#observables.values()];
    const callback: BatchObservableCallback = async (result) => {
      for (const { metric, attributes, value } of await read())
        result.observe(this.#observables.get(metric) as Observable, value, attributes);
    };
    this.#meter.addBatchObservableCallback(callback, observables);
  }

  #histogram(name: HistogramName): Histogram {
    let known = this.#histograms.get(name);
    if (known === undefined) {
      const { unit, description, buckets = [] } = METRICS[name];
      const advice = { explicitBucketBoundaries: [...buckets] };
      known = this.#meter.createHistogram(name, { unit, description, advice });
      this.#histograms.set(name, known);
    }
    return known;
  }
}

interface ProcessSpan {
  readonly name: string;
  readonly options: SpanOptions;
}

class OtelTracing implements Tracing {
  readonly #tracer: Tracer;
  readonly #keysOnSpans: boolean;
  readonly #processes = new Map<string, ProcessSpan>();

  constructor(tracer: Tracer, keysOnSpans: boolean) {
    this.#tracer = tracer;
    this.#keysOnSpans = keysOnSpans;
  }

  async enqueue<T>(
    queue: string,
    jobs: number,
    add: (trace: string | undefined) => Promise<T>,
  ): Promise<T> {
    const span = safely(() => this.#enqueueSpan(queue, jobs));
    if (span === undefined) return add(undefined);
    const active = trace.setSpan(context.active(), span);
    try {
      return await context.with(active, () => add(safely(() => carried(active))));
    } catch (thrown) {
      safely(() => failed(span, typeOf(thrown), messageOf(thrown)));
      throw thrown;
    } finally {
      safely(() => span.end());
    }
  }

  /**
   * Undefined: nobody wants it. Then nothing runs in its context, and nothing is left with the jobs. On Node 20 and 22, the
   * first call in a context has every promise of the process hooked from then on, which costs a worker more than all
   * the rest of being observed; and a link to a trace that was not kept leads nowhere.
   */
  #enqueueSpan(queue: string, jobs: number): Span | undefined {
    const attributes = counted(spanAttributes(queue, 'enqueue'), jobs);
    const span = this.#tracer.startSpan(`enqueue ${queue}`, {
      kind: SpanKind.PRODUCER,
      attributes,
    });
    return span.isRecording() ? span : undefined;
  }

  /** Made once: a turn that is not sampled costs its sampling. */
  #processOf(queue: string): ProcessSpan {
    let known = this.#processes.get(queue);
    if (known === undefined) {
      const attributes = spanAttributes(queue, 'process');
      known = { name: `process ${queue}`, options: { kind: SpanKind.CONSUMER, attributes } };
      this.#processes.set(queue, known);
    }
    return known;
  }

  turn(queue: string, key: string, waitedMs: number): TurnSpan | undefined {
    return safely(() => {
      const { name, options } = this.#processOf(queue);
      const span = this.#tracer.startSpan(name, options, ROOT_CONTEXT);
      if (!span.isRecording()) return undefined; // nearly always: nothing is made for it
      span.setAttribute('toril.lease.wait_ms', waitedMs);
      if (this.#keysOnSpans) span.setAttribute('toril.key', key);
      return new OtelTurn(this.#tracer, span, queue);
    });
  }
}

class OtelTurn implements TurnSpan {
  readonly #tracer: Tracer;
  readonly #span: Span;
  readonly #queue: string;
  readonly #context: Context;
  /** An SDK takes times on the wall clock, which may have been set since the process started. */
  readonly #sinceEpochMs: number;
  #links = 0;

  constructor(tracer: Tracer, span: Span, queue: string) {
    this.#tracer = tracer;
    this.#span = span;
    this.#queue = queue;
    this.#context = trace.setSpan(ROOT_CONTEXT, span);
    this.#sinceEpochMs = systemClock.wallMs() - systemClock.monotonicMs();
  }

  within<T>(call: () => T): T {
    return context.with(trace.setSpan(context.active(), this.#span), call);
  }

  link(left: string): void {
    if (this.#links >= LINKS_MAX) return;
    safely(() => {
      const carrier = JSON.parse(left) as unknown;
      const from = trace.getSpanContext(propagation.extract(ROOT_CONTEXT, carrier));
      if (from === undefined) return;
      this.#links++;
      this.#span.addLink({ context: from });
    });
  }

  step(name: 'take' | 'commit' | 'acknowledge', sinceMs: number, untilMs: number, jobs = 0): void {
    const kind = SpanKind.CLIENT;
    const attributes =
      name === 'commit'
        ? { ...queueAttributes(this.#queue), 'db.system.name': 'memcached' }
        : counted(spanAttributes(this.#queue, name satisfies Operation), jobs);
    const options = { kind, attributes, startTime: this.#sinceEpochMs + sinceMs };
    safely(() =>
      this.#tracer
        .startSpan(`${name} ${this.#queue}`, options, this.#context)
        .end(this.#sinceEpochMs + untilMs),
    );
  }

  end({ decided, applied, batches, kind, errorCode }: TurnEnd): void {
    const span = this.#span;
    safely(() => {
      span.setAttributes({
        ...counted({}, decided),
        'toril.jobs.applied': applied,
        'toril.batches': batches,
        'toril.turn.end': kind,
      });
      if (errorCode !== undefined) failed(span, errorCode);
      span.end();
    });
  }
}

/** What a worker needs to name this trace; as BullMQ's own telemetry writes it. */
function carried(active: Context): string | undefined {
  const carrier: Record<string, string> = {};
  propagation.inject(active, carrier);
  return Object.keys(carrier).length === 0 ? undefined : JSON.stringify(carrier);
}

function counted(attributes: Attributes, jobs: number): Record<string, string | number> {
  return { ...attributes, 'messaging.batch.message_count': jobs };
}

function failed(span: Span, type: string, message?: string): void {
  span.setAttribute('error.type', type);
  span.setStatus({ code: SpanStatusCode.ERROR, ...(message !== undefined && { message }) });
}

function typeOf(thrown: unknown): string {
  if (thrown instanceof TorilError) return thrown.code;
  return thrown instanceof Error ? nameOf(thrown) : '_OTHER';
}

/** Undefined if it throws. */
function safely<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (thrown) {
    diag.error('toril: telemetry failed', messageOf(thrown));
    return undefined;
  }
}
