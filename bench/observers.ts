/** Observers as applications set them up, that export to nowhere. */
import { context } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  type SpanExporter,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-base';
import type { Clock } from '../src/base/clock.ts';
import { PrometheusMeters } from '../src/cli/http/prometheus.ts';
import { openTelemetry } from '../src/opentelemetry.ts';
import type { Observer } from '../src/telemetry/observer.ts';
import { Recorder } from '../src/telemetry/recorder.ts';

const EXPORTED_EVERY_MS = 10_000;

const nowhere: SpanExporter = {
  export: (_spans, done) => done({ code: 0 }),
  shutdown: () => Promise.resolve(),
};

export function byPrometheus(clock: Clock): Observer {
  return new Recorder({ clock, meters: new PrometheusMeters() });
}

/** @param sampled the share of traces: 0 to 1 */
export function byOpenTelemetry(sampled: number): Observer {
  useContexts();
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({
    ...{ exporter, exportIntervalMillis: EXPORTED_EVERY_MS },
  });
  return openTelemetry({
    meterProvider: new MeterProvider({ readers: [reader] }),
    tracerProvider: new BasicTracerProvider({
      sampler: new TraceIdRatioBasedSampler(sampled),
      spanProcessors: [new BatchSpanProcessor(nowhere)],
    }),
  });
}

/**
 * What the SDK does with its first export, of metrics or spans, at the latest: before Node 24, every promise of the process is hooked
 * from then on.
 */
export function useContexts(): void {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  context.with(context.active(), () => undefined);
}
