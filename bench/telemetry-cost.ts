/**
 * What being observed costs a worker: CPU time of its process per job, every key different, one turn per job, in turns with
 * a worker that nobody observes.
 *
 *   npm run bench:telemetry
 */
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { context } from '@opentelemetry/api';
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
import { type Clock, systemClock } from '../src/base/clock.ts';
import { systemRandom } from '../src/base/random.ts';
import { PrometheusMeters } from '../src/cli/http/prometheus.ts';
import { defineUpdate, Queue, Worker } from '../src/index.ts';
import { openTelemetry } from '../src/opentelemetry.ts';
import type { Observer } from '../src/telemetry/observer.ts';
import { Recorder } from '../src/telemetry/recorder.ts';
import { median } from './statistics.ts';

const JOBS = Number(process.env['TORIL_JOBS'] ?? 20_000);
const ROUNDS = Number(process.env['TORIL_ROUNDS'] ?? 7);
const WARM_UP_ROUNDS = 2;
const CONCURRENCY = 64;
const BULK = 1_000;

const redis = process.env['TORIL_REDIS'] ?? 'redis://127.0.0.1:6379';
const memcached = process.env['TORIL_MEMCACHED'] ?? '127.0.0.1:11211';
const update = defineUpdate({
  name: 'count',
  key: ({ key }: { key: string }) => key,
  initial: () => 0,
  apply: (count: number) => count + 1,
});

const nowhere: SpanExporter = {
  export: (_spans, done) => done({ code: 0 }),
  shutdown: () => Promise.resolve(),
};

function providers(sampled: number): Parameters<typeof openTelemetry>[0] {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 10_000 });
  return {
    meterProvider: new MeterProvider({ readers: [reader] }),
    tracerProvider: new BasicTracerProvider({
      sampler: new TraceIdRatioBasedSampler(sampled),
      spanProcessors: [new BatchSpanProcessor(nowhere)],
    }),
  };
}

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
const prometheus = new Recorder({ clock: systemClock, meters: new PrometheusMeters() });
const observers: Readonly<Record<string, Observer | undefined>> = {
  nobody: undefined,
  'nobody again (noise)': undefined,
  'Prometheus (--http)': prometheus,
  'OpenTelemetry, no trace sampled': openTelemetry(providers(0)),
  'OpenTelemetry, 1 % of traces': openTelemetry(providers(0.01)),
  'OpenTelemetry, all traces': openTelemetry(providers(1)),
};

/** CPU microseconds of what a turn tells the observer, at so many turns per second, without all the rest. */
function perTurn(observe: (clock: Clock) => Observer, turnsPerS: number): number {
  const turns = 300_000;
  let nowMs = 0;
  const observer = observe({ ...systemClock, monotonicMs: () => nowMs });
  const backlog = (): Promise<undefined> => Promise.resolve(undefined);
  const sight = () => ({ servers: [], stopped: new Map<string, number>() });
  const worker = observer.worker({ queue: 'cost', backlog, sight });
  const batch = { decided: 1, applied: 1 };
  const run = (): number => {
    const cpu = process.cpuUsage();
    for (let turn = 0; turn < turns; turn++) {
      nowMs += 1_000 / turnsPerS; // (OpenTelemetry goes by the real clock: more turns per second, fewer recorded)
      worker.asksForLease();
      const observed = worker.turn('key', nowMs);
      observed.took([{}]);
      observed.folded(batch);
      observed.committed();
      observed.acknowledged();
      worker.event('committed', { key: 'key', token: turn, jobs: 1 });
      observed.ended({ kind: 'idle' });
    }
    const { user, system } = process.cpuUsage(cpu);
    return (user + system) / turns;
  };
  run();
  return median([run(), run(), run()]);
}

/** CPU microseconds of this process per job. */
async function round(observer: Observer | undefined): Promise<number> {
  const name = `telemetry-cost-${systemRandom.id()}`;
  const connection = { url: redis };
  const queue = new Queue(name, { connection, updates: [update], ...(observer && { observer }) });
  for (let from = 0; from < JOBS; from += BULK) {
    const bulk = Array.from({ length: BULK }, (_, n) => ({
      update,
      data: { key: `${name}-${from + n}` },
    }));
    await queue.enqueueBulk(bulk);
  }
  const worker = new Worker(name, {
    ...{ connection, memcached, updates: [update], autorun: false },
    ...{ concurrency: CONCURRENCY, observer },
  });
  await worker.waitUntilReady();
  let left = JOBS;
  const done = new Promise<void>((resolve) => {
    worker.on('completed', () => --left === 0 && resolve());
  });
  const cpu = process.cpuUsage();
  void worker.run();
  await done;
  const { user, system } = process.cpuUsage(cpu);
  await worker.close();
  await queue.obliterate({ force: true });
  await queue.close();
  return (user + system) / JOBS;
}

const byPrometheus = (turnsPerS: number): string =>
  perTurn((clock) => new Recorder({ clock, meters: new PrometheusMeters() }), turnsPerS).toFixed(2);
const bySdk = perTurn(() => openTelemetry(providers(0)), Number.POSITIVE_INFINITY);
console.log(
  `the observer alone, per turn: Prometheus ${byPrometheus(10_000)} µs at 10,000 turns per second and ${byPrometheus(1_000)} µs at 1,000, OpenTelemetry without traces ${bySdk.toFixed(2)} µs`,
);

const measured = new Map(Object.keys(observers).map((name) => [name, [] as number[]]));
for (let count = -WARM_UP_ROUNDS; count < ROUNDS; count++) {
  // Each round begins with another one.
  const all = Object.entries(observers);
  const first = (count + WARM_UP_ROUNDS) % all.length;
  for (const [name, observer] of [...all.slice(first), ...all.slice(0, first)]) {
    const microseconds = await round(observer);
    if (count >= 0) measured.get(name)?.push(microseconds);
  }
}
const base = measured.get('nobody') ?? [];
for (const [name, values] of measured) {
  // Each to the one of its own round: what slows the machine down slows both.
  const ratio = median(values.map((value, at) => value / (base[at] ?? value)));
  console.log(
    `${name.padEnd(32)} ${median(values).toFixed(1)} µs per job, ${(100 * (ratio - 1)).toFixed(1)} % more`,
  );
}
process.exit(0);
