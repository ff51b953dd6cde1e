/** A queue as its operator sees it, by all ways at once: the page (HTML and JSON), `toril why`, and a worker's metrics. */
import { onTestFinished } from 'vitest';
import { PrometheusMeters } from '../../src/cli/http/prometheus.ts';
import { serveProbes } from '../../src/cli/http/probe-server.ts';
import { systemClock } from '../../src/base/clock.ts';
import type { LaneAction } from '../../src/index.ts';
import type { Observer } from '../../src/opentelemetry.ts';
import { Recorder } from '../../src/telemetry/recorder.ts';
import { createUi } from '../../src/ui.ts';
import { torilHere } from '../integration/cli-runner.ts';
import { Browsing, unescaped } from './browsing.ts';
import type { Stage } from './workers.ts';

/** What `toril why --json` and the page's JSON have in common. */
interface Said {
  readonly code: string;
  readonly sentence: string;
  readonly advice: string;
  readonly actions: readonly LaneAction[];
}

export interface Seen {
  readonly cli: Said;
  readonly json: Said;
  /** The sentence on the page, as text. */
  readonly page: string;
  /** As `/metrics` has them. */
  readonly metrics: string;
}

export class OperatorsView {
  readonly #here: Stage;
  readonly #memcached: string;
  readonly #meters = new PrometheusMeters();
  readonly #browser: Browsing;
  readonly #page: string;
  #port = 0;
  /** Of the workers whose metrics are looked at. */
  readonly observer: Observer = new Recorder({ clock: systemClock, meters: this.#meters });

  private constructor(here: Stage, key: string, memcached: string) {
    const authorize = (): { who: string; may: 'write' } => ({ who: 'ada', may: 'write' });
    const ui = createUi({ queues: [here.queue], memcached, authorize });
    onTestFinished(() => ui.close());
    this.#here = here;
    this.#memcached = memcached;
    this.#browser = new Browsing(ui);
    this.#page = `/key?key=${encodeURIComponent(key)}`;
  }

  static async open(here: Stage, key: string, memcached: string): Promise<OperatorsView> {
    const view = new OperatorsView(here, key, memcached);
    const health = () => Promise.resolve({ live: true, ready: true, problems: [] });
    const where = { flag: '--http', host: '127.0.0.1', port: 0 };
    const probes = await serveProbes({ health, metrics: view.#meters }, where);
    onTestFinished(() => probes.close());
    view.#port = probes.port;
    return view;
  }

  async look(key: string): Promise<Seen> {
    const servers = ['--redis', this.#here.redisUrl, '--memcached', this.#memcached];
    const [html, json, metrics] = await Promise.all([
      this.#browser.get(this.#page),
      this.#browser.get(this.#page, { accept: 'application/json' }),
      fetch(`http://127.0.0.1:${this.#port}/metrics`).then((answer) => answer.text()),
    ]);
    const { stdout } = await torilHere(['why', key, '-q', this.#here.name, '--json', ...servers]);
    const [, sentence = ''] = /class="sentence">([\s\S]*?)<\/p>/.exec(html.text) ?? [];
    return {
      cli: JSON.parse(stdout) as Said,
      json: JSON.parse(json.text) as Said,
      page: unescaped(sentence.replaceAll(/<[^>]*>/g, '')),
      metrics,
    };
  }

  /** What the page offers of this name, asked for and confirmed. */
  async act(action: LaneAction): Promise<void> {
    const { text } = await this.#browser.get(this.#page);
    const links = Array.from(text.matchAll(/class="button" href="([^"]*)"/g), ([, href = '']) =>
      unescaped(href),
    );
    const link = links.find(
      (href) => new URL(href, 'http://x').searchParams.get('action') === action,
    );
    if (link === undefined)
      throw new Error(`the page does not offer ${action}: ${links.join(', ')}`);
    const { text: done } = await this.#browser.send(link);
    if (!/class="notice good"/.test(done)) throw new Error(`${action} was not done: ${done}`);
  }
}

/** What a metric of these labels stands at; undefined: there is none. */
export function metricOf(
  metrics: string,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  const line = metrics
    .split('\n')
    .find((one) => one.startsWith(`${name}{`) && wanted.every((label) => one.includes(label)));
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ')));
}

/** Numbers of time differ between two looks. */
export const untimed = (text: string): string => text.replaceAll(/\d+ (ms|s|min)/g, '#');
