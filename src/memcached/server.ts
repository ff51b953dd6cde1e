/**
 * What Toril needs of one memcached server, in meanings, not commands. Engines: socket/ (a real
 * one, in the protocol that it speaks: protocol.ts) and memory/ (for tests and simulation). Both pass
 * test/conformance/memcached.suite.ts.
 */
import type { ErrorCode, TorilError } from '../errors.ts';

/**
 * How a request ended. `unknown` means that it may have been executed, may not have been, or may
 * still be executed later, even after the connection is gone. It always is gone: whatever ends
 * `unknown` ends its connection, and with it everything outstanding.
 */
export type Outcome<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'refused'; readonly reason: Refusal; readonly found?: Item }
  | { readonly kind: 'unknown'; readonly cause: TorilError };

/**
 * Why a request certainly did nothing; but see `NewItem.isCopied`.
 * - `missing`: no such item (get, replace, delete, bump, touch); bump also: no room for its copy
 * - `exists`: add found an item; a conditional write found another CAS
 * - `too-large`: the value exceeds `item_size_max`
 * - `out-of-memory`: the server could not make room
 * - `not-sent`: the connection was closed already, so nothing went out
 */
export type Refusal = 'missing' | 'exists' | 'too-large' | 'out-of-memory' | 'not-sent';

/** One object for each: they are nearly as frequent as successes. */
export const REFUSED: { readonly [R in Refusal]: Outcome<never> } = {
  missing: { kind: 'refused', reason: 'missing' },
  exists: { kind: 'refused', reason: 'exists' },
  'too-large': { kind: 'refused', reason: 'too-large' },
  'out-of-memory': { kind: 'refused', reason: 'out-of-memory' },
  'not-sent': { kind: 'refused', reason: 'not-sent' },
};

/** An add or a replace was refused for what stands there: some engines know it by then. */
export function refusedFor(found: Item): Outcome<never> {
  return { kind: 'refused', reason: 'exists', found };
}

export interface Item {
  readonly value: Buffer;
  readonly flags: number;
  readonly cas: Cas;
}

/** 64 bits, compared for equality only; never 0n. */
export type Cas = bigint;

/** Of what was stored by a writer that does not ask (`NewItem.isLast`). */
export const NO_CAS: Cas = 0n;

export interface NewItem {
  readonly value: Buffer;
  /** 32 bits, stored beside the value. */
  readonly flags: number;
  /** Whole seconds; 0: no expiry. Longer than 30 days must be converted to an absolute time by the engine. */
  readonly ttlSeconds: number;
  /**
   * What it is written over is kept elsewhere, too. Then a refusal for want of room (`out-of-memory`, `too-large`)
   * may have taken along what stood there, whatever the condition; as an eviction does. It is the cheaper way in the
   * meta protocol. Never for a lock, nor for a write that has no copy behind it.
   */
  readonly isCopied?: boolean;
  /**
   * The CAS that it gets, chosen by its writer: never 0n, and no CAS that the name ever had. Only where `casByUs`, and only
   * for what has neither value nor flags. It may replace nothing but its like, of which nothing but CAS and expiry
   * then change: that takes no memory.
   */
  readonly chosenCas?: Cas;
  /** Its writer does nothing more under its CAS: an engine that would have to ask for it resolves with NO_CAS. */
  readonly isLast?: boolean;
}

/**
 * One TCP connection, from its establishment to its end. It never reconnects: whatever is bound to
 * it (a lease) is over when it is. Requests run in the order in which they were made; those made in
 * one moment (before `Clock.soon` fires) go out in one write. Item names are checked by the caller:
 * 1 to 250 bytes, no blanks or control characters.
 */
export interface Connection {
  /** Counts the connections to this server in this process, from 1. */
  readonly epoch: number;
  /** Whether items may be stored under a CAS of one's own (`NewItem.chosenCas`). */
  readonly casByUs: boolean;
  /** False from the moment at which nothing more will be sent. */
  readonly alive: boolean;
  /** Resolves when the connection has ended and everything outstanding was failed. */
  readonly ended: Promise<void>;

  get(name: string): Promise<Outcome<Item>>;
  /** Stores only where nothing is. Resolves with the new item's CAS. */
  add(name: string, item: NewItem): Promise<Outcome<Cas>>;
  /** Stores only over an item with exactly this CAS (asserted not to be 0n). Never creates. */
  replace(name: string, item: NewItem, cas: Cas): Promise<Outcome<Cas>>;
  /** Deletes only an item with exactly this CAS (asserted not to be 0n). */
  delete(name: string, cas: Cas): Promise<Outcome<void>>;
  /**
   * Gives the item with this CAS a new one without moving its bytes. Resolves with it; nobody else is told the same one.
   * Refused (`missing`, `exists`), it may have been done all the same: look, and ask again.
   */
  bump(name: string, cas: Cas): Promise<Outcome<Cas>>;
  /** Reads and sets the expiry in one step; the CAS stays as it is. */
  getAndTouch(name: string, ttlSeconds: number): Promise<Outcome<Item>>;
  /** Closes at once; everything outstanding ends `unknown`. */
  destroy(): void;
}

/** What a server says of itself when it is first met. */
export interface ServerFacts {
  readonly version: string;
  readonly protocol: 'meta' | 'binary' | 'memory';
  /** Bytes of the largest item, headers included (`item_size_max`). */
  readonly itemSizeMax: number;
  /** Bytes that flags other than 0 take of an item: 8 if the server was built for 64 bits of them. */
  readonly flagsBytes: number;
  /** A writer may say which CAS its item gets (the meta flag E, from 1.6.27 on). */
  readonly casByUs: boolean;
}

/** Others mean that a server is wrong, or set up wrongly: the next attempt ends the same way. */
const PASSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'MEMCACHED_UNREACHABLE',
  'MEMCACHED_TIMED_OUT',
  'MEMCACHED_CLOSED',
  'MEMCACHED_REFUSED',
  'MEMCACHED_TLS', // certificates expire, and are renewed
]);

/** Whether what failed with this error may go well later, without anybody's changing the configuration. */
export function mayComeLater({ code }: TorilError): boolean {
  return PASSING.has(code);
}

export interface MemcachedServer {
  /** `host:port`, as the user wrote it: part of the server list's fingerprint. */
  readonly address: string;
  /** The living connection, or undefined while there is none. */
  readonly current: Connection | undefined;
  /** Why the last attempt to connect failed, while there is no connection. Trying goes on all the same. */
  readonly trouble: TorilError | undefined;
  /** Known once connected. */
  readonly facts: ServerFacts | undefined;
  /**
   * The living connection, or the next one. Rejects with a TorilError (MEMCACHED_UNREACHABLE,
   * MEMCACHED_TIMED_OUT, MEMCACHED_CLOSED, MEMCACHED_PROTOCOL, MEMCACHED_AUTH, MEMCACHED_TLS, MEMCACHED_CAS_DISABLED, CLOSED) when none comes within the
   * request deadline, or at once when an attempt shows that waiting cannot help; trying goes on in
   * the background, with backoff. Nothing is tried before the first call.
   */
  connection(): Promise<Connection>;
  /**
   * Ends all attempts, waits for what is outstanding, and ends the connection. `atOnce`, also while it closes:
   * waits for nothing.
   */
  close(atOnce?: boolean): Promise<void>;
}
