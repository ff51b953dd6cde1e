/** What an update is told besides value and data. Made once per job: what costs something is made when it is asked for. */
import { messageOf } from '../errors.ts';
import { seededFraction, seededUuid } from '../base/random.ts';
import type { UpdateContext } from './update.ts';

export interface ApplyFacts {
  readonly key: string;
  readonly jobId: string;
  readonly token: number;
  readonly sequence: number;
  readonly attempt: number;
}

/**
 * The signal of one call. A controller of its own, and not `AbortSignal.any`: on Node 20 such a signal stays in
 * memory for ever once somebody listens to it, 1.2 KB per job. Whoever aborts it forgets it when the call is over.
 */
export class CallSignal {
  #controller: AbortController | undefined;
  #abortion: { readonly reason: unknown } | undefined;

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortion !== undefined) this.#controller.abort(this.#abortion.reason);
    }
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#abortion ??= { reason };
    this.#controller?.abort(reason);
  }
}

export class Context implements UpdateContext {
  readonly #facts: ApplyFacts;
  readonly #signal: () => AbortSignal;
  readonly #log: (row: string) => void;
  #fraction: (() => number) | undefined;
  #ids = 0;

  constructor(facts: ApplyFacts, signal: () => AbortSignal, log: (row: string) => void) {
    this.#facts = facts;
    this.#signal = signal;
    this.#log = log;
  }

  get key(): string {
    return this.#facts.key;
  }
  get jobId(): string {
    return this.#facts.jobId;
  }
  get token(): number {
    return this.#facts.token;
  }
  get sequence(): number {
    return this.#facts.sequence;
  }
  get attempt(): number {
    return this.#facts.attempt;
  }
  /** A sequence is the time in µs at which the job entered, unless many entered in one µs. */
  get now(): number {
    return Math.floor(this.#facts.sequence / 1000);
  }
  get signal(): AbortSignal {
    return this.#signal();
  }
  // Functions, not methods: updates write `{ random, id, log }` and call them on their own.
  get random(): () => number {
    this.#fraction ??= seededFraction(this.#seed());
    return this.#fraction;
  }
  get id(): () => string {
    return () => seededUuid(`${this.#seed()}\n${this.#ids++}`);
  }
  get log(): (row: string) => void {
    return (row: unknown) => this.#log(typeof row === 'string' ? row : messageOf(row));
  }
  #seed(): string {
    const { key, jobId, sequence } = this.#facts;
    return `${key}\n${jobId}\n${sequence}`;
  }
}

/** A context for the same job that begins anew: its first random number and id are the first ones again. */
export function repeatedContext(context: UpdateContext): UpdateContext {
  return new Context(
    context,
    () => context.signal,
    () => undefined, // logged once is enough
  );
}
