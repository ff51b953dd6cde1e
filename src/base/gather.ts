import type { Clock } from './clock.ts';

interface Waiting<Request, Reply> {
  readonly request: Request;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (cause: unknown) => void;
}

/**
 * Serves all calls of one moment together. On all-different keys, one script call for many keys
 * instead of one each raised the prototype from 0.31 to more than half of BullMQ's no-op rate.
 */
export class Gather<Request, Reply> {
  readonly #clock: Clock;
  readonly #atMost: number;
  readonly #serve: (requests: readonly Request[]) => Promise<readonly Reply[]>;
  #waiting: Waiting<Request, Reply>[] = [];

  /** @param atMost requests per call, so that no script blocks Redis for long */
  constructor(
    clock: Clock,
    atMost: number,
    serve: (requests: readonly Request[]) => Promise<readonly Reply[]>,
  ) {
    this.#clock = clock;
    this.#atMost = atMost;
    this.#serve = serve;
  }

  call(request: Request): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, resolve, reject });
      if (this.#waiting.length === 1) this.#clock.soon(() => this.#flush());
      else if (this.#waiting.length % this.#atMost === 0) this.#send(this.#waiting.splice(0));
    });
  }

  #flush(): void {
    if (this.#waiting.length > 0) this.#send(this.#waiting.splice(0));
  }

  #send(batch: Waiting<Request, Reply>[]): void {
    this.#serve(batch.map(({ request }) => request)).then(
      (replies) => batch.forEach(({ resolve }, index) => resolve(replies[index] as Reply)),
      (cause: unknown) => batch.forEach(({ reject }) => reject(cause)),
    );
  }
}
