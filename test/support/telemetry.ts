/** OpenTelemetry's SDK in memory, and what it exported as text that is the same in every run. */
import {
  type Attributes,
  context,
  propagation,
  SpanKind,
  SpanStatusCode,
  type TextMapPropagator,
  trace,
  TraceFlags,
} from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  AggregationTemporality,
  DataPointType,
  InMemoryMetricExporter,
  type MetricData,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  type Sampler,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { onTestFinished } from 'vitest';
import { openTelemetry, type OpenTelemetryOptions } from '../../src/opentelemetry.ts';
import type { Observer } from '../../src/telemetry/observer.ts';

const NEVER_MS = 1_000_000;

/** W3C's trace context, as far as it is needed here. */
const propagator: TextMapPropagator = {
  inject(from, carrier, setter) {
    const span = trace.getSpanContext(from);
    if (span !== undefined)
      setter.set(carrier, 'traceparent', `00-${span.traceId}-${span.spanId}-01`);
  },
  extract(into, carrier, getter) {
    const [, traceId, spanId] = String(getter.get(carrier, 'traceparent')).split('-');
    if (traceId === undefined || spanId === undefined) return into;
    const traceFlags = TraceFlags.SAMPLED;
    return trace.setSpanContext(into, { traceId, spanId, traceFlags, isRemote: true });
  },
  fields: () => ['traceparent'],
};

export interface Collected {
  readonly observer: Observer;
  readonly tracerProvider: BasicTracerProvider;
  /** In the order in which they ended. */
  spans(): ReadableSpan[];
  metrics(): Promise<MetricData[]>;
}

/** Registers what the test's own spans need, and collects until it has finished. */
export function collecting(
  options: OpenTelemetryOptions = {},
  { sampler }: { readonly sampler?: Sampler } = {},
): Collected {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(propagator);
  const spans = new InMemorySpanExporter();
  const tracerProvider = new BasicTracerProvider({
    spanProcessors: [new SimpleSpanProcessor(spans)],
    ...(sampler && { sampler }),
  });
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({
    exporter,
    exportIntervalMillis: NEVER_MS,
  });
  const meterProvider = new MeterProvider({ readers: [reader] });
  onTestFinished(async () => {
    context.disable();
    propagation.disable();
    await Promise.all([tracerProvider.shutdown(), meterProvider.shutdown()]);
  });
  return {
    tracerProvider,
    observer: openTelemetry({ tracerProvider, meterProvider, ...options }),
    spans: () => spans.getFinishedSpans(),
    async metrics() {
      await reader.forceFlush();
      const last = exporter.getMetrics().at(-1);
      return last?.scopeMetrics.flatMap(({ metrics }) => metrics) ?? [];
    },
  };
}

/** One line per span, those of a trace below one another, and what they link to; `known` names what differs in each run. */
export function spansText(
  spans: readonly ReadableSpan[],
  known: Readonly<Record<string, string>>,
): string {
  const named = (text: string): string =>
    Object.entries(known).reduce((now, [what, name]) => now.replaceAll(what, name), text);
  const byId = new Map(spans.map((span) => [span.spanContext().spanId, span]));
  const lines = (span: ReadableSpan, depth: number): string[] => {
    const { spanId } = span.spanContext();
    const links = span.links.map(({ context: { spanId: to } }) => `  -> ${byId.get(to)?.name}`);
    const events = span.events.map(
      ({ name, attributes }) => `  ! ${name} ${text(attributes ?? {})}`,
    );
    const own = [
      `${SpanKind[span.kind]} ${span.name}${statusOf(span)} ${text(span.attributes)}`,
      ...links,
      ...events,
    ].map((line) => named(`${'    '.repeat(depth)}${line}`));
    const children = spans.filter(({ parentSpanContext }) => parentSpanContext?.spanId === spanId);
    return [...own, ...children.flatMap((child) => lines(child, depth + 1))];
  };
  const roots = spans.filter((span) => !byId.has(span.parentSpanContext?.spanId ?? ''));
  return `${roots.flatMap((root) => lines(root, 0)).join('\n')}\n`;
}

function statusOf({ status }: ReadableSpan): string {
  return status.code === SpanStatusCode.ERROR ? ` ERROR(${status.message ?? ''})` : '';
}

/** Times differ in each run. */
function text(attributes: Attributes): string {
  const sorted = Object.entries(attributes).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const shown = sorted.map(([name, value]) => [name, name.endsWith('_ms') ? '…' : value]);
  return JSON.stringify(Object.fromEntries(shown));
}

/** One line per series: what it stands at. Of durations only how many there were. */
export function metricsText(
  metrics: readonly MetricData[],
  known: Readonly<Record<string, string>>,
): string {
  const lines = metrics.flatMap(({ descriptor: { name, unit }, dataPointType, dataPoints }) =>
    dataPoints.map(({ attributes, value }) => {
      const isHistogram = dataPointType === DataPointType.HISTOGRAM;
      const { count, sum } = value as { count: number; sum: number };
      const shown = isHistogram
        ? `${count} times${unit === 's' ? '' : `, ${sum} in all`}`
        : (value as number);
      return `${name} ${unit} ${text(attributes)} ${String(shown)}`;
    }),
  );
  const all = `${lines.toSorted().join('\n')}\n`;
  return Object.entries(known).reduce((now, [what, name]) => now.replaceAll(what, name), all);
}
