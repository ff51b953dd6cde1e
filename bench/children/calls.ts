/** Calls between the bench and its child processes, over Node's own channel. */
import type { ChildProcess } from 'node:child_process';

interface Call {
  readonly call: number;
  readonly method: string;
  readonly argument: unknown;
}

interface Answer {
  readonly answer: number;
  readonly value?: unknown;
  readonly error?: string;
}

interface Notice {
  readonly notice: unknown;
}

/** Each method knows its own argument. */
export type Methods = Readonly<Record<string, (argument: never) => unknown>>;

/** The child's side: answers calls until the bench is gone. */
export function serve(methods: Methods): void {
  process.on('message', (message) => void answer(methods, message as Call));
  process.on('disconnect', () => process.exit());
}

async function answer(methods: Methods, { call, method, argument }: Call): Promise<void> {
  try {
    const value = await methods[method]?.(argument as never);
    process.send?.({ answer: call, value } satisfies Answer);
  } catch (thrown) {
    const error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    process.send?.({ answer: call, error } satisfies Answer);
  }
}

/** The child's side: tells something without being asked. */
export function notify(notice: unknown): void {
  process.send?.({ notice } satisfies Notice);
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (cause: Error) => void;
}

/** The bench's side. */
export class Caller {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #calls = 0;

  constructor(child: ChildProcess, onNotice: (notice: unknown) => void) {
    this.#child = child;
    child.on('message', (message: Answer | Notice) => {
      if ('notice' in message) onNotice(message.notice);
      else this.#settle(message);
    });
  }

  call(method: string, argument?: unknown): Promise<unknown> {
    const call = ++this.#calls;
    return new Promise((resolve, reject) => {
      this.#waiting.set(call, { resolve, reject });
      this.#child.send({ call, method, argument } satisfies Call, (failed) => {
        if (failed) this.#settle({ answer: call, error: failed.message });
      });
    });
  }

  /** The child is gone: so is everything that was asked of it. */
  fail(cause: Error): void {
    for (const { reject } of this.#waiting.values()) reject(cause);
    this.#waiting.clear();
  }

  #settle({ answer, value, error }: Answer): void {
    const waiting = this.#waiting.get(answer);
    this.#waiting.delete(answer);
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(new Error(error));
  }
}
