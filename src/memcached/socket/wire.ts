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
import type { Protocol, ReplyParser, Request } from '../protocol.ts';
import type { Outcome } from '../server.ts';
import { Inbox } from './inbox.ts';
import { Outbox } from './outbox.ts';

/** Milliseconds without traffic after which the system checks that the other side is still there. */
const KEEP_ALIVE_MS = 10_000;
/** Answered requests are cleared from the queue's front in blocks of this many. */
const COMPACT_AT = 1024;

interface Exchange<Q> {
  readonly request: Q;
  readonly number: number;
  readonly settle: (outcome: Outcome<unknown>) => void;
  readonly sentAtMs: number;
}

export interface WireOptions {
  readonly address: string;
  readonly clock: Clock;
  readonly requestDeadlineMs: number;
  /** The socket is a TLS one. */
  readonly encrypted: boolean;
}

export class Wire<Q extends Request<Reply>, Reply> {
  readonly address: string;
  /** Resolves when everything outstanding was failed. */
  readonly ended: Promise<void>;
  /** Resolves when the socket is gone, too. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #protocol: Protocol<Q, Reply>;
  readonly #outbox: Outbox;
  readonly #clock: Clock;
  readonly #requestDeadlineMs: number;
  readonly #parser: ReplyParser;
  #resolveEnded: () => void = () => {};
  #alive = true;
  #over = false;
  /** Unanswered requests from #head on. */
  #exchanges: Exchange<Q>[] = [];
  #head = 0;
  /** How many of them, the last ones, are gathered and not yet sent. */
  #gathered = 0;
  #gatheredAtMs = 0;
  #lastNumber = 0;
  #deadline: Timer | undefined;

  constructor(socket: Socket, protocol: Protocol<Q, Reply>, options: WireOptions) {
    this.address = options.address;
    this.#socket = socket;
    this.#protocol = protocol;
    this.#outbox = new Outbox(socket, options.encrypted);
    this.#clock = options.clock;
    this.#requestDeadlineMs = options.requestDeadlineMs;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    this.#parser = protocol.parser({
      receive: (reply) => this.#receive(reply),
      garbage: (what) =>
        this.#end('MEMCACHED_PROTOCOL', `it answered with what is no reply: ${what}`),
    });
    const inbox = new Inbox(this.#parser);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.on('data', (chunk: Buffer) => {
      if (!this.#over) inbox.push(chunk);
    });
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

  request<T>(request: Q): Promise<Outcome<T>> {
    if (!this.#alive) return Promise.resolve({ kind: 'refused', reason: 'not-sent' });
    if (this.#gathered === 0) {
      this.#gatheredAtMs = this.#clock.monotonicMs();
      this.#clock.soon(this.#flush);
    }
    const number = (this.#lastNumber + 1) >>> 0;
    const protocol = this.#protocol;
    protocol.write(request, number, this.#outbox.room(protocol.bytesAtMost(request)));
    this.#lastNumber = number;
    this.#gathered++;
    const outcome = new Promise<Outcome<T>>(takeResolve);
    this.#exchanges.push({ request, number, settle: takenResolve, sentAtMs: this.#gatheredAtMs });
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
    if (this.#exchanges.at(-1)?.request.silence !== undefined && this.#gathered > 0)
      void this.request(this.#protocol.barrier());
    this.#gathered = 0;
    this.#watchDeadline();
    this.#outbox.send();
  };

  #receive(reply: Reply): void {
    const exchange = this.#answeredBy(reply);
    if (exchange === undefined) {
      const what = this.#protocol.described(reply);
      return this.#end('MEMCACHED_PROTOCOL', `it answered what was not asked: ${what}`);
    }
    while (this.#exchanges[this.#head] !== exchange) this.#settleSilent();
    const meaning = exchange.request.read(reply);
    if (meaning === 'more') return;
    if (meaning.kind === 'distrusted') return this.#end(meaning.code, meaning.what);
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
  #answeredBy(reply: Reply): Exchange<Q> | undefined {
    for (let at = this.#head; ; at++) {
      const exchange = this.#exchanges[at];
      if (exchange === undefined) return undefined;
      if (this.#protocol.answers(reply, exchange.request, exchange.number)) return exchange;
      if (exchange.request.silence === undefined) return undefined;
    }
  }

  #settleSilent(): void {
    const { settle, request } = this.#exchanges[this.#head++] as Exchange<Q>;
    settle(request.silence as Outcome<unknown>);
  }

  /**
   * One timer for the oldest request, not one for each: it is set again only when it fires. Before
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
    this.#socket.end(this.#protocol.goodbye);
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
    this.#parser.stop();
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

/** One function for all promises, instead of one closure for each request. */
let takenResolve: (outcome: Outcome<unknown>) => void = () => {};
function takeResolve(resolve: (outcome: never) => void): void {
  takenResolve = resolve as typeof takenResolve;
}
