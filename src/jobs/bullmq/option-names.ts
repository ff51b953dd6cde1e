/** What BullMQ's options are called: a name that is nearly one of them is misspelt (`refuseMisspelt`). */
import type { QueueBaseOptions, QueueOptions, WorkerOptions } from 'bullmq';

type Names<Options> = Record<keyof Options, true>;

const BASE: Names<QueueBaseOptions> = {
  ...{ connection: true, blockingConnection: true, skipVersionCheck: true, telemetry: true },
  skipWaitingForReady: true,
};

export const QUEUE_OPTIONS: readonly string[] = Object.keys({
  ...BASE,
  ...{ prefix: true, defaultJobOptions: true, streams: true, skipMetasUpdate: true },
  settings: true,
} satisfies Names<QueueOptions>);

export const WORKER_OPTIONS: readonly string[] = Object.keys({
  ...BASE,
  ...{ name: true, autorun: true, concurrency: true, limiter: true, metrics: true },
  ...{ maximumRateLimitDelay: true, maxStartedAttempts: true, maxStalledCount: true },
  ...{ stalledInterval: true, removeOnComplete: true, removeOnFail: true, skipStalledCheck: true },
  ...{ skipLockRenewal: true, drainDelay: true, lockDuration: true, lockRenewTime: true },
  ...{ runRetryDelay: true, settings: true, useWorkerThreads: true, prefix: true },
  ...{ workerForkOptions: true, workerThreadsOptions: true },
} satisfies Names<WorkerOptions>);
