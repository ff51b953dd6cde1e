/**
 * What one TCP connection needs of a protocol: requests as bytes, bytes as replies, and what a reply means to
 * the request that it answers. `socket/` has everything else, and knows no protocol; `meta/` and `binary/` are the
 * engines.
 */
import type { Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import type { ErrorCode, TorilError } from '../errors.ts';
import type { Credentials, LocksSetting } from './options.ts';
import type { Cas, Connection, NewItem, Outcome, ServerFacts } from './server.ts';
import type { Room } from './socket/room.ts';

/**
 * What a reply means to the request it answers: an outcome, `more` if further replies belong to it,
 * or why it cannot be trusted, which ends the connection: an `unknown` must leave no connection
 * behind on which a lease could live on.
 */
export type Meaning<T> = Outcome<T> | 'more' | Distrust;

export interface Distrust {
  readonly kind: 'distrusted';
  readonly code: ErrorCode;
  /** Behind `memcached at …: `. */
  readonly what: string;
}

export interface Request<Reply> {
  /** Called once for each of its replies. A reply is only there while it is delivered. */
  read(reply: Reply): Meaning<unknown>;
  /** What it means that a later request is answered, and this one was not; undefined: it must be. */
  readonly silence: Outcome<unknown> | undefined;
}

/** Cuts the bytes of a connection into replies. */
export interface ReplyParser {
  /** How many bytes must be there before it is worth looking again; at least 1. */
  readonly needed: number;
  /** Delivers what is complete. Returns where the first incomplete reply begins. */
  parse(bytes: Buffer): number;
  /** Nothing more is delivered, also not from the bytes at hand. */
  stop(): void;
}

export interface ReplySink<Reply> {
  receive(reply: Reply): void;
  /** Called once, when bytes came that are no reply; nothing is read after that. */
  garbage(what: string): void;
}

/** A protocol on one connection. */
export interface Protocol<Q extends Request<Reply>, Reply> {
  /** `NewItem.chosenCas` may be given. */
  readonly casByUs: boolean;

  // The contract's requests (server.ts), whose conditions are checked already.
  get(name: string): Q;
  add(name: string, item: NewItem): Q;
  replace(name: string, item: NewItem, cas: Cas): Q;
  delete(name: string, cas: Cas): Q;
  bump(name: string, cas: Cas): Q;
  getAndTouch(name: string, ttlSeconds: number): Q;

  /** False: the item is known to be too large, and is not to be sent. */
  fits(name: string, item: NewItem): boolean;
  /** Bytes that a request takes at most. */
  bytesAtMost(request: Q): number;
  /** Writes a request into a room that has so many left. `number` counts the connection's requests, in 32 bits. */
  write(request: Q, number: number, room: Room): void;
  parser(sink: ReplySink<Reply>): ReplyParser;
  /** Whether a reply belongs to the request of this number. */
  answers(reply: Reply, request: Q, number: number): boolean;
  /** For messages: what was answered, if nobody asked for it. */
  described(reply: Reply): string;
  /** A request that is always answered: goes behind one that may remain unanswered. */
  barrier(): Q;
  /** The last bytes on a connection; nobody waits for an answer. */
  readonly goodbye: Buffer;
}

/** Made by an engine; its owner ends it. */
export interface OwnedConnection extends Connection {
  /** Takes nothing more, waits for what is outstanding, then closes. */
  drain(): Promise<void>;
}

/** What one knows before the first byte. */
export interface GreetingOptions {
  readonly address: string;
  readonly clock: Clock;
  readonly requestDeadlineMs: number;
  /** The socket is a TLS one. */
  readonly encrypted: boolean;
  readonly credentials: Credentials | undefined;
  /** What does not tell its settings may be used, if it shows a CAS. */
  readonly acceptsUnproven: boolean;
  /** `cas`: locks are written without a value, where the server can. */
  readonly locks: LocksSetting;
}

export interface Greeted {
  readonly kind: 'greeted';
  readonly facts: ServerFacts;
  connect(epoch: number): OwnedConnection;
}

/** The server speaks something else. Nothing more may be said on this connection: it is destroyed. */
export interface NotSpoken {
  readonly kind: 'not-spoken';
  /** What is said if nothing else is tried. */
  readonly error: TorilError;
}

export interface ProtocolEngine {
  /** Loads what it consists of; waited for before a socket is opened. Undefined: it is there. */
  readonly ready?: () => Promise<void>;
  /**
   * Finds out on a fresh socket whether the server can be used: it lets us in, speaks the protocol, and has CAS.
   * Rejects with a TorilError if it does not; the socket is destroyed then.
   */
  greet(socket: Socket, options: GreetingOptions): Promise<Greeted | NotSpoken>;
}
