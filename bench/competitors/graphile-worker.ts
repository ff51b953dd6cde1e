/**
 * Graphile Worker: jobs of one named queue run one after the other, on PostgreSQL. The key is the
 * queue's name. Jobs of one queue are ordered by `runAt`, which is therefore given. Each run has a
 * schema of its own, since empty queues stay behind as rows.
 *
 * Version 0.16, since it is the faster one here: 0.17.3 fetches the next job without waiting until
 * the last one is reported as done, finds its queue still locked, and sleeps for 2 s (one key: 11
 * jobs per second against 988). Its `localQueue`, which is faster, runs jobs of one queue at the
 * same time (graphile/worker issue 621).
 */
import { EventEmitter } from 'node:events';
import { Logger, makeWorkerUtils, run as runWorker, type Runner } from 'graphile-worker';
import { Pool } from 'pg';
import type { Site, System } from '../system.ts';
import type { Work } from '../work.ts';
import { openValues, readPlainValues } from './plain-values.ts';

/** "10 or concurrentJobs + 2, whichever is larger". */
const POOL_MIN = 10;
/** Some time in the past, for the first job's `runAt`. */
const FIRST_RUN_AT_MS = Date.UTC(2020);

const TASK = 'append';

const quiet = new Logger(() => () => undefined);

export const graphileWorker: System = {
  async openProducer(site, run) {
    const utils = await makeWorkerUtils({
      connectionString: postgresOf(site),
      schema: run,
      logger: quiet,
    });
    await utils.migrate();
    return {
      async enqueue(works) {
        await Promise.all(
          works.map((work) =>
            utils.addJob(TASK, work, {
              queueName: work.key,
              runAt: new Date(FIRST_RUN_AT_MS + work.i),
            }),
          ),
        );
      },
      close: async () => utils.release(),
    };
  },

  async openWorker(site, run, settings) {
    const { concurrency } = settings;
    const values = await openValues(site, settings);
    const max = Math.max(POOL_MIN, concurrency + 2);
    const pgPool = new Pool({ connectionString: postgresOf(site), max });
    pgPool.on('error', () => undefined);
    await warmUp(pgPool, max);
    const events = new EventEmitter();
    events.on('job:success', ({ job }: { job: { payload: unknown } }) =>
      settings.onCompleted(job.payload as Work),
    );
    events.on('job:failed', ({ error }: { error: unknown }) => settings.onFailed(error));
    let running: Promise<Runner> | undefined;
    return {
      start() {
        running = runWorker({
          pgPool,
          logger: quiet,
          noHandleSignals: true,
          events,
          concurrency,
          schema: run,
          taskList: { [TASK]: (payload) => values.update(payload as Work) },
        });
        running.catch(settings.onFailed);
      },
      async close() {
        await (await running)?.stop();
        await pgPool.end();
        values.client.close();
      },
    };
  },

  readValues: readPlainValues,

  async forget(site, run) {
    const pool = new Pool({ connectionString: postgresOf(site), max: 1 });
    await pool.query(`drop schema if exists "${run}" cascade`);
    await pool.end();
  },
};

function postgresOf({ postgres }: Site): string {
  if (postgres === undefined) throw new Error('there is no PostgreSQL here');
  return postgres;
}

/** Connections are made before the clock runs. */
async function warmUp(pool: Pool, connections: number): Promise<void> {
  const clients = await Promise.all(Array.from({ length: connections }, () => pool.connect()));
  for (const client of clients) client.release();
}
