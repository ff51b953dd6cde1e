/**
 * A small client of memcached's text protocol for the systems that Toril is compared with, and for
 * looking at values. One connection, everything pipelined, the requests of one moment in one write:
 * faster than the client libraries, so that no competitor is slowed down by its client.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface Item {
  readonly value: string;
  readonly cas: string;
}

export type Stored = 'STORED' | 'NOT_STORED' | 'EXISTS' | 'NOT_FOUND';

interface Pending {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (cause: Error) => void;
}

interface Reply {
  /** The last line: STORED, DELETED, END, ... */
  readonly line: string;
  readonly items: readonly Item[];
  readonly stats: readonly string[];
}

const LINE_END = Buffer.from('\r\n');

export class MemcachedClient {
  readonly #socket: Socket;
  readonly #pending: Pending[] = [];
  #received: Buffer = Buffer.alloc(0);
  #items: Item[] = [];
  #stats: string[] = [];
  #outgoing: string[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', () => undefined); // 'close' follows
    socket.on('close', () => {
      for (const { reject } of this.#pending.splice(0)) {
        reject(new Error('the connection to memcached was closed'));
      }
    });
  }

  /** @param address host:port */
  static async connect(address: string): Promise<MemcachedClient> {
    const colon = address.lastIndexOf(':');
    const socket = connect({
      host: address.slice(0, colon),
      port: Number(address.slice(colon + 1)),
      noDelay: true,
    });
    await once(socket, 'connect');
    return new MemcachedClient(socket);
  }

  async get(key: string): Promise<Item | undefined> {
    return (await this.#request(`gets ${key}\r\n`)).items[0];
  }

  set(key: string, value: string, seconds = 0): Promise<Stored> {
    return this.#store('set', key, value, seconds, '');
  }

  add(key: string, value: string, seconds = 0): Promise<Stored> {
    return this.#store('add', key, value, seconds, '');
  }

  cas(key: string, value: string, cas: string, seconds = 0): Promise<Stored> {
    return this.#store('cas', key, value, seconds, ` ${cas}`);
  }

  async delete(key: string): Promise<void> {
    await this.#request(`delete ${key}\r\n`);
  }

  async stats(): Promise<ReadonlyMap<string, string>> {
    const { stats } = await this.#request('stats\r\n');
    return new Map(
      stats.map((line) => {
        const [, name = '', value = ''] = line.split(' ');
        return [name, value];
      }),
    );
  }

  close(): void {
    this.#socket.destroy();
  }

  async #store(
    command: string,
    key: string,
    value: string,
    seconds: number,
    more: string,
  ): Promise<Stored> {
    const head = `${command} ${key} 0 ${seconds} ${Buffer.byteLength(value)}${more}`;
    const { line } = await this.#request(`${head}\r\n${value}\r\n`);
    if (!/^(STORED|NOT_STORED|EXISTS|NOT_FOUND)$/.test(line)) {
      throw new Error(`memcached refused to ${command} ${key}: ${line}`);
    }
    return line as Stored;
  }

  #request(text: string): Promise<Reply> {
    if (this.#socket.destroyed) {
      return Promise.reject(new Error('the connection to memcached is closed'));
    }
    if (this.#outgoing.length === 0) setImmediate(() => this.#flush());
    this.#outgoing.push(text);
    return new Promise((resolve, reject) => this.#pending.push({ resolve, reject }));
  }

  #flush(): void {
    this.#socket.write(this.#outgoing.join(''));
    this.#outgoing = [];
  }

  #receive(chunk: Buffer): void {
    const bytes = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    let at = 0;
    for (;;) {
      const end = bytes.indexOf(LINE_END, at);
      if (end === -1) break;
      const next = this.#line(bytes, bytes.toString('latin1', at, end), end + 2);
      if (next === undefined) break; // the value has not arrived as a whole
      at = next;
    }
    this.#received = bytes.subarray(at);
  }

  /** @returns where the next line begins; undefined: more bytes are needed first */
  #line(bytes: Buffer, line: string, after: number): number | undefined {
    if (line.startsWith('VALUE ')) {
      const [, , , length, cas = ''] = line.split(' ');
      const end = after + Number(length);
      if (bytes.length < end + 2) return undefined;
      this.#items.push({ value: bytes.toString('utf8', after, end), cas });
      return end + 2;
    }
    if (line.startsWith('STAT ')) {
      this.#stats.push(line);
      return after;
    }
    const reply = { line, items: this.#items, stats: this.#stats };
    this.#items = [];
    this.#stats = [];
    this.#pending.shift()?.resolve(reply);
    return after;
  }
}
