/**
 * One attempt to reach a server: a socket (TCP or TLS) under the connect deadline, then the
 * greeting, each message of it under the request deadline. What does not speak one protocol is
 * greeted in the next, on a socket of its own.
 */
import net from 'node:net';
import type { Clock } from '../../base/clock.ts';
import { messageOf, type TorilError } from '../../errors.ts';
import { silenceError, tlsError, unreachableError } from '../connect-errors.ts';
import type { ServerOptions } from '../options.ts';
import type { Greeted, ProtocolEngine } from '../protocol.ts';

export interface Reached extends Greeted {
  readonly engine: ProtocolEngine;
}

export class Attempt {
  readonly #options: ServerOptions;
  readonly #engines: readonly ProtocolEngine[];
  readonly #clock: Clock;
  #socket: net.Socket | undefined;
  #isGreeting = false;
  #isAborted = false;

  /** @param engines at least one, in the order in which they are tried */
  constructor(options: ServerOptions, engines: readonly ProtocolEngine[], clock: Clock) {
    this.#options = options;
    this.#engines = engines;
    this.#clock = clock;
  }

  /** Rejects with a TorilError. Call it once. */
  async result(): Promise<Reached> {
    const { address, requestDeadlineMs, credentials, acceptsUnproven, locks, tls } = this.#options;
    const clock = this.#clock;
    const encrypted = tls !== undefined;
    let error = unreachableError(address, 'no protocol to speak');
    for (const engine of this.#engines) {
      if (engine.ready !== undefined) await engine.ready();
      if (this.#isAborted) break;
      const socket = this.#open();
      await this.#established(socket);
      this.#isGreeting = true;
      const greeting = await engine.greet(socket, {
        ...{ address, requestDeadlineMs, credentials, acceptsUnproven, locks, clock, encrypted },
      });
      if (greeting.kind === 'greeted') return { ...greeting, engine };
      ({ error } = greeting);
    }
    throw error;
  }

  /** What one may say about the server while it still goes on. */
  soFar(): TorilError {
    const { address } = this.#options;
    if (this.#isGreeting) return silenceError(address);
    return unreachableError(address, 'no connection so far');
  }

  abort(): void {
    this.#isAborted = true;
    this.#socket?.destroy();
  }

  #open(): net.Socket {
    const { host, port, tls } = this.#options;
    this.#socket =
      tls === undefined
        ? net.connect({ host, port })
        : // Loading it takes 3 ms and 1.4 MB, which most readers can do without.
          process.getBuiltinModule('node:tls').connect({ ...tls, host, port });
    return this.#socket;
  }

  #established(socket: net.Socket): Promise<void> {
    const { address, connectDeadlineMs } = this.#options;
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
