/** A worker of the chaos. Whatever its updates see and make, and what becomes of jobs, is written down at once. */
import { type WorkerEventName, Worker } from '../../../src/index.ts';
import type { Value } from '../history.ts';
import { takeGuardAway } from '../twins.ts';
import { updatesWith } from '../workload.ts';
import { memcached, orders, ready, recorder, redisConnection, serve } from './orders.ts';

/** Everything that is noted; `jobSnoozed` and `unavailable` would only fill the disk. */
const NOTED: readonly WorkerEventName[] = [
  'leaseTakenOver',
  'leaseLost',
  'commitRefused',
  'acknowledgementRefused',
  'commitRecovered',
  'cellRestored',
  'cellLost',
  'laneHeld',
  'updateUnknown',
];

function open(): Worker {
  const worker = new Worker(orders.queue, {
    connection: redisConnection,
    memcached,
    updates: updatesWith((call) => recorder.note({ e: 'called', ...call })),
    concurrency: 16,
    // What takes half a minute in production takes a second here.
    leaseMs: 1_000,
    lockDuration: 2_000,
    stalledInterval: 1_000,
    blockedMs: 50,
    closeMs: 2_000,
    // Any job may be in a process that is killed, again and again: that is not its own failure.
    stallsMax: 1_000,
    history: 'on',
    historyLengthMax: 1_000_000,
  });
  worker.on('error', () => undefined);
  worker.on('completed', ({ id }, result) =>
    recorder.note({ e: 'completed', jobId: id as string, result: result as Value }),
  );
  worker.on('failed', (job, { message }) =>
    recorder.note({ e: 'failed', jobId: job?.id as string, reason: message }),
  );
  for (const name of NOTED) {
    worker.on(name, ({ key = '', ...more }: { key?: string | undefined }) =>
      recorder.note({ e: 'gate', name, key, more: JSON.stringify(more) }),
    );
  }
  return worker;
}

if (orders.twin !== undefined) takeGuardAway(orders.twin);
const worker = open();
serve(async (order) => {
  if (order === 'close') await worker.close();
});
ready();
await worker.waitUntilReady();
