/** Stands before a server and breaks connections at a byte that the test chooses. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** Called with whatever passes. */
type Watch = (what: 'request' | 'reply', bytes: Buffer) => void;

export class CuttingProxy {
  readonly port: number;
  readonly #listener: Server;
  readonly #watch: Watch;
  readonly #sockets = new Set<Socket>();
  #left: Record<'request' | 'reply', number> = { request: Infinity, reply: Infinity };
  #holding = false;
  #stalling = false;
  #doubling = false;
  #held: { readonly upstream: Socket; readonly bytes: Buffer }[] = [];
  /** Connections cut so far. */
  cuts = 0;

  private constructor(listener: Server, upstreamPort: number, watch: Watch) {
    this.#watch = watch;
    this.#listener = listener;
    this.port = (listener.address() as AddressInfo).port;
    listener.on('connection', (client) => this.#accept(client, upstreamPort));
  }

  /** Closed when the test has finished. */
  static async open(upstreamPort: number, watch: Watch = () => undefined): Promise<CuttingProxy> {
    const listener = createServer().listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const proxy = new CuttingProxy(listener, upstreamPort, watch);
    onTestFinished(() => proxy.#close());
    return proxy;
  }

  /** The next connection that has anything to say is cut behind so many bytes of it. */
  cutBehind(what: 'request' | 'reply', bytes: number): void {
    this.#left[what] = bytes;
  }

  /** Of the next replies only so many bytes arrive; their connections stay open, and say nothing more. */
  stallBehind(bytes: number): void {
    this.#left.reply = bytes;
    this.#stalling = true;
  }

  /** Replies arrive twice from now on. */
  doubleReplies(): void {
    this.#doubling = true;
  }

  /** Everything arrives as it should again. */
  heal(): void {
    this.#left = { request: Infinity, reply: Infinity };
    this.#stalling = false;
    this.#doubling = false;
  }

  /** The next request does not arrive; its connection breaks for the client, but not for the server. */
  holdNextRequest(): void {
    this.#holding = true;
  }

  /** What was held arrives. Resolves when the server has answered it. */
  async deliverHeld(): Promise<void> {
    const held = this.#held.splice(0);
    for (const { upstream, bytes } of held) {
      upstream.write(bytes);
      await once(upstream, 'data');
      upstream.destroy();
    }
  }

  #accept(client: Socket, upstreamPort: number): void {
    const upstream = connect(upstreamPort, '127.0.0.1');
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#sockets.delete(socket));
    }
    const isHeld = (): boolean => this.#held.some((one) => one.upstream === upstream);
    client.on('close', () => isHeld() || upstream.destroy());
    upstream.on('close', () => client.destroy());
    client.on('data', (bytes: Buffer) => {
      if (!this.#holding) return this.#pass('request', bytes, upstream, client);
      this.#holding = false;
      this.#held.push({ upstream, bytes });
      client.destroy();
    });
    upstream.on('data', (bytes: Buffer) => this.#pass('reply', bytes, client, upstream));
  }

  #pass(what: 'request' | 'reply', bytes: Buffer, to: Socket, from: Socket): void {
    this.#watch(what, bytes);
    const left = this.#left[what];
    if (this.#stalling && what === 'reply') {
      this.#left.reply = Math.max(0, left - bytes.length);
      return void to.write(bytes.subarray(0, left));
    }
    if (this.#doubling && what === 'reply') to.write(bytes);
    if (left === Infinity) return void to.write(bytes);
    this.#left[what] = left - bytes.length;
    if (left > bytes.length) return void to.write(bytes);
    this.#left[what] = Infinity;
    this.cuts += 1;
    // The other end gets what was let through, then the end of the connection.
    to.write(bytes.subarray(0, left), () => {
      to.destroy();
      from.destroy();
    });
  }

  async #close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#listener.close();
    await once(this.#listener, 'close');
  }
}
