/** What an update is told besides value and data. Made once per job: what costs something is made when it is asked for. */
import { messageOf } from '../../errors.ts';
import { seededFraction, seededUuid } from '../../base/random.ts';
import type { CallSite } from './call-site.ts';
import type { UpdateContext } from '../update.ts';

export interface ApplyFacts {
  /** Of a transaction: the first of its keys. */
  readonly key: string;
  /** Of a transaction: all of them. */
  readonly keys?: readonly string[] | undefined;
  readonly jobId: string;
  readonly token: number;
  readonly sequence: number;
  readonly attempt: number;
}

/** What a context has of the call that it is for. */
export interface ContextCall {
  readonly signal: AbortSignal;
  log(row: string): void;
}

/**
 * One call of an update. Its signal is a controller's of its own, and not `AbortSignal.any`: on Node 20 such a signal
 * stays in memory for ever once somebody listens to it, 1.2 KB per job. Whoever aborts it forgets it when the call is
 * over.
 */
export class UpdateCall implements ContextCall {
  readonly #site: CallSite;
  #controller: AbortController | undefined;
  #abortion: { readonly reason: unknown } | undefined;

  constructor(site: CallSite) {
    this.#site = site;
  }

  get signal(): AbortSignal {
    // While `apply` has not returned, nobody but itself could tell it that the lease is lost.
    const lost = this.#site.lost?.();
    if (lost?.aborted === true) this.abort(lost.reason);
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

  log(row: string): void {
    this.#site.log?.(row);
  }
}

export class Context implements UpdateContext {
  readonly #facts: ApplyFacts;
  readonly #call: ContextCall;
  #keys: readonly string[] | undefined;
  #fraction: (() => number) | undefined;
  #ids = 0;

  constructor(facts: ApplyFacts, call: ContextCall) {
    this.#facts = facts;
    this.#call = call;
  }

  get key(): string {
    return this.#facts.key;
  }
  /** Of a transaction only. Frozen: sorted by `apply`, they would send each value to another key. */
  get keys(): readonly string[] | undefined {
    const { keys } = this.#facts;
    this.#keys ??= keys && Object.freeze([...keys]);
    return this.#keys;
  }
  /** From now on, its keys are told in this order. @internal */
  inOrder(keys: readonly string[]): readonly string[] {
    this.#keys = Object.freeze([...keys]);
    return this.#keys;
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
    return this.#call.signal;
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
    return (row: unknown) => this.#call.log(typeof row === 'string' ? row : messageOf(row));
  }
  #seed(): string {
    const { key, jobId, sequence } = this.#facts;
    return `${key}\n${jobId}\n${sequence}`;
  }
}

/** A context for the same job that starts over: its first random number and id are the first ones again. */
export function repeatedContext(context: UpdateContext): UpdateContext {
  return new Context(context, {
    get signal(): AbortSignal {
      return context.signal;
    },
    log: () => undefined, // logged once is enough
  });
}
