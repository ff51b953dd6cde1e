/**
 * What a queue and a worker export by OpenTelemetry, line by line as golden/ has it. After a change that is meant:
 * `npx vitest run test/integration/telemetry.test.ts -u`.
 */
import { context } from '@opentelemetry/api';
import { AlwaysOffSampler, type Sampler } from '@opentelemetry/sdk-trace-base';
import type { Telemetry } from 'bullmq';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { defineUpdate } from '../../src/index.ts';
import { removeItem } from '../support/items.ts';
import { eventually } from '../support/memcached.ts';
import { memcachedAddresses } from '../support/servers.ts';
import { type Collected, collecting, metricsText, spansText } from '../support/telemetry.ts';
import { logOr } from '../support/updates.ts';
import { enqueueLog, entries, nextEvent, quickly, type Stage, stage } from '../support/workers.ts';

const tally = defineUpdate({
  name: 'tally',
  key: ({ key }: { key: string }) => key,
  initial: () => 0,
  apply: (count: number) => count + 1,
});

const golden = (name: string): string => `golden/${name}.txt`;
/** Of which there is a metric each. */
const [memcached = ''] = memcachedAddresses();
const known = (here: Stage): Record<string, string> => ({
  [here.name]: 'QUEUE',
  [memcached]: 'MEMCACHED',
});

/** Three jobs of one key in a bulk, one more, all in one turn; then one job of a cell that was lost. */
async function fiveJobs(
  { observer, tracerProvider }: Collected,
  more: { readonly telemetry?: Telemetry } = {},
): Promise<Stage> {
  const tracer = tracerProvider.getTracer('app');
  const traced = defineUpdate({
    name: 'tally',
    key: ({ key }: { key: string }) => key,
    initial: () => 0,
    async apply(count: number) {
      await tracer.startActiveSpan('look up', (span) => Promise.resolve(span.end()));
      return count + 1;
    },
  });
  const here = stage({
    memcached: quickly(memcached),
    updates: [traced],
    queue: { observer, ...more },
  });
  const key = here.key('k');
  const jobs = await tracer.startActiveSpan('request', async (span) => {
    const bulk = await here.queue.enqueueBulk([
      { update: traced, data: { key } },
      { update: traced, data: { key } },
      { update: traced, data: { key } },
    ]);
    span.end();
    return bulk;
  });
  const last = await here.queue.enqueue(traced, { key });
  // One slot: no job is delivered while another one's turn goes on.
  await here.worker({ observer, concurrency: 1, ...more });
  await here.finished([...jobs, last]);
  await removeItem(key);
  await here.finished([await here.queue.enqueue(traced, { key })]);
  return here;
}

describe('spans', () => {
  it('follow a job: enqueue, and one process span per turn that links to each job’s own trace', async () => {
    const collected = collecting();
    const here = await fiveJobs(collected);
    await here.close();
    await expect(spansText(collected.spans(), known(here))).toMatchFileSnapshot(golden('spans'));
  });

  it('have the key only if that is asked for', async () => {
    const silent = collecting();
    const here = await fiveJobs(silent);
    expect(JSON.stringify(silent.spans().map(({ attributes }) => attributes))).not.toContain(
      here.key('k'),
    );
    const open = collecting({ keysOnSpans: true });
    const there = await fiveJobs(open);
    await there.close();
    const keys = open
      .spans()
      .filter(({ name }) => name.startsWith('process '))
      .map(({ attributes }) => attributes['toril.key']);
    expect(keys).toEqual([there.key('k'), there.key('k')]);
    expect(JSON.stringify(await open.metrics())).not.toContain(there.key('k'));
  });

  it('cost nothing where nobody wants them: none is left with a job, and nothing runs in its context', async () => {
    const { observer, spans } = collecting({}, { sampler: new AlwaysOffSampler() });
    // Before Node 24, the first call in a context slows down every promise of the process.
    const inContext = vi.spyOn(context, 'with');
    onTestFinished(() => inContext.mockRestore());
    const here = stage({ updates: [tally], queue: { observer } });
    await here.worker({ observer });
    const [job] = await here.finished([await here.queue.enqueue(tally, { key: here.key() })]);
    expect(job?.opts.telemetry).toBeUndefined();
    expect(spans()).toEqual([]);
    expect(inContext).not.toHaveBeenCalled();
  });

  it('say why an enqueue failed', async () => {
    const collected = collecting();
    const here = stage({ updates: [tally], queue: { observer: collected.observer } });
    await expect(here.queue.add('unheard of', {})).rejects.toMatchObject({
      code: 'UNKNOWN_UPDATE',
    });
    const [span] = collected.spans();
    expect(span?.attributes).toMatchObject({ 'error.type': 'UNKNOWN_UPDATE' });
  });
});

