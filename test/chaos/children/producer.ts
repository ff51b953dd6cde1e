/**
 * A producer of the chaos: a few streams, each of which asks for one job, one bulk for one key or one flow
 * after the other and waits for the answer. Jobs with an id of their own are asked for again until
 * there is an answer; others only once, since a second one would be another job.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { FlowProducer } from 'bullmq';
import { messageOf } from '../../../src/errors.ts';
import type { AnyUpdate } from '../../../src/index.ts';
import { Queue } from '../../../src/index.ts';
import type { Operation } from '../history.ts';
import { type Data, updatesWith } from '../workload.ts';
import { Draws } from './draws.ts';
import { orders, ready, recorder, redisConnection, serve } from './orders.ts';
import { Scheduler } from './scheduler.ts';

const STREAMS = 5;
const PAUSE_MS = [15, 600] as const;
const AGAIN_MS = 50;
/** Jobs in the queue, all producers' together, above which nobody asks for more: what the drain must bear. */
const BACKLOG_MAX = 100;
const SLOW_MS = [1, 250] as const;

const updates = new Map(updatesWith(() => undefined).map((update) => [update.name, update]));
const queue = new Queue(orders.queue, {
  connection: redisConnection,
  updates: [...updates.values()],
});
queue.on('error', () => undefined);
/** BullMQ's own: its jobs enter their lanes when they are first delivered. */
let flows = openFlows();

function openFlows(): FlowProducer {
  const opened = new FlowProducer({ connection: redisConnection });
  opened.on('error', () => undefined);
  return opened;
}

/**
 * It adds by transactions. Once Redis has lost its scripts, each of them fails with NOSCRIPT, for ever (tried for 75 s), so who
 * uses it opens another one.
 */
function replaceFlows(failed: FlowProducer): void {
  if (failed !== flows) return;
  flows = openFlows();
  void failed.close().catch(() => undefined);
}

class Stream {
  readonly #draws: Draws;
  #isResting = false;
  #running: Promise<void> = Promise.resolve();

  constructor(index: number) {
    this.#draws = new Draws(orders.seed, `${orders.name}-s${index}`, orders.keys);
  }

  go(): void {
    this.#isResting = false;
    this.#running = this.#run();
  }

  async rest(): Promise<void> {
    this.#isResting = true;
    await this.#running;
  }

  /** One plain job for each key. */
  async touch(): Promise<void> {
    for (const key of orders.keys) await this.#ask([this.#draws.touch(key)]);
  }

  async #run(): Promise<void> {
    while (!this.#isResting) {
      if (await hasRoom()) await this.#ask(this.#draws.next());
      await sleep(this.#draws.dice.magnitude(...PAUSE_MS));
    }
  }

  /** A parent is the last of its flow. */
  async #ask(operations: readonly Operation[]): Promise<void> {
    const jobs = operations.map((operation) => ({
      operation,
      data: {
        ...operation,
        ms: Math.round(this.#draws.dice.magnitude(...SLOW_MS)),
      } satisfies Data,
      options: {
        attempts: operation.attempts,
        backoff: 30,
        ...(operation.named && { jobId: operation.op }),
        ...(operation.delayMs && { delay: operation.delayMs }),
      },
    }));
    const add = operations.at(-1)?.way === 'parent' ? addFlow : addBulk;
    for (;;) {
      // Again, too: a job that a stock client removed meanwhile is another one.
      for (const operation of operations) recorder.note({ e: 'asked', ...operation });
      try {
        const ids = await add(jobs);
        operations.forEach(({ op }, at) =>
          recorder.note({ e: 'enqueued', op, jobId: ids[at] as string }),
        );
        return;
      } catch {
        if (operations[0]?.named !== true) return;
        await sleep(AGAIN_MS);
      }
    }
  }
}

interface Wanted {
  readonly operation: Operation;
  readonly data: Data;
  readonly options: object;
}

async function addBulk(wanted: readonly Wanted[]): Promise<(string | undefined)[]> {
  const bulk = wanted.map(({ operation, data, options }) => ({
    update: updates.get(operation.update) as AnyUpdate,
    data,
    options,
  }));
  return (await queue.enqueueBulk(bulk)).map(({ id }) => id);
}

async function addFlow(wanted: readonly Wanted[]): Promise<(string | undefined)[]> {
  const nodes = wanted.map(({ operation, data, options }) => ({
    name: operation.update,
    queueName: orders.queue,
    data,
    opts: options,
  }));
  const used = flows;
  try {
    await used.add({ ...(nodes.at(-1) as (typeof nodes)[0]), children: nodes.slice(0, -1) });
  } catch (thrown) {
    if (messageOf(thrown).startsWith('NOSCRIPT')) replaceFlows(used);
    throw thrown;
  }
  return wanted.map(({ operation }) => operation.op);
}

async function hasRoom(): Promise<boolean> {
  try {
    return (await queue.getJobCountByTypes('wait', 'active', 'delayed')) < BACKLOG_MAX;
  } catch {
    return false;
  }
}

const streams = Array.from({ length: STREAMS }, (_, index) => new Stream(index));
const scheduler = new Scheduler(queue);
serve(async (order) => {
  if (order === 'go') {
    streams.forEach((stream) => stream.go());
    scheduler.go();
  }
  if (order === 'rest' || order === 'close') {
    await Promise.all([...streams.map((stream) => stream.rest()), scheduler.rest()]);
  }
  if (order === 'touch') await streams[0]?.touch();
  if (order === 'close') await Promise.all([queue.close(), flows.close()]);
});
ready();
