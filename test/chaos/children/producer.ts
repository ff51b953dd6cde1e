/**
 * A producer of the chaos: a few streams, each of which asks for one job (or one bulk for one key)
 * after the other and waits for the answer. Jobs with an id of their own are asked for again until
 * there is an answer; others only once, since a second one would be another job.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AnyUpdate } from '../../../src/index.ts';
import { Queue } from '../../../src/index.ts';
import { Dice } from '../../simulation/dice.ts';
import type { Operation, UpdateName } from '../history.ts';
import { type Data, updatesWith } from '../workload.ts';
import { orders, ready, recorder, redisConnection, serve } from './orders.ts';

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

class Stream {
  readonly #dice: Dice;
  readonly #name: string;
  #asked = 0;
  #isResting = false;
  #running: Promise<void> = Promise.resolve();

  constructor(index: number) {
    this.#name = `${orders.name}-s${index}`;
    this.#dice = new Dice(orders.seed, this.#name);
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
    for (const key of orders.keys) await this.#ask([this.#operation(key, true, 'append', 0)]);
  }

  async #run(): Promise<void> {
    while (!this.#isResting) {
      if (await hasRoom()) await this.#ask(this.#draw());
      await sleep(this.#dice.magnitude(...PAUSE_MS));
    }
  }

  #draw(): Operation[] {
    const dice = this.#dice;
    const key = dice.chance(0.25) ? (orders.keys[0] as string) : dice.pick(orders.keys);
    const named = dice.chance(0.7);
    const count = dice.chance(0.15) ? dice.whole(2, 8) : 1;
    return Array.from({ length: count }, () => {
      const kind = dice.fraction();
      const update = kind < 0.7 ? 'append' : kind < 0.8 ? 'slow' : kind < 0.9 ? 'strict' : 'skip';
      const failures = dice.chance(0.06) ? dice.whole(1, 3) : 0;
      return this.#operation(key, named, update, failures);
    });
  }

  #operation(key: string, named: boolean, update: UpdateName, failures: number): Operation {
    const attempts = failures > 0 ? 3 : 1;
    return { op: `${this.#name}-${this.#asked++}`, key, named, update, failures, attempts };
  }

  async #ask(operations: readonly Operation[]): Promise<void> {
    for (const operation of operations) recorder.note({ e: 'asked', ...operation });
    const bulk = operations.map((operation) => {
      const { op, named, update, attempts } = operation;
      return {
        update: updates.get(update) as AnyUpdate,
        data: { ...operation, ms: Math.round(this.#dice.magnitude(...SLOW_MS)) } satisfies Data,
        options: { attempts, backoff: 30, ...(named && { jobId: op }) },
      };
    });
    for (;;) {
      try {
        const jobs = await queue.enqueueBulk(bulk);
        operations.forEach(({ op }, at) =>
          recorder.note({ e: 'enqueued', op, jobId: jobs[at]?.id as string }),
        );
        return;
      } catch {
        if (operations[0]?.named !== true) return;
        await sleep(AGAIN_MS);
      }
    }
  }
}

async function hasRoom(): Promise<boolean> {
  try {
    return (await queue.getJobCountByTypes('wait', 'active', 'delayed')) < BACKLOG_MAX;
  } catch {
    return false;
  }
}

const streams = Array.from({ length: STREAMS }, (_, index) => new Stream(index));
serve(async (order) => {
  if (order === 'go') streams.forEach((stream) => stream.go());
  if (order === 'rest' || order === 'close') {
    await Promise.all(streams.map((stream) => stream.rest()));
  }
  if (order === 'touch') await streams[0]?.touch();
  if (order === 'close') await queue.close();
});
ready();
