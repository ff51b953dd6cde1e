import type { Clock } from './clock.ts';

interface Waiting<Request, Reply> {
  readonly request: Request;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (cause: unknown) => void;
}

export interface GatherOptions {
  /** Requests per call, so that no script blocks Redis for long. */
  readonly atMost: number;
  /**
   * Calls under way; what comes meanwhile waits for the next. Default: any number. With 1, those who
   * call again and again fall into groups that take turns: while the server works for one, the
   * process works for another. All in one group, each would wait for the other half of the time.
   */
  readonly callsMax?: number;
}

/**
 * Serves all calls of one moment together. On all-different keys, one script call for many keys
 * instead of one each raised the prototype from 0.31 to more than half of BullMQ's no-op rate.
 */
export class Gather<Request, Reply> {
  readonly #clock: Clock;
  #limits: Required<GatherOptions>;
  readonly #serve: (requests: readonly Request[]) => Promise<readonly Reply[]>;
  readonly #waiting: Waiting<Request, Reply>[] = [];
  #calls = 0;

  constructor(
    clock: Clock,
    options: GatherOptions,
    serve: (requests: readonly Request[]) => Promise<readonly Reply[]>,
  ) {
    this.#clock = clock;
    this.#limits = limitsOf(options);
    this.#serve = serve;
  }

  /** Other options from the next call on. */
  change(options: GatherOptions): void {
    this.#limits = limitsOf(options);
  }

  call(request: Request): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, resolve, reject });
      if (this.#waiting.length === 1) this.#clock.soon(() => this.#flush());
      else if (this.#waiting.length === this.#limits.atMost) this.#flush();
    });
  }

  #flush(): void {
    const { atMost, callsMax } = this.#limits;
    while (this.#waiting.length > 0 && this.#calls < callsMax) {
      this.#send(this.#waiting.splice(0, atMost));
    }
  }

  #send(batch: Waiting<Request, Reply>[]): void {
    this.#calls++;
    this.#serve(batch.map(({ request }) => request)).then(
      (replies) => {
        this.#ended();
        for (const [at, { resolve }] of batch.entries()) resolve(replies[at] as Reply);
      },
      (cause: unknown) => {
        this.#ended();
        for (const { reject } of batch) reject(cause);
      },
    );
  }

  #ended(): void {
    this.#calls--;
    this.#flush();
  }
}

function limitsOf({
  atMost,
  callsMax = Number.POSITIVE_INFINITY,
}: GatherOptions): Required<GatherOptions> {
  return { atMost, callsMax };
}
