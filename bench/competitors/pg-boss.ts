/**
 * pg-boss with the queue policy key_strict_fifo, on PostgreSQL. That policy is new in version 12,
 * which asks for Node 22.12, so the package is no dependency of the project: whoever wants the row
 * says `npm install --no-save pg-boss@12`.
 */
import type { Site, System } from '../system.ts';
import type { Work } from '../work.ts';
import { openValues, readPlainValues } from './plain-values.ts';

/** As much of pg-boss as is used here. */
interface PgBoss {
  on(event: 'error', listener: () => void): void;
  start(): Promise<unknown>;
  stop(options: { graceful: boolean }): Promise<void>;
  createQueue(name: string, options: { policy: string }): Promise<void>;
  insert(name: string, jobs: { data: Work; singletonKey: string }[]): Promise<unknown>;
  work(
    name: string,
    options: Record<string, number | boolean>,
    handler: (jobs: { data: Work }[]) => Promise<void>,
  ): Promise<string>;
}
interface PgBossModule {
  PgBoss: new (options: Record<string, unknown>) => PgBoss;
}

/** Not a literal, so that the compiler does not ask for a package that need not be there. */
const PACKAGE: string = 'pg-boss';
/** Seconds; the least that pg-boss allows. */
const POLL_SECONDS = 0.5;
/** With fewer keys than this, a batch holds hardly more than one job: one fetcher per key instead. */
const KEYS_FOR_BATCHES = 100;
const FETCHERS = 2;

export const pgBoss: System = {
  async openProducer(site, run) {
    const boss = await openBoss(site, true);
    await boss.createQueue(run, { policy: 'key_strict_fifo' });
    return {
      async enqueue(works) {
        // Jobs of one statement have one time of creation, and so no order.
        for (const apart of withDistinctKeys(works)) {
          await boss.insert(
            run,
            apart.map((data) => ({ data, singletonKey: data.key })),
          );
        }
      },
      close: () => boss.stop({ graceful: false }),
    };
  },

  async openWorker(site, run, settings) {
    const { concurrency, keys } = settings;
    const values = await openValues(site, settings);
    const boss = await openBoss(site, false);
    const batches = keys >= KEYS_FOR_BATCHES;
    const polling = batches
      ? { localConcurrency: FETCHERS, batchSize: concurrency / FETCHERS, burstWhenBatchFull: true }
      : { localConcurrency: keys, batchSize: 1, burstWhenReadyExceeds: 1 };
    return {
      start() {
        boss
          .work(run, { ...polling, pollingIntervalSeconds: POLL_SECONDS }, async (jobs) => {
            await Promise.all(jobs.map(({ data }) => values.update(data)));
            // pg-boss completes the batch right after this and reports nothing.
            for (const { data } of jobs) settings.onCompleted(data);
          })
          .catch(settings.onFailed);
      },
      async close() {
        await boss.stop({ graceful: false });
        values.client.close();
      },
    };
  },

  readValues: readPlainValues,
};

async function openBoss({ postgres }: Site, migrate: boolean): Promise<PgBoss> {
  const { PgBoss } = (await import(PACKAGE)) as PgBossModule;
  const boss = new PgBoss({
    connectionString: postgres,
    migrate,
    schedule: false,
    // Its count of what is ready decides whether to fetch without a pause.
    superviseIntervalSeconds: 1,
    monitorIntervalSeconds: 1,
    queueCacheIntervalSeconds: 1,
  });
  boss.on('error', () => undefined);
  await boss.start();
  return boss;
}

function withDistinctKeys(works: readonly Work[]): Work[][] {
  const groups: Work[][] = [];
  let keys = new Set<string>();
  for (const work of works) {
    const group = groups.at(-1);
    if (group === undefined || keys.has(work.key)) {
      groups.push([work]);
      keys = new Set([work.key]);
    } else {
      group.push(work);
      keys.add(work.key);
    }
  }
  return groups;
}
