/**
 * A server that answers as a test says, where a real memcached cannot be brought to. It shares no
 * code with the product: it reads and writes the binary protocol by itself.
 */
import { once } from 'node:events';
import net from 'node:net';

const HEADER_BYTES = 24;

export interface ScriptedRequest {
  readonly opcode: number;
  readonly opaque: number;
  readonly cas: bigint;
  readonly name: string;
  readonly extras: Buffer;
  readonly value: Buffer;
  readonly socket: net.Socket;
  /** Answers it, by default with success and CAS 1. */
  reply(answer?: Answer): void;
}

export interface Answer {
  readonly status?: number;
  readonly cas?: bigint;
  readonly name?: string;
  readonly extras?: Buffer;
  readonly value?: Buffer | string;
  readonly opaque?: number;
  readonly opcode?: number;
}

export interface Listener {
  readonly address: string;
  readonly port: number;
  /** Accepted so far, in order. */
  readonly sockets: readonly net.Socket[];
  /** Ends every connection, and listens no more. */
  close(): Promise<void>;
}

/** Listens on a port of 127.0.0.1 (any free one by default) and hands over whoever connects. */
export async function listen(
  onSocket: (socket: net.Socket) => void,
  onPort = 0,
): Promise<Listener> {
  const sockets: net.Socket[] = [];
  const server = net.createServer({ noDelay: true }, (socket) => {
    sockets.push(socket);
    socket.on('error', () => {}); // a client that resets the connection is part of the game
    onSocket(socket);
  });
  server.listen(onPort, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  return {
    address: `127.0.0.1:${port}`,
    port,
    sockets,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

export interface ScriptedMemcached extends Listener {
  /** Every request but noops and those of the handshake. */
  readonly requests: readonly ScriptedRequest[];
}

export const VERSION = 0x0b;
export const STAT = 0x10;
const NOOP = 0x0a;
const QUIT_QUIETLY = 0x17;
export const HEALTHY: Readonly<Record<string, string>> = {
  cas_enabled: 'yes',
  item_size_max: '1048576',
};

/**
 * Passes the handshake, answers noops in their turn and leaves every other request to the script, which
 * may answer it later, wrongly or never.
 */
export async function scriptedMemcached(
  script: (request: ScriptedRequest) => void,
  settings: Readonly<Record<string, string>> = HEALTHY,
  onPort = 0,
): Promise<ScriptedMemcached> {
  const requests: ScriptedRequest[] = [];
  const listener = await listen((socket) => {
    const inTurn = new InTurn();
    onRequests(socket, (request) => {
      if (request.opcode === VERSION) return request.reply({ value: '1.6.99' });
      if (request.opcode === STAT) return replySettings(request, settings);
      if (request.opcode === QUIT_QUIETLY) return;
      if (request.opcode === NOOP) return inTurn.answer(request);
      const awaited = inTurn.await(request);
      requests.push(awaited);
      script(awaited);
    });
  }, onPort);
  return { ...listener, requests };
}

/** Answers noops when everything before them is answered. */
class InTurn {
  readonly #unanswered: { readonly noop?: ScriptedRequest; answered: boolean }[] = [];

  await(request: ScriptedRequest): ScriptedRequest {
    const place = { answered: false };
    this.#unanswered.push(place);
    const reply = (answer?: Answer): void => {
      request.reply(answer);
      place.answered = true;
      this.#goOn();
    };
    return { ...request, reply };
  }

  answer(noop: ScriptedRequest): void {
    this.#unanswered.push({ noop, answered: true });
    this.#goOn();
  }

  #goOn(): void {
    while (this.#unanswered[0]?.answered === true) this.#unanswered.shift()?.noop?.reply();
  }
}

export function replySettings(
  request: ScriptedRequest,
  settings: Readonly<Record<string, string>>,
): void {
  for (const [name, value] of Object.entries(settings)) request.reply({ name, value });
  request.reply();
}

/** Reads the requests that come on a socket. */
export function onRequests(
  socket: net.Socket,
  onRequest: (request: ScriptedRequest) => void,
): void {
  let bytes = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    while (bytes.length >= HEADER_BYTES) {
      const length = HEADER_BYTES + bytes.readUInt32BE(8);
      if (bytes.length < length) return;
      const message = bytes.subarray(0, length);
      bytes = bytes.subarray(length);
      onRequest(requestOf(message, socket));
    }
  });
}

function requestOf(message: Buffer, socket: net.Socket): ScriptedRequest {
  const nameAt = HEADER_BYTES + message.readUInt8(4);
  const valueAt = nameAt + message.readUInt16BE(2);
  const opcode = message.readUInt8(1);
  const opaque = message.readUInt32BE(12);
  return {
    opcode,
    opaque,
    cas: message.readBigUInt64BE(16),
    name: message.toString('utf8', nameAt, valueAt),
    extras: message.subarray(HEADER_BYTES, nameAt),
    value: message.subarray(valueAt),
    socket,
    reply: (answer = {}) => void socket.write(encodeReply({ opcode, opaque, ...answer })),
  };
}

export function encodeReply(answer: Answer): Buffer {
  const extras = answer.extras ?? Buffer.alloc(0);
  const name = Buffer.from(answer.name ?? '');
  const value = Buffer.from(answer.value ?? '');
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(0x81, 0);
  header.writeUInt8(answer.opcode ?? 0, 1);
  header.writeUInt16BE(name.length, 2);
  header.writeUInt8(extras.length, 4);
  header.writeUInt16BE(answer.status ?? 0, 6);
  header.writeUInt32BE(extras.length + name.length + value.length, 8);
  header.writeUInt32BE(answer.opaque ?? 0, 12);
  header.writeBigUInt64BE(answer.cas ?? 1n, 16);
  return Buffer.concat([header, extras, name, value]);
}
