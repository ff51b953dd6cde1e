/**
 * What a reader of a cell sees. As long as memcached loses nothing, each value is built on the one
 * that was there before: values never go backwards. And once a strict update has begun, no older
 * holder's write lands.
 */
export interface Write {
  readonly token: number;
  readonly base: number;
  /** JSON, or `deleted`. */
  readonly value: string;
  /** Milliseconds to live; 0: for ever. */
  readonly expireMs: number;
}

interface Cell {
  /** What is there, if it was never lost. */
  present: Write | undefined;
  /** A worker has deleted it since. */
  isDeleted: boolean;
  /** Somebody else's value is there. */
  isForeign: boolean;
  /** Memcached lost it; until a commit of what is there is accepted, others may be there for a while. */
  isLost: boolean;
  /** It, or an expiry, may have taken a commit away that was not acknowledged: that counts without copies. */
  lostSinceCommit: boolean;
  expiresMs: number;
  readonly writes: Map<number, Write>;
  /** By token: when it last landed. */
  readonly writtenAt: Map<number, number>;
  /** Joint commits, which Redis has accepted before any cell has them. */
  readonly joint: Set<number>;
  /** All that Redis has accepted. */
  readonly accepted: Set<number>;
  /** The token of the last strict update; 0: none, or the cell was lost since. */
  strict: number;
  /** The token of the last commit that Redis accepted. */
  acknowledged: number;
  /** The same by the order of acquisition: a stale holder may draw a newer token. */
  strictHolder: number;
  /** By token: the acquisition under which it was drawn. */
  readonly holderOf: Map<number, number>;
  /** When it was last lost, and last closed to older holders (a new CAS, or a placeholder); and by token, when that was drawn. */
  lostAt: number;
  closedAt: number;
  readonly drawnAt: Map<number, number>;
}

/** memcached may drop an item up to two seconds early. */
const TTL_ROUNDING_MS = 2_000;

export class CellWatch {
  readonly #now: () => number;
  readonly #report: (promise: string, what: string) => void;
  readonly #cells = new Map<string, Cell>();
  /** Counts what was observed: several things happen at one time. */
  #events = 0;

  constructor(now: () => number, report: (promise: string, what: string) => void) {
    this.#now = now;
    this.#report = report;
  }

