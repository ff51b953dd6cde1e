import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type Metric, METRICS } from '../../../src/telemetry/metrics.ts';

const page = readFileSync(new URL('../../../docs/telemetry.md', import.meta.url), 'utf8');

test('docs/telemetry.md lists every metric with its kind, unit and attributes, and no other', () => {
  const rows = [...page.matchAll(/^\| `([a-z_.]+)` \| (\w+) \| ([^|]+) \| ([^|]*) \|/gm)];
  const listed = rows.map(([, name, kind, unit, attributes = '']) => {
    const names = [...attributes.matchAll(/`([a-z_.]+)`/g)].map(([, one]) => one);
    return { name, kind, unit: unit?.trim(), attributes: names };
  });
  const real = Object.entries<Metric>(METRICS).map(([name, { kind, unit, attributes = [] }]) => ({
    ...{ name, kind, unit, attributes },
  }));
  expect(listed).toEqual(real);
});
