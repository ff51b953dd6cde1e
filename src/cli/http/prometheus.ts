/** Metrics as Prometheus reads them, by prom-client: names in its way, and this process's own beside them. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import {
  type Attributes,
  type HistogramName,
  type Meters,
  METRICS,
  type ObservedName,
  type Reading,
} from '../../telemetry/metrics.ts';

export class PrometheusMeters implements Meters {
  readonly #registry = new Registry();
  readonly #histograms = new Map<HistogramName, Histogram>();
  readonly #observed = new Map<ObservedName, Counter | Gauge>();
  readonly #reads: (() => Promise<readonly Reading[]>)[] = [];

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
    for (const [name, { kind }] of Object.entries(METRICS)) {
      if (kind === 'histogram') this.#histograms.set(name as HistogramName, this.#histogram(name));
      else this.#observed.set(name as ObservedName, this.#observable(name as ObservedName));
    }
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  histogram(metric: HistogramName, attributes: Attributes): (value: number) => void {
    const child = (this.#histograms.get(metric) as Histogram).labels(labelsOf(attributes));
    return (value) => child.observe(value);
  }

  observe(read: () => Promise<readonly Reading[]>): void {
    this.#reads.push(read);
  }

  /** The text of all of them as they stand now. */
  async text(): Promise<string> {
    const readings = (await Promise.all(this.#reads.map((read) => read()))).flat();
    for (const metric of this.#observed.values()) metric.reset();
    for (const { metric, attributes, value } of readings)
      (this.#observed.get(metric) as Counter | Gauge).inc(labelsOf(attributes), value);
    return this.#registry.metrics();
  }

  #histogram(name: string): Histogram {
    const { description, buckets = [] } = METRICS[name as HistogramName];
    return new Histogram({
      ...this.#settings(name as HistogramName, description),
      buckets: [...buckets],
    });
  }

  #observable(name: ObservedName): Counter | Gauge {
    const { kind, description } = METRICS[name];
    const settings = this.#settings(name, description);
    return kind === 'counter' ? new Counter(settings) : new Gauge(settings);
  }

  #settings(
    name: HistogramName | ObservedName,
    help: string,
  ): { name: string; help: string; labelNames: string[]; registers: Registry[] } {
    const { attributes = [] } = METRICS[name];
    const labelNames = ['messaging.destination.name', ...attributes].map(labelOf);
    return { name: prometheusName(name), help, labelNames, registers: [this.#registry] };
  }
}

/** As OpenTelemetry's rules have it: the unit behind the name, `_total` behind a counter. */
export function prometheusName(name: HistogramName | ObservedName): string {
  const { kind, unit } = METRICS[name];
  const plain = name.replaceAll('.', '_');
  const withUnit = unit === 's' ? `${plain}_seconds` : plain;
  return kind === 'counter' ? `${withUnit}_total` : withUnit;
}

function labelsOf(attributes: Attributes): Record<string, string> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [labelOf(name), value]),
  );
}

const labelOf = (name: string): string => name.replaceAll('.', '_');
