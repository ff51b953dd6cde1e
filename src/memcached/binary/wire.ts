/**
 * One established socket as a queue of requests and replies. Requests of one moment are gathered
 * and go out in one write; replies come in the order of the requests. Behind those that may remain
 * unanswered goes one that is always answered. The wire ends once, for good: by
 * its owner, by the other side, when the oldest request has waited too long, or at the first answer
 * that cannot be trusted. Whatever was gathered then was certainly not sent; whatever was sent may
 * have been executed or not, or may be yet.
 */
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../../base/clock.ts';
import { type ErrorCode, TorilError } from '../../errors.ts';
import {
  bytesAtMost,
  encodeRequest,
  OPCODE,
  type Opcode,
  plain,
  type RequestParts,
  STATUS,
  writeRequest,
} from './codec.ts';
import { Outbox } from '../socket/outbox.ts';
import { type Reply, ReplyReader } from './replies.ts';
import type { Outcome } from '../server.ts';

/** Milliseconds without traffic after which the system checks that the other side is still there. */
const KEEP_ALIVE_MS = 10_000;
/** Answered requests are cleared from the queue's front in blocks of this many. */
const COMPACT_AT = 1024;

/**
 * What a reply means to the request it answers: an outcome, `more` if further replies belong to it,
 * or why it cannot be trusted, which ends the connection: an `unknown` must leave no connection
 * behind on which a lease could live on.
 */
export type Meaning<T> = Outcome<T> | 'more' | Distrust;
/** `status`: a status without a meaning here; `cas-zero`: success, but no CAS; `garbled`: parts are missing. */
export type Distrust = 'status' | 'cas-zero' | 'garbled';

interface Exchange {
  readonly opcode: Opcode;
  readonly opaque: number;
  readonly read: (reply: Reply) => Meaning<unknown>;
  readonly settle: (outcome: Outcome<unknown>) => void;
  readonly sentAtMs: number;
  /** What it means that a later request is answered, and this one was not; undefined: it must be. */
  readonly silence: Outcome<unknown> | undefined;
}

export interface WireOptions {
  readonly address: string;
  readonly clock: Clock;
  readonly requestDeadlineMs: number;
  /** The socket is a TLS one. */
  readonly encrypted: boolean;
}

export class Wire {
  readonly address: string;
  /** Resolves when everything outstanding was failed. */
  readonly ended: Promise<void>;
  /** Resolves when the socket is gone, too. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #outbox: Outbox;
  readonly #clock: Clock;
  readonly #requestDeadlineMs: number;
  readonly #reader: ReplyReader;
  #resolveEnded: () => void = () => {};
  #alive = true;
  #over = false;
  /** Unanswered requests from #head on. */
  #exchanges: Exchange[] = [];
  #head = 0;
  /** How many of them, the last ones, are gathered and not yet sent. */
  #gathered = 0;
  #gatheredAtMs = 0;
  #lastOpaque = 0;
  #deadline: Timer | undefined;