  written(key: string, text: string, ttlSeconds: number): void {
    const envelope = JSON.parse(text) as Partial<Write> & {
      value?: unknown;
      placeholder?: boolean;
    };
    if (envelope.placeholder === true) return this.closed(key);
    const { token = 0, base = 0, expireMs = 0, value } = envelope;
    const write: Write = {
      token,
      base,
      value: value === undefined ? 'deleted' : JSON.stringify(value),
      expireMs,
    };
    const cell = this.#cellOf(key);
    // A worker has deleted it since there was no room for a commit: as over what memcached has lost, an older one's `add` may land late.
    cell.isLost ||= cell.isDeleted && base !== cell.acknowledged;
    // It may have been gone: with a commit in it that Redis does not know yet, nothing else has that value.
    if (cell.present !== undefined && this.#now() >= cell.expiresMs) cell.lostSinceCommit = true;
    if (token === base && token > 0) this.#checkRestored(key, cell, write);
    else {
      this.#checkOrder(key, cell, write);
      cell.writes.set(token, write);
    }
    cell.present = write;
    cell.writtenAt.set(token, ++this.#events);
    cell.isDeleted = false;
    cell.expiresMs =
      ttlSeconds === 0
        ? Number.POSITIVE_INFINITY
        : this.#now() + ttlSeconds * 1000 - TTL_ROUNDING_MS;
  }

  /** What was read of it before cannot be written over any more. */
  closed(key: string): void {
    this.#cellOf(key).closedAt = ++this.#events;
  }

  /** A lane was taken under that token. */
  drawn(key: string, token: number): void {
    this.#cellOf(key).drawnAt.set(token, ++this.#events);
  }

  /** Readers see nothing; that is no loss, since Redis has what is true. */
  deleted(key: string): void {
    this.#cellOf(key).isDeleted = true;
  }

  lost(key: string): void {
    const cell = this.#cellOf(key);
    cell.lostAt = ++this.#events;
    cell.isLost = true;
    cell.lostSinceCommit = true;
    cell.isForeign = false;
    cell.present = undefined;
    cell.strict = 0;
    cell.strictHolder = 0;
  }

  overwritten(key: string): void {
    this.lost(key);
    this.#cellOf(key).isForeign = true;
  }

  acknowledged(key: string, token: number): void {
    const cell = this.#cellOf(key);
    for (const older of cell.drawnAt.keys()) if (older <= token) cell.drawnAt.delete(older);
    cell.acknowledged = token;
    cell.accepted.add(token);
    if (cell.present?.token !== token) {
      // It was there before memcached lost it, and an older joint commit's write landed late: that is put right.
      if ((cell.writtenAt.get(token) ?? cell.lostAt) < cell.lostAt) cell.isLost = true;
      return;
    }
    cell.isLost = false;
    cell.lostSinceCommit = false;
  }

  /** A joint commit was accepted: its cell is written from now on, by whomever. */
  decided(key: string, write: Write): void {
    const cell = this.#cellOf(key);
    cell.writes.set(write.token, write);
    cell.joint.add(write.token);
    this.acknowledged(key, write.token);
  }

  /** A reader sees the key as it was before a commit. */
  isOlder(key: string, token: number): boolean {
    const { present, isDeleted, isForeign, isLost, expiresMs } = this.#cellOf(key);
    // Over what memcached has lost, an older commit's `add` may land late.
    if (isDeleted || isForeign || isLost) return false;
    if (present === undefined) return this.#neverCame(key);
    return this.#now() < expiresMs && present.token < token;
  }

  /** Redis has a value for ever, and memcached, which lost nothing and had room, has none. */
  #neverCame(key: string): boolean {
    const { writes, acknowledged } = this.#cellOf(key);
    const { value = 'deleted', expireMs = 0 } = writes.get(acknowledged) ?? {};
    return value !== 'deleted' && expireMs === 0;
  }

  /** A process applies a job under that token. `acquisition`: its place among all who had the lock. */
  works(key: string, token: number, acquisition: number): void {
    const cell = this.#cellOf(key);
    if (!cell.holderOf.has(token)) cell.holderOf.set(token, acquisition);
  }

  strictStarted(key: string, token: number, acquisition: number): void {
    const cell = this.#cellOf(key);
    const { lostAt, closedAt, drawnAt } = cell;
    // Lost between its being closed and this: as if it were lost a moment later, when the update has begun.
    if (lostAt > Math.max(closedAt, drawnAt.get(token) ?? 0)) return;
    cell.strict = Math.max(cell.strict, token);
    cell.strictHolder = Math.max(cell.strictHolder, acquisition);
  }

  /** The commit of that token, if it ever landed. */
  writeOf(key: string, token: number): Write | undefined {
    return this.#cellOf(key).writes.get(token);
  }

  lostSinceCommit(key: string): boolean {
    return this.#cellOf(key).lostSinceCommit;
  }

  /** Somebody has put a stale cell right: only where memcached had lost it, or let it expire, and only what was acknowledged. */
  #checkRestored(key: string, cell: Cell, { token, value }: Write): void {
    const what = `${key}: a stale cell was made commit ${token}`;
    if (token > cell.acknowledged) this.#report('P1', `${what}, which was never acknowledged`);
    if (cell.joint.has(token) && (cell.present?.token ?? 0) <= token)
      this.#checkJoint(key, cell, token);
    else if (!cell.isLost && this.#now() < cell.expiresMs)
      this.#report('P1', `${what}, though memcached had not lost it`);
    const committed = cell.writes.get(token)?.value;
    if (committed !== undefined && value !== committed && value !== 'deleted')
      this.#report('P1', `${what}, but ${value}, not ${committed}`);
    cell.isLost = token !== cell.acknowledged;
  }

  /** What readers saw was acknowledged, and the commit leads on from it; it may skip some whose cells were never written. */
  #checkJoint(key: string, cell: Cell, token: number): void {
    if (token < cell.strict)
      this.#report('P1', `${key}: write ${token} landed after a later strict update`);
    if (cell.isForeign) this.#report('P9', `${key}: ${token} was written over a foreign value`);
    const { present, isDeleted } = cell;
    if (present === undefined || isDeleted || cell.isLost || this.#now() >= cell.expiresMs) return;
    if (!cell.accepted.has(present.token))
      this.#report('P1', `${key}: a reader sees ${present.token}, which goes with ${token}`);
  }

  #checkOrder(key: string, cell: Cell, { token, base }: Write): void {
    const holder = cell.holderOf.get(token) ?? cell.strictHolder;
    if (token < cell.strict || holder < cell.strictHolder) {
      this.#report('P1', `${key}: write ${token} landed after the strict update of a later holder`);
    }
    if (cell.isForeign) this.#report('P9', `${key}: ${token} was written over a foreign value`);
    const { present, isDeleted } = cell;
    if (present === undefined || isDeleted || cell.isLost || this.#now() >= cell.expiresMs) return;
    if (base === present.token) return;
    this.#report(
      'P1',
      `${key}: a reader sees ${present.token}, then ${token}, which was built on ${base}`,
    );
  }

  #cellOf(key: string): Cell {
    let cell = this.#cells.get(key);
    if (cell === undefined) {
      cell = {
        present: undefined,
        isDeleted: false,
        isForeign: false,
        isLost: false,
        lostSinceCommit: false,
        expiresMs: 0,
        writes: new Map(),
        writtenAt: new Map(),
        joint: new Set(),
        accepted: new Set([0]),
        strict: 0,
        acknowledged: 0,
        strictHolder: 0,
        holderOf: new Map(),
        lostAt: 0,
        closedAt: 0,
        drawnAt: new Map(),
      };
      this.#cells.set(key, cell);
    }
    return cell;
  }
}
