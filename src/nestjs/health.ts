/** Whether the application's queues and workers have their servers, in the shape that @nestjs/terminus takes. */
import type { DiscoveryService } from '@nestjs/core';
import { systemClock, settlesWithin } from '../base/clock.ts';
import { messageOf } from '../errors.ts';
import { Queue } from '../jobs/queue.ts';
import { Worker } from '../workers/worker.ts';

/** Milliseconds for a queue's Redis to answer. */
const ANSWER_MS = 1_000;

export interface TorilHealthPart {
  readonly status: 'up' | 'down';
  /** What is wrong. */
  readonly message?: string;
}

export class TorilHealthIndicator {
  readonly #discovery: DiscoveryService;

  constructor(discovery: DiscoveryService) {
    this.#discovery = discovery;
  }

  /**
   * `down` if a worker has given up or cannot reach a server that it needs, or a queue's Redis does not answer within a
   * second. Says what is wrong with each, by its queue's name. Never rejects.
   */
  async isHealthy<const Key extends string = 'toril'>(
    key: Key = 'toril' as Key,
  ): Promise<Record<Key, TorilHealthPart & Readonly<Record<string, unknown>>>> {
    const instances = new Set(
      this.#discovery.getProviders().map(({ instance }) => instance as unknown),
    );
    const parts: Record<string, TorilHealthPart> = {};
    await Promise.all(
      [...instances].map(async (one) => {
        if (one instanceof Worker) parts[`worker ${one.name}`] = healthOfWorker(one);
        if (one instanceof Queue) parts[`queue ${one.name}`] = await healthOfQueue(one);
      }),
    );
    const isDown = Object.values(parts).some(({ status }) => status === 'down');
    const health = { status: isDown ? 'down' : 'up', ...parts } as const;
    return { [key]: health } as unknown as Record<
      Key,
      TorilHealthPart & Readonly<Record<string, unknown>>
    >;
  }
}

function healthOfWorker(worker: Worker): TorilHealthPart {
  const { state, cause, servers } = worker.status();
  if (state === 'stopped') return down(cause?.message ?? 'it has stopped');
  const missing = servers.filter(({ available }) => !available);
  if (missing.length === 0) return { status: 'up' };
  return down(
    missing
      .map((one) => one.cause?.message ?? `there is no connection to ${one.server}.`)
      .join(' '),
  );
}

async function healthOfQueue(queue: Queue): Promise<TorilHealthPart> {
  let problem = `Redis has not answered within ${ANSWER_MS} ms`;
  let answered = false;
  const asking = queue.getJobCounts('active').then(
    () => {
      answered = true;
    },
    (error: unknown) => {
      problem = messageOf(error);
    },
  );
  await settlesWithin(systemClock, ANSWER_MS, asking);
  return answered ? { status: 'up' } : down(problem);
}

const down = (message: string): TorilHealthPart => ({ status: 'down', message });
