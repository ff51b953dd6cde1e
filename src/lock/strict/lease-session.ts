/**
 * The time between acquiring leases and giving them back: the user's function runs, then its writes
 * go out, each with the release of its lease behind it in the same packet. If the process dies
 * before that packet, nothing was written; if it freezes, either the leases are still held when it
 * goes on, or the cells have got another CAS from the next holder, which refuses the writes.
 */
import { type ErrorCode, TorilError } from '../../errors.ts';
import { cellName } from '../../memcached/item-names.ts';
import type { Cas, Connection, Item, NewItem, Outcome } from '../../memcached/server.ts';
import type { DrawnToken, Lease } from '../lock.ts';
import type { OwnCommits } from '../own-commits.ts';
import type { CellCodec } from './cell-codec.ts';
import type { HeldKeys } from './held-keys.ts';

/** A key whose lease is held and whose cell is closed to all older holders. */
export interface HeldCell {
  readonly key: string;
  readonly lease: Lease;
  /** The cell; undefined: it was missing, and our placeholder is there. */
  readonly item: Item | undefined;
  /** The cell's CAS now. */
  readonly cas: Cas;
  readonly value: unknown;
}

/**
 * - `written`: it is the cell's value
 * - `refused`: certainly not written, now or later
 * - `unknown`: the answer is missing; it may have been written, or may be as long as nobody acquires
 *   the key again
 */
export type WriteFate = 'written' | 'refused' | 'unknown';

/** Not everything that a function under a lease wanted written was written. */
export class UncommittedError extends TorilError {
  override readonly name: string = 'UncommittedError';
  /** By key, only those for which the function called `write`. */
  readonly writes: ReadonlyMap<string, WriteFate>;

  constructor(
    code: ErrorCode,
    message: string,
    writes: ReadonlyMap<string, WriteFate>,
    cause: unknown,
  ) {
    super(code, message, cause === undefined ? undefined : { cause });
    this.writes = writes;
  }
}

export interface LeaseSessionParts {
  readonly cells: readonly HeldCell[];
  readonly codec: CellCodec;
  readonly drawn: DrawnToken;
  /** Where commits are remembered. */
  readonly commits: OwnCommits;
}

interface SentWrite {
  readonly key: string;
  readonly connection: Connection;
  readonly outcome: Promise<Outcome<Cas>>;
}

export class LeaseSession {
  readonly #cells: readonly HeldCell[];
  readonly #codec: CellCodec;
  readonly #drawn: DrawnToken;
  readonly #commits: OwnCommits;
  readonly #writes = new Map<string, NewItem>();
  readonly #controller = new AbortController();
  #over = false;

  constructor({ cells, codec, drawn, commits }: LeaseSessionParts) {
    this.#cells = cells;
    this.#codec = codec;
    this.#drawn = drawn;
    this.#commits = commits;
  }

