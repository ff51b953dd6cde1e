/** `toril worker`: works until it is told to stop. */
import { type Command, Option } from 'commander';
import { messageOf, TorilError } from '../../errors.ts';
import { WORKER_DEFAULTS } from '../../options.ts';
import { Worker } from '../../workers/worker.ts';
import { EXIT, type ExitWith } from '../terminal/exit-codes.ts';
import { noteError } from '../terminal/failure.ts';
import {
  addJsonFlag,
  addServerFlags,
  memcachedSettings,
  redisUrl,
  type ServerFlags,
  wholeNumber,
} from '../flags/flags.ts';
import { addHistoryFlags, type HistoryFlags, historyOptions } from '../flags/history-flags.ts';
import { loadUpdates } from '../flags/load-updates.ts';
import { addressToListenOn, HTTP_VARIABLE } from '../flags/http-address.ts';
import type { Listening } from '../http/listening.ts';
import { onceToldToStop } from '../terminal/signals.ts';
import { note } from '../terminal/terminal.ts';
import type { Probes } from '../fleet/probes.ts';
import { WorkerLog } from '../fleet/worker-log.ts';

const CONCURRENCY_DEFAULT = 50;
/** Milliseconds beyond closeMs for closing connections; then the process ends anyhow. */
const CLOSE_GRACE_MS = 5_000;
const HOUR_MS = 3_600_000;

interface WorkerFlags extends ServerFlags, HistoryFlags {
  readonly updates: string;
  readonly concurrency: number;
  readonly leaseMs: number;
  readonly patienceMs: number;
  readonly closeMs: number;
  readonly durableCopies: boolean;
  readonly batchJobsMax: number;
  readonly lockDurationMs?: number;
  readonly stalledIntervalMs?: number;
  readonly verifyUpdates?: boolean;
  readonly http?: Listening | false;
  readonly verbose?: boolean;
  readonly json?: boolean;
}

const EXAMPLES = `
The file exports what defineUpdate() or defineTransaction() returned: an array as default or as "updates", or one by one.
Servers that are away are waited for, and told of; the keys of the others are worked on meanwhile.
SIGTERM or Ctrl-C: begins nothing more, finishes the update in hand, gives the rest back, ends with 0.
A second one ends it at once; nothing is lost by that either.

Examples:
  toril worker --updates updates.mjs --queue accounts --concurrency 100
  toril worker --updates updates.mjs --redis redis://10.0.0.5:6379 --memcached 10.0.0.6,10.0.0.7
  toril worker --updates updates.mjs --json | tee -a worker.log
  toril worker --updates updates.mjs --http 9464`;

export function addWorkerCommand(program: Command, exitWith: ExitWith): void {
  const command = program
    .command('worker')
    .description('apply the jobs of a queue')
    .requiredOption('-u, --updates <file>', 'module with the updates (.mjs, .js)')
    .option(
      '-c, --concurrency <n>',
      'jobs at the same time',
      wholeNumber(1, 100_000),
      CONCURRENCY_DEFAULT,
    );
  const timed = addTimings(addServerFlags(command));
  addJsonFlag(addHistoryFlags(timed))
    .option('--no-durable-copies', 'keep the values in memcached only')
    .option(
      '--verify-updates',
      'for development: run each update three times, and fail what differs',
    )
    .addOption(
      new Option(
        '--http <[host:]port>',
        'answer /livez, /readyz and /metrics there (host: 127.0.0.1)',
      )
        .env(HTTP_VARIABLE)
        .argParser(addressToListenOn('--http')),
    )
    .option('-v, --verbose', 'also tell of every commit and every completed job')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: WorkerFlags) => {
      exitWith(await work(flags));
    });
}

function addTimings(command: Command): Command {
  return command
    .option(
      '--lease-ms <ms>',
      'how long a lease lasts; a dead worker is succeeded about so long after',
      wholeNumber(100, HOUR_MS),
      WORKER_DEFAULTS.leaseMs,
    )
    .option(
      '--patience-ms <ms>',
      'how long a job waits for its turn before it gives its slot back',
      wholeNumber(0, 60_000),
      WORKER_DEFAULTS.patienceMs,
    )
    .option(
      '--batch-jobs-max <n>',
      'jobs per commit at most',
      wholeNumber(1, 5_000),
      WORKER_DEFAULTS.batchJobsMax,
    )
    .option(
      '--close-ms <ms>',
      'how long stopping waits for what is being applied',
      wholeNumber(0, HOUR_MS),
      WORKER_DEFAULTS.closeMs,
    )
    .option(
      '--lock-duration-ms <ms>',
      "BullMQ's lock on a job (default: 30000)",
      wholeNumber(100, HOUR_MS),
    )
    .option(
      '--stalled-interval-ms <ms>',
      'how often BullMQ looks for jobs of dead workers (default: 30000)',
      wholeNumber(100, HOUR_MS),
    );
}

