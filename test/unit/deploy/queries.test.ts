/** Every query of the Grafana board and of the alerts asks for metrics and labels that exist, in Prometheus's own grammar. */
import { readFileSync } from 'node:fs';
import { parser } from '@prometheus-io/lezer-promql';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { PrometheusMeters, prometheusName } from '../../../src/cli/http/prometheus.ts';
import { type Metric, METRICS } from '../../../src/telemetry/metrics.ts';

type SyntaxNode = ReturnType<typeof parser.parse>['topNode'];

const DEPLOY = new URL('../../../deploy/', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, DEPLOY), 'utf8');

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
}

const board = JSON.parse(read('grafana/toril.json')) as {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly query: unknown }[] };
};
const alerts = parse(read('prometheus/alerts.yml')) as { groups: { rules: Rule[] }[] };
const scaling = parse(read('kubernetes/keda/scaled-object.yaml')) as {
  spec: { triggers: { name: string; metadata: { query: string } }[] };
};

const QUERIES: [string, string][] = [
  ...board.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }, at): [string, string] => [`board: ${title} ${at}`, expr]),
  ),
  ...alerts.groups.flatMap(({ rules }) =>
    rules.map(({ alert, expr }): [string, string] => [`alert: ${alert}`, expr]),
  ),
  ...scaling.spec.triggers.map(({ name, metadata }): [string, string] => [
    `KEDA: ${name}`,
    metadata.query,
  ]),
];

/** Series by name, with the labels that they have. */
const series = new Map<string, { readonly kind: string; readonly labels: ReadonlySet<string> }>();
/** Given by whoever collects. */
const COLLECTED = ['instance', 'job'];

beforeAll(async () => {
  const lines = (await new PrometheusMeters().text()).split('\n');
  const kinds = lines.flatMap((line) => {
    const [, name = '', kind = ''] = /^# TYPE (\w+) (\w+)$/.exec(line) ?? [];
    return name === '' ? [] : [[name, kind] as const];
  });
  for (const [name, kind] of kinds) add(name, kind, labelsOf(name));
});

function add(name: string, kind: string, labels: readonly string[]): void {
  const all = new Set([...labels, ...COLLECTED]);
  if (kind !== 'histogram') return void series.set(name, { kind, labels: all });
  for (const end of ['_sum', '_count']) series.set(name + end, { kind: 'counter', labels: all });
  series.set(`${name}_bucket`, { kind: 'counter', labels: new Set([...all, 'le']) });
}

function labelsOf(series: string): string[] {
  const [, metric] =
    Object.entries<Metric>(METRICS).find(
      ([name]) => prometheusName(name as keyof typeof METRICS) === series,
    ) ?? [];
  if (metric === undefined) return [];
  const names = ['messaging.destination.name', ...(metric.attributes ?? [])];
  return names.map((name) => name.replaceAll('.', '_'));
}

/** What is wrong with a query. */
function problemsOf(query: string): string[] {
  const text = query.replaceAll('$__rate_interval', '5m').replaceAll('$queue', 'accounts');
  const problems: string[] = [];
  const textOf = ({ from, to }: { from: number; to: number }): string => text.slice(from, to);
  const selected = new Set<string>();
  const grouped: string[] = [];
  parser.parse(text).iterate({
    enter({ node }) {
      if (node.type.isError) problems.push(`syntax, at ${node.from}: ${text.slice(node.from)}`);
      if (node.name === 'LabelName' && node.parent?.name === 'GroupingLabels')
        grouped.push(textOf(node));
      if (node.name !== 'VectorSelector') return;
      const name = textOf(node.getChild('Identifier') as SyntaxNode);
      selected.add(name);
      const known = series.get(name);
      if (known === undefined) return void problems.push(`no metric ${name}`);
      const matchers = node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? [];
      for (const matcher of matchers) {
        const label = textOf(matcher.getChild('LabelName') as SyntaxNode);
        if (!known.labels.has(label)) problems.push(`${name} has no label ${label}`);
      }
      const isRate = node.parent?.name === 'MatrixSelector';
      if (isRate !== (known.kind === 'counter') && !isOnlyCompared(node))
        problems.push(`${name} is a ${known.kind}`);
    },
  });
  const labels = new Set([...selected].flatMap((name) => [...(series.get(name)?.labels ?? [])]));
  for (const label of grouped) if (!labels.has(label)) problems.push(`no label ${label}`);
  return problems;
}

/** Of which series there are, not what they stand at: `and on (instance)`, `absent()`. */
function isOnlyCompared(node: SyntaxNode): boolean {
  for (let up = node.parent; up !== null; up = up.parent) {
    if (up.getChild('And') !== null) return true;
    if (up.getChild('FunctionIdentifier')?.getChild('Absent') != null) return true;
  }
  return false;
}

describe('the queries for Prometheus', () => {
  it('are many', () => {
    expect(QUERIES.length).toBeGreaterThan(30);
  });

  it.each(QUERIES)('%s', (_, query) => {
    expect(problemsOf(query)).toEqual([]);
  });

  it('of the board’s variable', () => {
    const asked = JSON.stringify(board.templating.list);
    const [, name = '', label = ''] = /label_values\((\w+), (\w+)\)/.exec(asked) ?? [];
    expect(series.get(name)?.labels.has(label)).toBe(true);
  });

  it('show every metric of Toril somewhere on the board', () => {
    const text = JSON.stringify(board.panels);
    const missing = Object.keys(METRICS)
      .map((name) => prometheusName(name as keyof typeof METRICS))
      .filter((name) => !text.includes(name));
    expect(missing).toEqual([]);
  });
});

describe('the checker', () => {
  it.each([
    ['sum(rate(toril_commit_total[5m]))', 'no metric toril_commit_total'],
    ['sum by (step) (rate(toril_commits_total[5m]))', 'no label step'],
    ['rate(toril_commits_total{queue="a"}[5m])', 'toril_commits_total has no label queue'],
    ['rate(toril_queue_backlog[5m])', 'toril_queue_backlog is a gauge'],
    ['max(toril_commits_total)', 'toril_commits_total is a counter'],
    ['sum(rate(toril_commits_total[5m])', 'syntax'],
  ])('finds what is wrong with %s', (query, problem) => {
    expect(problemsOf(query)).toContainEqual(expect.stringContaining(problem));
  });
});
