/** Stands before a server and spoils the connections to it, in all ways that a network does. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { Pipe } from './pipe.ts';

/** Which connections: all, or those of one client's address. */
export type Whose = string | undefined;

class Link {
  readonly peer: string;
  readonly client: Socket;
  readonly server: Socket;
  readonly toServer: Pipe;
  readonly toClient: Pipe;

  constructor(client: Socket, server: Socket) {
    this.client = client;
    this.server = server;
    this.peer = (client.remoteAddress ?? '').replace('::ffff:', '');
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined); // 'close' follows
    }
    this.toServer = new Pipe(client, server);
    this.toClient = new Pipe(server, client);
  }

  get pipes(): readonly Pipe[] {
    return [this.toServer, this.toClient];
  }

  cut(): void {
    for (const pipe of this.pipes) pipe.break();
    reset(this.client);
    reset(this.server);
  }
}

/** A socket whose end is under way already cannot be reset any more: libuv refuses, and Node then keeps it for ever. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

export class Proxy {
  readonly port: number;
  readonly #listener: Server;
  #upstreamPort: number;
  readonly #links = new Set<Link>();
  readonly #timers = new Set<NodeJS.Timeout>();

  private constructor(listener: Server, upstreamPort: number) {
    this.#listener = listener;
    this.port = (listener.address() as AddressInfo).port;
    this.#upstreamPort = upstreamPort;
    listener.on('connection', (client) => this.#accept(client, this.#upstreamPort));
  }

  /** Listens on a free port of `host` and passes on to 127.0.0.1. */
  static async open(host: string, upstreamPort: number): Promise<Proxy> {
    // Half-open: the client's end must not be answered with ours before all has been delivered.
    const listener = createServer({ allowHalfOpen: true }).listen(0, host);
    await once(listener, 'listening');
    return new Proxy(listener, upstreamPort);
  }

  #accept(client: Socket, upstreamPort: number): void {
    const server = connect({ port: upstreamPort, host: '127.0.0.1', allowHalfOpen: true });
    const link = new Link(client, server);
    this.#links.add(link);
    server.on('close', () => {
      this.#links.delete(link);
      client.destroy();
    });
  }

  /** Where new connections lead from now on. */
  redirect(upstreamPort: number): void {
    this.#upstreamPort = upstreamPort;
  }

  /** Ends connections at once; what was under way is lost, or not, as it happens. */
  cut(whose: Whose): number {
    return this.#each(whose, (link) => link.cut());
  }

  /** The client's side ends at once, what it has sent is delivered later. */
  cutAndDeliverLate(whose: Whose, lateMs: number): number {
    const links = this.#chosen(whose);
    for (const link of links) {
      link.toServer.hold();
      link.toClient.break();
    }
    // A moment, so that something is under way; then the client is cut off from it.
    this.#after(lateMs / 10, () => links.forEach(({ client }) => reset(client)));
    this.#after(lateMs, () => links.forEach((link) => link.toServer.release()));
    return links.length;
  }

  /**
   * Lets so many bytes of what each of the connections says next through, or of what it is told, and ends it
   * there: the other end has them, and knows of no more.
   */
  cutAtByte(whose: Whose, which: 'requests' | 'replies', bytes: number, forMs: number): number {
    const links = this.#chosen(whose);
    for (const link of links) {
      const [pipe, from] =
        which === 'requests' ? [link.toServer, link.client] : [link.toClient, link.server];
      pipe.cutAfter(bytes, () => reset(from));
      this.#after(forMs, () => pipe.cutAfter(undefined));
    }
    return links.length;
  }

  /** Open, but nothing arrives for a while: in both directions, or no replies only. Then all of it, or the end. */
  silence(whose: Whose, which: 'both' | 'replies', forMs: number, thenCut: boolean): number {
    const links = this.#chosen(whose);
    const heldPipes = links.flatMap((link) => (which === 'both' ? link.pipes : [link.toClient]));
    for (const pipe of heldPipes) pipe.hold();
    this.#after(forMs, () => {
      if (thenCut) for (const link of links) link.cut();
      for (const pipe of heldPipes) pipe.release();
    });
    return links.length;
  }

  delay(whose: Whose, delayMs: number, forMs: number): number {
    return this.#spoil(whose, forMs, (pipe, on) => {
      pipe.delayMs = on ? delayMs : 0;
    });
  }

  split(whose: Whose, pieceBytes: number, forMs: number): number {
    return this.#spoil(whose, forMs, (pipe, on) => {
      pipe.pieceBytes = on ? pieceBytes : 0;
    });
  }

  /** Ends all faults: what was held is delivered now. */
  heal(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    for (const link of this.#links) {
      // It may be half of a connection by now; the client comes back with a new one.
      if (link.client.destroyed) link.toServer.release();
      for (const pipe of link.pipes) {
        pipe.delayMs = 0;
        pipe.pieceBytes = 0;
        pipe.cutAfter(undefined);
        pipe.release();
      }
    }
  }

  async close(): Promise<void> {
    this.heal();
    for (const link of this.#links) link.cut();
    this.#listener.close();
    await once(this.#listener, 'close');
  }

  #spoil(whose: Whose, forMs: number, set: (pipe: Pipe, on: boolean) => void): number {
    const pipes = this.#chosen(whose).flatMap((link) => link.pipes);
    for (const pipe of pipes) set(pipe, true);
    this.#after(forMs, () => pipes.forEach((pipe) => set(pipe, false)));
    return pipes.length;
  }

  #each(whose: Whose, act: (link: Link) => void): number {
    const links = this.#chosen(whose);
    links.forEach(act);
    return links.length;
  }

  #chosen(whose: Whose): Link[] {
    return [...this.#links].filter(({ peer }) => whose === undefined || peer === whose);
  }

  #after(delayMs: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, delayMs);
    this.#timers.add(timer);
  }
}