async function work(flags: WorkerFlags): Promise<number> {
  const log = new WorkerLog({ json: flags.json ?? false, verbose: flags.verbose ?? false });
  const updates = await loadUpdates(flags.updates);
  const probes = flags.http ? await probesAt(flags.http) : undefined;
  if (probes) log.write('listening', 'listening', 'info', { host: probes.host, port: probes.port });
  const worker = new Worker(flags.queue, {
    ...(probes && { observer: probes.observer }),
    connection: { url: redisUrl(flags) },
    prefix: flags.prefix,
    memcached: memcachedSettings(flags),
    updates,
    concurrency: flags.concurrency,
    leaseMs: flags.leaseMs,
    patienceMs: flags.patienceMs,
    batchJobsMax: flags.batchJobsMax,
    closeMs: flags.closeMs,
    durableCopies: flags.durableCopies,
    ...historyOptions(flags),
    verifyUpdates: flags.verifyUpdates,
    ...(flags.lockDurationMs !== undefined && { lockDuration: flags.lockDurationMs }),
    ...(flags.stalledIntervalMs !== undefined && { stalledInterval: flags.stalledIntervalMs }),
  });
  probes?.follow(worker);
  const toldToStop = new Promise<string>((resolve) => {
    onceToldToStop(resolve);
    endWithTheParent(() => resolve('parent ended'));
  });
  if (await started(worker, toldToStop)) {
    log.follow(worker);
    log.write('started', 'started', 'info', {
      queue: flags.queue,
      pid: process.pid,
      concurrency: flags.concurrency,
      updates: updates.map(({ name }) => name).join(','),
    });
  }
  log.write('stopping', 'stopping', 'info', { why: await toldToStop });
  try {
    return await stop(worker, log, flags.closeMs + CLOSE_GRACE_MS);
  } finally {
    await probes?.close();
  }
}

/** Loaded only where they are asked for. */
async function probesAt(where: Listening): Promise<Probes> {
  const { startProbes } = await import('../fleet/probes.ts');
  return startProbes(where);
}

/**
 * Servers that are away are waited for, and told of once each. False: it was told to stop meanwhile.
 * @throws TorilError what waiting cannot cure: a restart of the process tries again
 */
async function started(worker: Worker, toldToStop: Promise<unknown>): Promise<boolean> {
  const waiting = ({ server, cause }: { server: string; cause: TorilError }): void =>
    note(`waiting for ${server}: ${cause.code}: ${cause.message}`);
  worker.on('serverUnavailable', waiting);
  worker.on('error', ignore); // of the connection, once per attempt; what ends the start is thrown
  try {
    const ready = worker.waitUntilReady().then(() => true);
    return await Promise.race([ready, toldToStop.then(() => false)]);
  } catch (cause) {
    await worker.close(true);
    throw cause;
  } finally {
    worker.off('serverUnavailable', waiting);
  }
}

function ignore(): void {}

async function stop(worker: Worker, log: WorkerLog, withinMs: number): Promise<number> {
  const late = setTimeout(() => {
    noteError(
      'CLOSED',
      `not stopped within ${withinMs} ms; ending now. Whatever was under way will be done again.`,
    );
    process.exit(EXIT.checkFailed);
  }, withinMs);
  try {
    await worker.close();
  } catch (cause) {
    throw new TorilError('REDIS_FAILED', `stopping failed: ${messageOf(cause)}`, { cause });
  } finally {
    clearTimeout(late);
  }
  log.write('stopped', 'stopped', 'info', { ...worker.counts });
  return EXIT.done;
}

/** Started by another process of Node (as `toril demo` does): it must not outlive that one. */
function endWithTheParent(stopNow: () => void): void {
  if (process.channel === undefined) return;
  process.on('disconnect', stopNow);
  process.channel?.unref();
}
