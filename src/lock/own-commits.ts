/**
 * The last commit of this process to each cell, by the CAS that memcached gave it. Each acquisition of a lease closes the
 * cell, which gives it a new CAS. So a cell that still has the CAS of one's own last commit was closed by nobody since:
 * the acquisition can close it in its own write, and nothing has to be asked afterwards (strict-cell.ts).
 *
 * Only a CAS from one's own commit will do. One that was read while somebody else holds the lease may be the one that
 * the holder commits with, and each contender would take it away. And only on the connection on which it was told: a server
 * that restarts gives old numbers to new items.
 */
import type { Cas, Connection } from '../memcached/server.ts';

/** Cells remembered. Beyond it the one committed to longest ago is forgotten, which costs its next lease a round trip. */
export const OWN_COMMITS_MAX = 16_384;

interface OwnCommit {
  readonly connection: Connection;
  readonly cas: Cas;
  /**
   * The last acquisition found the cell as the commit before had left it. If not, somebody else is at work on the key,
   * and trying would only disturb that holder, and cost a fencing token.
   */
  isTried: boolean;
}

export class OwnCommits {
  readonly #last = new Map<string, OwnCommit>();

  get size(): number {
    return this.#last.size;
  }

  /** Whether an acquisition on this connection may close the cell by it. */
  has(cellName: string, connection: Connection | undefined): boolean {
    const last = this.#last.get(cellName);
    return last !== undefined && last.isTried && last.connection === connection;
  }

  /** Its CAS, once: whatever becomes of the request, the cell does not have it any more. */
  take(cellName: string, connection: Connection): Cas | undefined {
    const last = this.#last.get(cellName);
    if (last === undefined || !last.isTried || last.connection !== connection) return undefined;
    last.isTried = false;
    return last.cas;
  }

  /** The lease is held, and beside it the cell was read with this CAS; undefined: there was none. */
  found(cellName: string, connection: Connection, cas: Cas | undefined): void {
    const last = this.#last.get(cellName);
    if (last === undefined) return;
    if (last.connection === connection) last.isTried = last.cas === cas;
    else this.#last.delete(cellName);
  }

  /** A commit was done, under a lease that `found` was told of. */
  note(cellName: string, connection: Connection, cas: Cas): void {
    const isTried = this.#last.get(cellName)?.isTried ?? true;
    this.#last.delete(cellName);
    this.#last.set(cellName, { connection, cas, isTried });
    if (this.#last.size > OWN_COMMITS_MAX) this.#forgetOldest();
  }

  #forgetOldest(): void {
    for (const name of this.#last.keys()) {
      this.#last.delete(name);
      return;
    }
  }
}
