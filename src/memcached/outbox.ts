/** How the requests of one moment are written to the socket. */
import type { Socket } from 'node:net';

/** Bytes of what one TLS record can hold. */
const TLS_RECORD_BYTES: number = 16 * 1024;

export interface Outbox {
  send(requests: readonly Buffer[]): void;
}

/** TCP: all of them in one write. */
export function plainOutbox(socket: Socket): Outbox {
  return {
    send(requests) {
      const [first] = requests;
      if (first === undefined) return;
      socket.write(requests.length === 1 ? first : Buffer.concat(requests));
    },
  };
}

/**
 * TLS: one write for each record's worth of whole requests; one that needs more has its records to
 * itself. memcached waits for the network while the end of a record lies decrypted in its hands: of
 * a 17 KB replace and a delete in one write, 1.6.18 answers the replace, and the delete only when
 * something else arrives. A write waits for the one before, since Node joins those that wait.
 */
export class RecordOutbox implements Outbox {
  readonly #socket: Socket;
  #waiting: Buffer[] = [];
  #writing = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  send(requests: readonly Buffer[]): void {
    this.#waiting.push(...requests);
    if (!this.#writing) this.#writeNext();
  }

  #writeNext(): void {
    this.#writing = this.#waiting.length > 0;
    if (!this.#writing) return;
    const group = this.#waiting.splice(0, this.#fitting());
    this.#socket.write(Buffer.concat(group), (error) => {
      if (error) this.#waiting = [];
      this.#writeNext();
    });
  }

  /** How many of those that wait, at least one, go into one record. */
  #fitting(): number {
    let bytes = 0;
    const over = this.#waiting.findIndex((request) => {
      bytes += request.length;
      return bytes > TLS_RECORD_BYTES;
    });
    return over === -1 ? this.#waiting.length : Math.max(1, over);
  }
}
