/** A job scheduler of BullMQ's, which is there while its producer is at work. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Queue } from '../../../src/index.ts';
import type { Operation } from '../history.ts';
import type { Data } from '../workload.ts';
import { orders, recorder } from './orders.ts';

const EVERY_MS = 400;
const AGAIN_MS = 50;

export class Scheduler {
  readonly #queue: Queue;
  /** Of all incarnations of this producer. */
  readonly #id: string = `${orders.name.replace(/\.\d+$/, '')}-ticks`;
  #isResting = true;
  #upserting: Promise<void> = Promise.resolve();

  constructor(queue: Queue) {
    this.#queue = queue;
  }

  go(): void {
    this.#isResting = false;
    this.#upserting = this.#upsert();
  }

  /** Resolves once there is none any more. */
  async rest(): Promise<void> {
    this.#isResting = true;
    await this.#upserting;
    await this.#until(() => this.#queue.removeJobScheduler(this.#id));
  }

  async #upsert(): Promise<void> {
    const operation: Operation = {
      op: `${orders.name}-ticks`,
      key: orders.keys[1] as string,
      update: 'append',
      named: false,
      failures: 0,
      attempts: 1,
      way: 'scheduled',
    };
    recorder.note({ e: 'asked', ...operation });
    const data: Data = { ...operation, ms: 0 };
    await this.#until(() =>
      this.#isResting
        ? Promise.resolve()
        : this.#queue.upsertJobScheduler(
            this.#id,
            { every: EVERY_MS },
            { name: operation.update, data },
          ),
    );
  }

  async #until(act: () => Promise<unknown>): Promise<void> {
    for (;;) {
      try {
        await act();
        return;
      } catch {
        await sleep(AGAIN_MS);
      }
    }
  }
}