describe('metrics', () => {
  it('count what happened', async () => {
    const collected = collecting();
    const here = await fiveJobs(collected);
    const text = metricsText(await collected.metrics(), known(here));
    await expect(text).toMatchFileSnapshot(golden('metrics'));
  });

  it('show what waits: backlog, keys, held ones, and since when', async () => {
    const collected = collecting();
    const { observer } = collected;
    const here = stage({ updates: [logOr.hold] });
    const held = [{ key: here.key('held'), n: 0, failures: 9 }, ...entries(here.key('held'), 2)];
    const worker = await here.worker({ observer });
    const hold = nextEvent(worker, 'laneHeld');
    await here.queue.enqueueBulk(held.map((data) => ({ update: logOr.hold, data })));
    await hold;
    await worker.pause();
    await here.queue.enqueue(logOr.hold, { key: here.key('waits'), n: 0 });
    const backlog = 'toril.queue.backlog';
    const values = async (): Promise<Record<string, unknown>> =>
      Object.fromEntries(
        (await collected.metrics())
          .filter(({ descriptor }) => descriptor.name.startsWith('toril.queue.'))
          .map(({ descriptor, dataPoints }) => [descriptor.name, dataPoints[0]?.value]),
      );
    const isCounted = async (): Promise<boolean> => (await values())[backlog] === 3;
    await eventually('two behind the held one, and one of the other key', isCounted);
    const now = await values();
    expect(now).toMatchObject({
      'toril.queue.keys.held': 1,
      'toril.queue.keys.runnable': 1,
      'toril.queue.active': 0,
      'toril.queue.delayed': 0,
    });
    const oldest = now['toril.queue.oldest_head.age'] as number;
    const runnable = now['toril.queue.oldest_runnable_head.age'] as number;
    expect(runnable).toBeGreaterThan(0);
    expect(oldest).toBeGreaterThan(runnable);
  });

  it('of several workers of a queue are one series, which outlasts them', async () => {
    const collected = collecting();
    const { observer } = collected;
    const here = stage({ updates: [tally] });
    for (let n = 0; n < 2; n++) {
      const worker = await here.worker({ observer });
      await here.finished([await here.queue.enqueue(tally, { key: here.key(n) })]);
      await worker.close();
    }
    const applied = (await collected.metrics()).find(
      ({ descriptor }) => descriptor.name === 'toril.jobs.applied',
    );
    expect(applied?.dataPoints.map(({ value }) => value)).toEqual([2]);
  });
});

describe('telemetry that fails', () => {
  const broken: Sampler = {
    shouldSample: () => {
      throw new Error('the sampler');
    },
    toString: () => 'broken',
  };

  it('costs no job anything', async () => {
    const collected = collecting({}, { sampler: broken });
    const { observer } = collected;
    const here = stage({ updates: [tally], queue: { observer } });
    await here.worker({ observer });
    const [job] = await here.finished([await here.queue.enqueue(tally, { key: here.key() })]);
    expect(await job?.getState()).toBe('completed');
    expect(await here.cells.get(here.key())).toBe(1);
    expect(collected.spans()).toEqual([]);
  });
});

describe("BullMQ's own telemetry", () => {
  const events: [string, object | undefined][] = [];
  const ignore = (): void => undefined;
  const span = {
    setAttribute: ignore,
    setAttributes: ignore,
    addEvent: (name: string, facts?: object) => void events.push([name, facts]),
    recordException: ignore,
    end: ignore,
    setSpanOnContext: (of: unknown) => of,
  };
  /** Its contexts are names. */
  const telemetry = {
    tracer: { startSpan: () => span },
    contextManager: {
      active: () => 'active',
      with: <R>(_: string, run: () => R): R => run(),
      getMetadata: () => "BullMQ's",
      fromMetadata: (_: string, metadata: string) => metadata,
    },
  } as unknown as Telemetry;

  it('keeps its place beside ours: what it leaves with a job is left', async () => {
    const collected = collecting();
    const here = await fiveJobs(collected, { telemetry });
    const traces = (await here.queue.getCompleted()).map(({ opts }) => opts.telemetry?.metadata);
    expect(new Set(traces)).toEqual(new Set(["BullMQ's"]));
    expect(collected.spans().map(({ name }) => name.split(' ')[0])).toContain('process');
  });

  it('hears of a delivery that it was snoozed', async () => {
    const here = stage();
    const jobs = await enqueueLog(here, entries(here.key(), 4, { takesMs: 60 }));
    await here.worker({ telemetry, concurrency: 4, patienceMs: 1 });
    await here.finished(jobs);
    const snoozed = events.filter(([name]) => name === 'job snoozed');
    expect(snoozed.length).toBeGreaterThan(0);
    expect(snoozed[0]?.[1]).toEqual({ 'toril.snooze.delay_ms': expect.any(Number) });
  });
});
