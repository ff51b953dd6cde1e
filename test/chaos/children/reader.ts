/**
 * Watches the cells, as a web tier would that knows nothing of Toril: memcached's text protocol and
 * JSON. It stands beside the servers, so that what it sees was there.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { nowUs, type Value, valueOf } from '../history.ts';
import { orders, ready, recorder, serve } from './orders.ts';

const PAUSE_MS = 15;
const DEADLINE_MS = 1_000;
const AGAIN_MS = 50;

/** By key: the JSON that was found last; '' if there was none. */
type Seen = Map<string, string>;

interface Envelope {
  readonly token?: number;
  readonly value?: Value;
}

class Watch {
  readonly #server: number;
  readonly #port: number;
  readonly #seen: Seen = new Map();
  /** Looks that have been begun and finished. */
  #begun = 0;
  #finished: (look: number) => void = () => undefined;

  constructor(server: number, port: number) {
    this.#server = server;
    this.#port = port;
  }

  async run(): Promise<never> {
    for (;;) {
      const socket = connect(this.#port, '127.0.0.1');
      socket.setTimeout(DEADLINE_MS, () => socket.destroy());
      socket.on('error', () => undefined);
      try {
        await once(socket, 'connect');
        for (;;) {
          await this.#look(socket);
          await sleep(PAUSE_MS);
        }
      } catch {
        socket.destroy();
        await sleep(AGAIN_MS);
      }
    }
  }

  /** Resolves after a look that was begun later than now. */
  looked(): Promise<void> {
    const now = this.#begun;
    return new Promise((resolve) => {
      this.#finished = (look) => {
        if (look > now) resolve();
      };
    });
  }

  async #look(socket: Socket): Promise<void> {
    const look = ++this.#begun;
    const sinceUs = nowUs();
    socket.write(`get ${orders.keys.join(' ')}\r\n`);
    const found = itemsOf(await replyOf(socket));
    for (const key of orders.keys) {
      const text = found.get(key) ?? '';
      if (text === (this.#seen.get(key) ?? '')) continue;
      this.#seen.set(key, text);
      const { token = 0, value } = (text === '' ? {} : JSON.parse(text)) as Envelope;
      const read = { e: 'read', server: this.#server, key, sinceUs, token } as const;
      recorder.note(value ? { ...read, value: valueOf(value) } : read);
    }
    this.#finished(look);
  }
}

const END = Buffer.from('END\r\n');

async function replyOf(socket: Socket): Promise<Buffer> {
  let reply: Buffer = Buffer.alloc(0);
  while (!reply.subarray(-END.length).equals(END)) {
    const [chunk] = (await once(socket, 'data', {
      signal: AbortSignal.timeout(DEADLINE_MS),
    })) as [Buffer];
    reply = Buffer.concat([reply, chunk]);
  }
  return reply;
}

/** `VALUE <key> <flags> <bytes>`, the bytes, and so on. */
function itemsOf(reply: Buffer): Map<string, string> {
  const items = new Map<string, string>();
  for (let at = 0; ; ) {
    const line = reply.subarray(at, reply.indexOf('\r\n', at)).toString();
    const [, key, length] = /^VALUE (\S+) \d+ (\d+)$/.exec(line) ?? [];
    if (key === undefined) return items;
    const from = at + line.length + 2;
    items.set(key, reply.subarray(from, from + Number(length)).toString());
    at = from + Number(length) + 2;
  }
}

const watches = orders.memcached.map(
  (address, server) => new Watch(server, Number(address.split(':')[1])),
);
for (const watch of watches) void watch.run();
serve(async (order) => {
  if (order === 'rest') await Promise.all(watches.map((watch) => watch.looked()));
});
ready();
