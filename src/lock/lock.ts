/**
 * The lock: who may change what a key names, for a while. It has never heard of jobs or cells.
 * A lease is held in a small memcached item; this file is the contract, lease.ts the arithmetic,
 * lease-locks.ts the engine, with-lease.ts the strict lock that users call.
 */
import type { DataSet } from '../redis/data-set.ts';
import type { TorilError } from '../errors.ts';
import type { Connection, MemcachedServer } from '../memcached/server.ts';

/** The right to commit to one key for a while. Bound to one connection: it ends with it. */
export interface Lease {
  /** The connection on which it was acquired, and the only one on which its holder may write. */
  readonly connection: Connection;
  readonly durationMs: number;
  /** Aborts with a TorilError LEASE_LOST the moment the lease can no longer be trusted. */
  readonly signal: AbortSignal;
  /**
   * True if it was taken from a holder that did not release it. False does not mean that the holder
   * before did: its lock may have been evicted, or have expired.
   */
  readonly takenOver: boolean;
  /**
   * Milliseconds for which it is still safe to write, by the local monotonic clock; 0 once lost.
   * Trust ends at the moment the last successful request was *sent* + durationMs.
   */
  trustLeftMs(): number;
  /**
   * Ends it. The request is issued before this returns, so it goes out in one write behind
   * whatever was issued on the connection before. Never throws; the item's expiry is the broom.
   */
  release(): Promise<void>;
  /**
   * The strict path: makes sure on the server that the lock is still ours. The request is issued
   * before this returns. False: the lease is lost.
   */
  confirm(): Promise<boolean>;
}

/** One attempt to get the lease. */
export type Acquisition =
  | { readonly kind: 'held'; readonly lease: Lease }
  /** Somebody holds it; ask again after about so long. */
  | { readonly kind: 'busy'; readonly retryAfterMs: number }
  /** The server is out of reach or the outcome is unknown and could not be found out. */
  | { readonly kind: 'unavailable'; readonly cause: TorilError };

/**
 * Called with the connection immediately before the acquiring request is issued, so that its own request (reading the
 * cell) runs first and travels in the same write. What it returns is called immediately behind that request, for what is
 * to run last in the same write. It may be called again with another connection if the first one failed: only the last
 * call counts, and it was made with the lease's connection. If the lease was found there only by looking (the answer to
 * the acquiring request was lost), nothing is called behind.
 */
export type Beside = (connection: Connection) => void | (() => void);

export interface LeaseLocks {
  /** One attempt on one server. `leaseMs`: if not the default. */
  attempt(
    server: MemcachedServer,
    lockName: string,
    beside: Beside,
    leaseMs?: number,
  ): Promise<Acquisition>;
  /** Stops all renewals. Leases that are still held are lost for their holders, and released. */
  close(): Promise<void>;
}

/** How long a token is waited for, by somebody who holds a lease meanwhile. */
export interface Drawing {
  /** Nobody waits any longer. */
  readonly signal: AbortSignal;
  /** Why there is none yet; asking goes on. */
  readonly troubled: (cause: TorilError) => void;
}

/** A fencing token, and the Redis data set that gave it out. */
export interface DrawnToken {
  readonly token: number;
  readonly dataSet: DataSet;
}

/** Where fencing tokens come from; they must grow over all processes and restarts. */
export interface TokenSource {
  /**
   * Draws the next token. Call it only *after* the lease is held, or where the acquisition then proves that nobody has
   * closed the cell since (own-commits.ts). Waits for what may pass by itself (no
   * connection, a server that is loading), and rejects with what does not.
   */
  drawToken(drawing?: Drawing): Promise<DrawnToken>;
}
