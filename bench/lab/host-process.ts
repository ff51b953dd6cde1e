/** A process that hosts clients of a scheme, or a worker of one that has a queue. */
import { cellName, lockName } from '../../src/memcached/item-names.ts';
import { serve } from '../children/calls.ts';
import { backOff } from '../competitors/backoff.ts';
import { openValues } from '../competitors/plain-values.ts';
import { MemcachedClient } from '../memcached-client.ts';
import { monotonicMs } from '../monotonic-clock.ts';
import type { Site } from '../system.ts';
import { systemEntry } from '../systems.ts';
import { append, emptyValue, type Value, type Work } from '../work.ts';
import { EvidenceFile } from './evidence.ts';
import { type Evictable, type FaultPlan, Faults } from './faults.ts';
import { openQueueClients } from './queue-clients.ts';
import { type DirectUpdate, lockOf } from './scheme.ts';
import { type SchemeName, schemeOf } from './schemes/schemes.ts';

export interface LabSite extends Site {
  /** host:port of the second memcached. */
  readonly elsewhere: string;
}

interface HostOrder {
  /** Of this process; names its evidence. */
  readonly name: string;
  readonly scheme: SchemeName;
  readonly site: LabSite;
  readonly queue: string;
  readonly key: string;
  readonly plan: FaultPlan;
}

export interface ClientsOrder extends HostOrder {
  /** Milliseconds between two attempts at a lock, at most. */
  readonly longestPauseMs: number;
  /** The numbers of the updates that each client makes, one after the other. */
  readonly clients: readonly (readonly number[])[];
}

export interface WorkerOrder extends HostOrder {
  readonly concurrency: number;
}

type Change = (value: Value, work: Work) => Value | Promise<Value>;

/** What all schemes do to the value. */
async function openChange({ scheme, site, key, plan }: HostOrder, evidence: EvidenceFile) {
  const here = await MemcachedClient.connect(site.memcached);
  const elsewhere = await MemcachedClient.connect(site.elsewhere);
  const isOurs = schemeOf(scheme).lock === 'ours';
  const locks: Record<ReturnType<typeof schemeOf>['lock'], Evictable['lock']> = {
    'beside the value': [here, lockOf(key)],
    elsewhere: [elsewhere, lockOf(key)],
    ours: [here, lockName(key)],
    none: undefined,
  };
  const faults = new Faults(plan, {
    value: [here, isOurs ? cellName(key) : key],
    lock: locks[schemeOf(scheme).lock],
  });
  const change: Change = (value, work) => {
    const changed = append(value, work);
    evidence.step(value.hash, work.i, changed.hash);
    return faults.strike(work.i)?.then(() => changed) ?? changed;
  };
  return change;
}

let runAll: () => Promise<void> = () => Promise.reject(new Error('no clients are open'));

/** Connects the clients; they do nothing yet. */
async function openClients(order: ClientsOrder): Promise<void> {
  const evidence = new EvidenceFile(order.plan.folder, order.name);
  const { update } = schemeOf(order.scheme);
  runAll = update
    ? await openDirectClients(order, evidence, update)
    : await openQueueClients(order, evidence);
}

async function openDirectClients(
  order: ClientsOrder,
  evidence: EvidenceFile,
  update: DirectUpdate,
): Promise<() => Promise<void>> {
  const { site, key, plan, clients, longestPauseMs } = order;
  const pause = (attempt: number) => backOff(attempt, longestPauseMs);
  const change = await openChange(order, evidence);
  const benches = await Promise.all(
    clients.map(async () => ({
      values: await openValues(site, { initial: () => emptyValue(), change }),
      elsewhere: await MemcachedClient.connect(site.elsewhere),
      lockSeconds: plan.lockMs / 1_000,
      pause,
    })),
  );
  const runOne = async (numbers: readonly number[], at: number): Promise<void> => {
    const bench = benches[at] as (typeof benches)[number];
    for (const i of numbers) {
      const startedMs = monotonicMs();
      await bench.values.client.get(key); // it looks at the value first: so it is there
      evidence.arrived(i, startedMs, monotonicMs());
      await update(bench, { key, i });
      evidence.done(i, monotonicMs());
    }
  };
  return async () => void (await Promise.all(clients.map(runOne)));
}

/** Works until it is killed. */
async function work(order: WorkerOrder): Promise<void> {
  const { scheme, site, queue, plan, concurrency } = order;
  const evidence = new EvidenceFile(plan.folder, order.name);
  const name = schemeOf(scheme).queue;
  if (name === undefined) throw new Error(`${scheme} has no workers`);
  const system = await systemEntry(name).load();
  const worker = await system.openWorker(site, queue, {
    concurrency,
    keys: 1,
    strict: false,
    history: false,
    lockMs: plan.lockMs,
    initial: () => emptyValue(),
    change: await openChange(order, evidence),
    onCompleted: () => undefined,
    onFailed: () => undefined, // its client hears of it, and tries again
  });
  worker.start();
}

serve({
  openClients,
  /** Resolves when all clients have made all their updates. */
  runClients: () => runAll(),
  work,
});
