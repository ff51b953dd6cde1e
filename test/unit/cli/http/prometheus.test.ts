import { describe, expect, it } from 'vitest';
import { PrometheusMeters, prometheusName } from '../../../../src/cli/http/prometheus.ts';
import type { Reading } from '../../../../src/telemetry/metrics.ts';

const attributes = { 'messaging.destination.name': 'orders' };

/** Without what prom-client tells of the process. */
function own(text: string): string[] {
  return text.split('\n').filter((line) => /^(toril|messaging)_/.test(line));
}

describe('metrics for Prometheus', () => {
  it.each([
    ['toril.commits', 'toril_commits_total'],
    ['toril.queue.backlog', 'toril_queue_backlog'],
    ['toril.queue.oldest_head.age', 'toril_queue_oldest_head_age_seconds'],
    ['toril.batch.jobs', 'toril_batch_jobs'],
    ['messaging.process.duration', 'messaging_process_duration_seconds'],
  ] as const)('%s is called %s', (name, called) => {
    expect(prometheusName(name)).toBe(called);
  });

  it('are what is read for each collection, and no more than that', async () => {
    const meters = new PrometheusMeters();
    let readings: Reading[] = [{ metric: 'toril.commits', attributes, value: 3 }];
    meters.observe(() => Promise.resolve(readings));
    const line = 'toril_commits_total{messaging_destination_name="orders"} 3';
    expect(own(await meters.text())).toEqual([line]);
    const both = await Promise.all([meters.text(), meters.text()]);
    expect(both.map(own)).toEqual([[line], [line]]);
    readings = [];
    expect(own(await meters.text())).toEqual([]);
  });

  it('have a label for each attribute, and the buckets of their histogram', async () => {
    const meters = new PrometheusMeters();
    const record = meters.histogram('toril.turn.step.duration', {
      ...attributes,
      'toril.turn.step': 'take',
    });
    record(0.003);
    record(20);
    const lines = own(await meters.text());
    const of = 'messaging_destination_name="orders",toril_turn_step="take"';
    expect(lines).toContain(`toril_turn_step_duration_seconds_bucket{le="0.0025",${of}} 0`);
    expect(lines).toContain(`toril_turn_step_duration_seconds_bucket{le="0.005",${of}} 1`);
    expect(lines).toContain(`toril_turn_step_duration_seconds_count{${of}} 2`);
  });
});
