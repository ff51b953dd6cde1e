/**
 * The same queue and the same keys in another data set: a second `db` of the same Redis, as staging beside
 * production, by mistake on the same memcached. What its updates see and make is written down.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue, Worker } from '../../../src/index.ts';
import { Dice } from '../../simulation/dice.ts';
import { updatesWith } from '../workload.ts';
import { memcached, orders, ready, recorder, redisConnection, serve } from './orders.ts';

const DB = 1;
const PAUSE_MS = [10, 200] as const;
const BACKLOG_MAX = 30;
const connection = { ...redisConnection, db: DB };
const dice = new Dice(orders.seed, orders.name);
const updates = updatesWith(({ key, saw, made }) =>
  recorder.note({ e: 'strange', key, saw, ...(made && { made }) }),
);
const [append] = updates;
const queue = new Queue(orders.queue, { connection, updates });
queue.on('error', () => undefined);

let isResting = true;
let running: Promise<void> = Promise.resolve();
let asked = 0;

async function work(): Promise<void> {
  const worker = new Worker(orders.queue, {
    connection,
    memcached,
    updates,
    concurrency: 8,
    leaseMs: 1_000,
    lockDuration: 2_000,
    stalledInterval: 1_000,
    blockedMs: 50,
    closeMs: 500,
  });
  worker.on('error', () => undefined);
  while (!isResting) {
    await ask().catch(() => undefined);
    await sleep(dice.magnitude(...PAUSE_MS));
  }
  await worker.close();
}

async function ask(): Promise<void> {
  if ((await queue.getJobCountByTypes('wait', 'delayed')) >= BACKLOG_MAX) return;
  const key = dice.pick(orders.keys);
  const op = `${orders.name}-${asked++}`;
  const operation = { op, key, named: false, update: 'append', failures: 0, attempts: 1 } as const;
  if (append !== undefined) await queue.enqueue(append, { ...operation, ms: 0 });
}

serve(async (order) => {
  if (order === 'go') {
    isResting = false;
    running = work();
  }
  if (order === 'rest' || order === 'close') {
    isResting = true;
    await running;
  }
  if (order === 'close') await queue.close();
});
ready();
