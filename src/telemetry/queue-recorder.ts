/** What a producer does. */
import type { Clock } from '../base/clock.ts';
import type { Attributes, Meters, Reading } from './metrics.ts';
import type { QueueObserver } from './observer.ts';
import type { RecorderOptions } from './recorder-options.ts';
import { operationAttributes } from './attributes.ts';
import type { Tracing } from './tracing.ts';

export class QueueRecorder implements QueueObserver {
  readonly #queue: string;
  readonly #clock: Clock;
  readonly #tracing: Tracing | undefined;
  readonly #attributes: Attributes;
  readonly #duration: ReturnType<Meters['histogram']>;
  #sent = 0;

  constructor(queue: string, { clock, meters, tracing }: RecorderOptions) {
    this.#queue = queue;
    this.#clock = clock;
    this.#tracing = tracing;
    this.#attributes = operationAttributes(queue, 'enqueue');
    this.#duration = meters.histogram('messaging.client.operation.duration', this.#attributes);
    meters.observe(() => Promise.resolve(this.#readings()));
  }

  async enqueue<T>(jobs: number, add: (trace: string | undefined) => Promise<T>): Promise<T> {
    const startedMs = this.#clock.monotonicMs();
    try {
      const added =
        this.#tracing === undefined
          ? await add(undefined)
          : await this.#tracing.enqueue(this.#queue, jobs, add);
      this.#sent += jobs;
      return added;
    } finally {
      this.#duration((this.#clock.monotonicMs() - startedMs) / 1_000);
    }
  }

  #readings(): Reading[] {
    const attributes = this.#attributes;
    return [{ metric: 'messaging.client.sent.messages', attributes, value: this.#sent }];
  }
}
