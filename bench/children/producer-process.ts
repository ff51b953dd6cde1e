/** A process that fills queues, at once or at a steady pace, and reads and deletes values. */
import { setTimeout as sleep } from 'node:timers/promises';
import { MemcachedClient } from '../memcached-client.ts';
import { monotonicMs } from '../monotonic-clock.ts';
import type { Producer, ProducerSettings, Site } from '../system.ts';
import { type SystemName, systemEntry } from '../systems.ts';
import { type Plan, type Work, keyAt, workAt } from '../work.ts';
import { serve } from './calls.ts';

export interface ProducerOrder {
  readonly system: SystemName;
  readonly site: Site;
  readonly plan: Plan;
}

export interface FillOrder extends ProducerOrder {
  readonly from: number;
  readonly to: number;
  readonly settings: ProducerSettings;
}

export interface Filled {
  readonly ms: number;
  readonly cpuSeconds: number;
  readonly peakRssBytes: number;
}

export interface PaceOrder extends ProducerOrder {
  readonly jobs: number;
  readonly perSecond: number;
}

export interface KeysOrder extends ProducerOrder {
  /** The first so many keys of the plan. */
  readonly keys: number;
}

/** Jobs per call: what people do with a large bulk. */
const JOBS_PER_BULK = 1_000;
/** Keys per look at memcached. */
const KEYS_PER_READ = 5_000;
const TICK_MS = 1;

async function withProducer<T>(
  { system, site, plan }: ProducerOrder,
  settings: ProducerSettings,
  use: (producer: Producer) => Promise<T>,
): Promise<T> {
  const loaded = await systemEntry(system).load();
  const producer = await loaded.openProducer(site, plan.run, settings);
  try {
    return await use(producer);
  } finally {
    await producer.close();
  }
}

function fill(order: FillOrder): Promise<Filled> {
  const { plan, from, to, settings } = order;
  return withProducer(order, settings, async (producer) => {
    const cpu = process.cpuUsage();
    const startedMs = performance.now();
    for (let first = from; first < to; first += JOBS_PER_BULK) {
      const works: Work[] = [];
      const end = Math.min(to, first + JOBS_PER_BULK);
      for (let i = first; i < end; i++) works.push(workAt(plan, i));
      await producer.enqueue(works);
    }
    const ms = performance.now() - startedMs;
    const { user, system } = process.cpuUsage(cpu);
    const peakRssBytes = process.resourceUsage().maxRSS * 1024;
    return { ms, cpuSeconds: (user + system) / 1e6, peakRssBytes };
  });
}

/** Adds each job when it is due, not when the one before has been added; late jobs count as due. */
function pace(order: PaceOrder): Promise<void> {
  const { plan, jobs, perSecond } = order;
  return withProducer(order, {}, async (producer) => {
    const startMs = monotonicMs();
    const adding: Promise<void>[] = [];
    let failed: unknown;
    for (let i = 0; i < jobs; ) {
      for (; i < jobs; i++) {
        const at = startMs + (i * 1000) / perSecond;
        if (at > monotonicMs()) break;
        const added = producer.enqueue([{ ...workAt(plan, i), at }]);
        added.catch((cause: unknown) => (failed ??= cause));
        adding.push(added);
      }
      if (failed !== undefined) break;
      await sleep(TICK_MS);
    }
    await Promise.all(adding);
  });
}

/** What the audit needs of each value; undefined as a whole if the system keeps none. */
async function read({
  system,
  site,
  plan,
  keys,
}: KeysOrder): Promise<{ hashes: (number | undefined)[]; text: string | undefined } | undefined> {
  const { readValues } = await systemEntry(system).load();
  if (readValues === undefined) return undefined;
  const hashes: (number | undefined)[] = [];
  let text: string | undefined;
  for (const names of keysInGroups(plan, keys)) {
    const values = await readValues(site, names);
    text ??= values[0]?.text;
    hashes.push(...values.map((value) => value?.hash));
  }
  return { hashes, text };
}

/** Deletes the run's values, so that a long bench does not fill memcached. */
async function forget({ system, site, plan, keys }: KeysOrder): Promise<void> {
  const loaded = await systemEntry(system).load();
  await loaded.forget?.(site, plan.run);
  const client = await MemcachedClient.connect(site.memcached);
  for (const names of keysInGroups(plan, keys)) {
    await Promise.all(names.map((name) => client.delete(name)));
  }
  client.close();
}

function* keysInGroups(plan: Plan, keys: number): Generator<string[]> {
  for (let first = 0; first < keys; first += KEYS_PER_READ) {
    const length = Math.min(KEYS_PER_READ, keys - first);
    yield Array.from({ length }, (_, index) => keyAt(plan, first + index));
  }
}

serve({ fill, pace, read, forget });
