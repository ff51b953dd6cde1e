/** `toril status`: a queue in numbers: its backlog, its keys, its workers. */
import type { Command } from 'commander';
import { durationText } from '../../../base/duration-text.ts';
import type { LaneCounts, LaneHead } from '../../../jobs/reports/lane-report.ts';
import { isSilent } from '../../../jobs/reports/lane-views.ts';
import type { RegisteredWorker } from '../../../jobs/redis/registered-workers.ts';
import {
  addJsonFlag,
  addQueueFlags,
  addRedisFlags,
  type QueueFlags,
  type RedisFlags,
} from '../../flags/flags.ts';
import { asking, closeQuietly, openExistingQueue } from '../../servers/connections.ts';
import { EXIT, type ExitWith } from '../../terminal/exit-codes.ts';
import { grouped, plain, print, printJson, sheet } from '../../terminal/terminal.ts';

interface StatusFlags extends QueueFlags, RedisFlags {
  readonly json?: boolean;
}

export function addStatusCommand(program: Command, exitWith: ExitWith): void {
  const command = program
    .command('status')
    .description("show a queue's backlog, its keys and its workers");
  addJsonFlag(addRedisFlags(addQueueFlags(command))).action(async (flags: StatusFlags) => {
    exitWith(await status(flags));
  });
}

async function status(flags: StatusFlags): Promise<number> {
  const queue = await openExistingQueue(flags);
  try {
    const [counts, workers] = await Promise.all([
      asking(queue.laneCounts()),
      asking(queue.inRedis.workers.all()),
    ]);
    if (flags.json === true) printJson({ queue: queue.name, ...counts, workers });
    else print(statusSheet(queue.name, counts, workers));
    return EXIT.done;
  } finally {
    await closeQuietly(queue);
  }
}

function statusSheet(
  name: string,
  counts: LaneCounts,
  workers: readonly RegisteredWorker[],
): string {
  const silent = workers.filter(isSilent).length;
  const living = workers.length - silent;
  return sheet([
    ['queue', counts.paused ? `${name} (paused)` : name],
    ['jobs waiting', counts.waiting],
    ['jobs active', counts.active],
    ['jobs delayed', counts.delayed],
    ['keys with jobs', counts.keys],
    ['keys held', counts.held],
    ['oldest job', headText(counts.oldestRunnable)],
    ['oldest held job', counts.held === 0 ? 'none' : headText(counts.oldest)],
    [
      'workers',
      silent === 0 ? grouped(living) : `${grouped(living)}, and ${grouped(silent)} silent`,
    ],
  ]);
}

function headText(head: LaneHead | undefined): string {
  if (head === undefined) return 'none';
  return `${durationText(head.ageMs)}: job ${plain(head.jobId)} of ${plain(head.key)}`;
}