  /** Single use. See `Locks.withLease` for what it throws. */
  async run<Result>(fn: (held: HeldKeys) => Promise<Result> | Result): Promise<Result> {
    const lost = this.#whenLost();
    const running = this.#start(fn);
    try {
      const result = await Promise.race([running, lost]);
      this.#over = true;
      await this.#commit();
      return result;
    } finally {
      this.#over = true;
      // Waited for, since a process that exits right afterwards would not have sent it yet; but
      // a holder that has lost its lease is told at once.
      const givenBack = this.#giveBack();
      if (!this.#controller.signal.aborted) await givenBack;
    }
  }

  #start<Result>(fn: (held: HeldKeys) => Promise<Result> | Result): Promise<Result> {
    const running = (async () => fn(this.#heldKeys()))();
    // After a loss nobody waits for the function any more; its own failure is then its own affair.
    running.catch(() => {});
    return running;
  }

  #heldKeys(): HeldKeys {
    const cells = new Map(this.#cells.map((cell) => [cell.key, cell]));
    const cellOf = (key: string): HeldCell => {
      const cell = cells.get(key);
      if (cell !== undefined) return cell;
      throw new TorilError('INVALID_KEY', `"${key}" is not among the keys whose leases are held.`);
    };
    return {
      keys: [...cells.keys()],
      token: this.#drawn.token,
      signal: this.#controller.signal,
      read: (key) => cellOf(key).value,
      write: (key, value) => this.#write(cellOf(key), value),
    };
  }

  /** Encoded here and now: what its caller does with the object afterwards does not count. */
  #write({ key, item }: HeldCell, value: unknown): void {
    if (this.#over)
      throw new TorilError('LEASE_LOST', `too late to write "${key}": the lease is over.`);
    const context = { key, ...this.#drawn, previous: item };
    this.#writes.set(key, this.#codec.encode(value, context));
  }

  /** Rejects when the first of the leases is lost. */
  #whenLost(): Promise<never> {
    const lost = new Promise<never>((_, reject) => {
      for (const { lease } of this.#cells) {
        const abort = (): void => {
          this.#controller.abort(lease.signal.reason);
          reject(this.#lostError(new Map(), lease.signal.reason));
        };
        if (lease.signal.aborted) abort();
        else lease.signal.addEventListener('abort', abort, { once: true });
      }
    });
    lost.catch(() => {});
    return lost;
  }

  async #commit(): Promise<void> {
    for (const { lease } of this.#cells) {
      if (lease.trustLeftMs() === 0) throw this.#lostError(new Map(), lease.signal.reason);
    }
    const sent: SentWrite[] = [];
    for (const { key, lease, cas } of this.#cells) {
      const item = this.#writes.get(key);
      if (item === undefined) continue;
      const { connection } = lease;
      sent.push({ key, connection, outcome: connection.replace(cellName(key), item, cas) });
      void lease.release();
    }
    const givenBack = this.#giveBack();
    await this.#judge(sent);
    await givenBack;
  }

  async #judge(sent: readonly SentWrite[]): Promise<void> {
    const writes = new Map<string, WriteFate>();
    let failed: { key: string; outcome: Outcome<unknown> } | undefined;
    for (const { key, connection, outcome: pending } of sent) {
      const outcome = await pending;
      writes.set(key, fateOf(outcome));
      if (outcome.kind === 'done') this.#commits.note(cellName(key), connection, outcome.value);
      else failed ??= { key, outcome };
    }
    if (failed === undefined) return;
    const { key, outcome } = failed;
    if (outcome.kind === 'refused' && outcome.reason === 'too-large') {
      const message = `the new value of "${key}" does not fit into memcached's largest item (${fates(writes)}).`;
      throw new UncommittedError('VALUE_TOO_LARGE', message, writes, undefined);
    }
    if (outcome.kind === 'refused' && outcome.reason === 'out-of-memory') {
      const message = `memcached has no room for the new value of "${key}" (${fates(writes)}).`;
      throw new UncommittedError('MEMCACHED_REFUSED', message, writes, undefined);
    }
    throw this.#lostError(writes, outcome.kind === 'unknown' ? outcome.cause : undefined);
  }

  /** Releases what is still held. A placeholder into which nothing was written is taken away again. */
  async #giveBack(): Promise<void> {
    const pending: Promise<unknown>[] = [];
    for (const { key, lease, item, cas } of this.#cells) {
      if (lease.trustLeftMs() === 0) continue;
      if (item === undefined) pending.push(lease.connection.delete(cellName(key), cas));
      pending.push(lease.release());
    }
    await Promise.all(pending);
  }

  #lostError(writes: ReadonlyMap<string, WriteFate>, cause: unknown): UncommittedError {
    const keys = this.#cells.map(({ key }) => `"${key}"`).join(', ');
    const message = `the lease on ${keys} ended before the work was committed (${fates(writes)}).`;
    return new UncommittedError('LEASE_LOST', message, writes, cause);
  }
}

function fateOf(outcome: Outcome<unknown>): WriteFate {
  if (outcome.kind === 'done') return 'written';
  return outcome.kind === 'refused' ? 'refused' : 'unknown';
}

function fates(writes: ReadonlyMap<string, WriteFate>): string {
  if (writes.size === 0) return 'nothing was written';
  return [...writes].map(([key, fate]) => `"${key}": ${fate}`).join(', ');
}