  constructor(socket: Socket, options: WireOptions) {
    this.address = options.address;
    this.#socket = socket;
    this.#outbox = new Outbox(socket, options.encrypted);
    this.#clock = options.clock;
    this.#requestDeadlineMs = options.requestDeadlineMs;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    this.#reader = new ReplyReader(
      (reply) => this.#receive(reply),
      (what) => this.#end('MEMCACHED_PROTOCOL', `it answered with what is no reply: ${what}`),
    );
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.on('data', (chunk: Buffer) => this.#reader.push(chunk));
    socket.on('error', (cause) =>
      this.#end('MEMCACHED_CLOSED', `the connection broke: ${cause.message}`, cause),
    );
    socket.on('end', () => this.#end('MEMCACHED_CLOSED', 'the server closed the connection'));
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#end('MEMCACHED_CLOSED', 'the connection is closed');
        resolve();
      });
    });
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** @param silence what it means if it is not answered and a later one is */
  request<T>(
    opcode: Opcode,
    parts: RequestParts,
    read: (reply: Reply) => Meaning<T>,
    silence?: Outcome<T>,
  ): Promise<Outcome<T>> {
    if (!this.#alive) return Promise.resolve({ kind: 'refused', reason: 'not-sent' });
    if (this.#gathered === 0) {
      this.#gatheredAtMs = this.#clock.monotonicMs();
      this.#clock.soon(this.#flush);
    }
    const opaque = (this.#lastOpaque + 1) >>> 0;
    writeRequest(this.#outbox.room(bytesAtMost(parts)), opcode, opaque, parts);
    this.#lastOpaque = opaque;
    this.#gathered++;
    const outcome = new Promise<Outcome<T>>(takeResolve);
    this.#exchanges.push({
      opcode,
      opaque,
      read,
      settle: takenResolve,
      sentAtMs: this.#gatheredAtMs,
      silence,
    });
    return outcome;
  }

  /** Ends at once; everything outstanding ends `unknown`. */
  destroy(): void {
    this.#end('MEMCACHED_CLOSED', 'the connection was closed here');
  }

  /** Takes nothing more, waits for what is outstanding, says goodbye. Resolves as `closed` does. */
  drain(): Promise<void> {
    if (this.#over) return this.closed;
    this.#flush();
    this.#alive = false;
    if (this.#head === this.#exchanges.length) this.#quit();
    return this.closed;
  }

  readonly #flush = (): void => {
    if (this.#over) return;
    if (this.#exchanges.at(-1)?.silence !== undefined && this.#gathered > 0)
      void this.request(OPCODE.noop, plain(''), readNoop);
    this.#gathered = 0;
    this.#watchDeadline();
    this.#outbox.send();
  };

  #receive(reply: Reply): void {
    const exchange = this.#answeredBy(reply);
    if (exchange === undefined) {
      const what = `opcode ${reply.opcode}, opaque ${reply.opaque}`;
      return this.#end('MEMCACHED_PROTOCOL', `it answered what was not asked: ${what}`);
    }
    while (this.#exchanges[this.#head] !== exchange) this.#settleSilent();
    const meaning = exchange.read(reply);
    if (meaning === 'more') return;
    if (typeof meaning === 'string') return this.#distrust(meaning, reply);
    this.#head++;
    if (this.#head === this.#exchanges.length) {
      this.#exchanges.length = 0;
      this.#head = 0;
    } else if (this.#head >= COMPACT_AT) {
      this.#exchanges.splice(0, this.#head);
      this.#head = 0;
    }
    exchange.settle(meaning);
    if (!this.#alive && this.#exchanges.length === 0) this.#quit();
  }

  /** The oldest exchange, or one behind such as may remain unanswered; undefined: none was asked so. */
  #answeredBy({ opaque, opcode }: Reply): Exchange | undefined {
    for (let at = this.#head; ; at++) {
      const exchange = this.#exchanges[at];
      if (exchange?.opaque === opaque) return exchange.opcode === opcode ? exchange : undefined;
      if (exchange?.silence === undefined) return undefined;
    }
  }

  #settleSilent(): void {
    const { settle, silence } = this.#exchanges[this.#head++] as Exchange;
    settle(silence as Outcome<unknown>);
  }

  #distrust(why: Distrust, { opcode, status, value }: Reply): void {
    const request = Object.entries(OPCODE).find(([, code]) => code === opcode)?.[0] ?? opcode;
    if (why === 'cas-zero') {
      this.#end(
        'MEMCACHED_CAS_DISABLED',
        `it answered ${request} with CAS 0. Start memcached without -C`,
      );
    } else if (why === 'garbled') {
      this.#end('MEMCACHED_PROTOCOL', `it answered ${request} with parts missing`);
    } else {
      const words = value.toString('latin1', 0, 80);
      this.#end('MEMCACHED_REFUSED', `it answered ${request} with status ${status} (${words})`);
    }
  }

  /**
   * One timer for the oldest request, not one for each: it is set anew only when it fires. Before
   * it strikes, whatever has arrived is read: if this process was too busy to look, the server is
   * not to blame.
   */
  #watchDeadline(): void {
    const oldest = this.#exchanges[this.#head];
    if (this.#deadline !== undefined || oldest === undefined) return;
    const delayMs = oldest.sentAtMs + this.#requestDeadlineMs - this.#clock.monotonicMs();
    const strike = (): void => {
      this.#deadline = undefined;
      if (this.#over) return;
      const head = this.#exchanges[this.#head];
      const waitedMs = this.#clock.monotonicMs() - (head?.sentAtMs ?? Infinity);
      if (waitedMs < this.#requestDeadlineMs) return this.#watchDeadline();
      const within = `within the request deadline of ${this.#requestDeadlineMs} ms`;
      this.#end('MEMCACHED_TIMED_OUT', `it did not answer ${within}`);
    };
    this.#deadline = this.#clock.after(Math.max(0, delayMs), () => {
      // Timers come before sockets: the next one has seen them.
      this.#deadline = this.#clock.after(0, strike);
    });
  }

  #quit(): void {
    this.#finish('MEMCACHED_CLOSED', 'the connection was closed here');
    this.#socket.end(encodeRequest(OPCODE.quitQuietly, 0, plain('')));
    this.#socket.destroySoon();
  }

  #end(code: ErrorCode, what: string, cause?: Error): void {
    if (this.#over) return;
    this.#finish(code, what, cause);
    this.#socket.destroy();
  }

  #finish(code: ErrorCode, what: string, cause?: Error): void {
    this.#alive = false;
    this.#over = true;
    this.#reader.stop();
    this.#outbox.drop();
    this.#deadline?.cancel();
    const options = cause === undefined ? {} : { cause };
    const error = new TorilError(code, `memcached at ${this.address}: ${what}`, options);
    const unanswered = this.#exchanges.splice(0).slice(this.#head);
    const sent = unanswered.length - this.#gathered;
    this.#head = 0;
    this.#gathered = 0;
    unanswered.forEach(({ settle }, index) => {
      if (index < sent) settle({ kind: 'unknown', cause: error });
      else settle({ kind: 'refused', reason: 'not-sent' });
    });
    this.#resolveEnded();
  }
}

const NOTHING: Outcome<undefined> = { kind: 'done', value: undefined };
function readNoop({ status }: Reply): Meaning<undefined> {
  return status === STATUS.ok ? NOTHING : 'status';
}

/** One function for all promises, instead of one closure for each request. */
let takenResolve: (outcome: Outcome<unknown>) => void = () => {};
function takeResolve(resolve: (outcome: never) => void): void {
  takenResolve = resolve as typeof takenResolve;
}
