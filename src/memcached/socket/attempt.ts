/**
 * One attempt to reach a server: a socket (TCP or TLS) under the connect deadline, then the
 * greeting, each message of it under the request deadline.
 */
import net from 'node:net';
import tls from 'node:tls';
import type { Clock } from '../../base/clock.ts';
import { messageOf, type TorilError } from '../../errors.ts';
import { silenceError, tlsError, unreachableError } from '../connect-errors.ts';
import type { ServerOptions } from '../options.ts';
import type { Greeted, ProtocolEngine } from '../protocol.ts';

export class Attempt {
  readonly #options: ServerOptions;
  readonly #engine: ProtocolEngine;
  readonly #clock: Clock;
  readonly #socket: net.Socket;
  #isGreeting = false;

  constructor(options: ServerOptions, engine: ProtocolEngine, clock: Clock) {
    this.#options = options;
    this.#engine = engine;
    this.#clock = clock;
    const { host, port } = options;
    this.#socket =
      options.tls === undefined
        ? net.connect({ host, port })
        : tls.connect({ ...options.tls, host, port });
  }

  /** Rejects with a TorilError. Call it once. */
  async result(): Promise<Greeted> {
    await this.#established();
    const { address, requestDeadlineMs, credentials, tls } = this.#options;
    const encrypted = tls !== undefined;
    const clock = this.#clock;
    this.#isGreeting = true;
    return this.#engine.greet(this.#socket, {
      ...{ address, requestDeadlineMs, credentials, clock, encrypted },
    });
  }

  /** What one may say about the server while it still goes on. */
  soFar(): TorilError {
    const { address } = this.#options;
    if (this.#isGreeting) return silenceError(address);
    return unreachableError(address, 'no connection so far');
  }

  abort(): void {
    this.#socket.destroy();
  }

  #established(): Promise<void> {
    const { address, connectDeadlineMs } = this.#options;
    const socket = this.#socket;
    return new Promise((resolve, reject) => {
      const fail = (what: string, cause?: unknown): void => {
        timer.cancel();
        socket.destroy();
        reject(tlsError(address, cause) ?? unreachableError(address, what, cause));
      };
      const onError = (cause: Error): void => fail(reasonOf(cause), cause);
      const onClose = (): void => fail('the connection was closed');
      const timer = this.#clock.after(connectDeadlineMs, () =>
        fail(`no connection within ${connectDeadlineMs} ms`),
      );
      socket.on('error', onError); // for good: an error without a listener ends the process
      socket.once('close', onClose);
      socket.once(this.#options.tls === undefined ? 'connect' : 'secureConnect', () => {
        timer.cancel();
        socket.off('close', onClose);
        resolve();
      });
    });
  }
}

/** A host with several addresses fails with one error for each, and no words of its own. */
function reasonOf(error: Error): string {
  if (!(error instanceof AggregateError)) return error.message;
  return [...new Set(error.errors.map(messageOf))].join(', ');
}
