/** Who holds a key's lock, and for how long it has not been renewed, as far as this process has looked. */
import type { Clock } from '../../base/clock.ts';
import { ForgetfulMap } from '../../base/forgetful-map.ts';
import { foreignLock, parseLock } from '../../lock/lock-item.ts';
import type { Cas, Connection } from '../../memcached/server.ts';
import { lockName } from '../../memcached/item-names.ts';

export interface LockSight {
  readonly leaseMs: number;
  /** Since this process has first seen it as it is. A living holder renews it each third of its lease. */
  readonly unchangedMs: number;
}

/** Locks that are remembered. */
const SEEN_MAX = 10_000;

interface Seen {
  readonly owner: string;
  readonly cas: Cas;
  readonly sinceMs: number;
}

export class LockSights {
  readonly #clock: Clock;
  readonly #seen = new ForgetfulMap<string, Seen>(SEEN_MAX);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Undefined: nobody holds it. @throws TorilError FOREIGN_VALUE, MEMCACHED_... */
  async look(key: string, connection: Connection): Promise<LockSight | undefined> {
    const name = lockName(key);
    const outcome = await connection.get(name);
    if (outcome.kind === 'unknown') throw outcome.cause;
    if (outcome.kind !== 'done') return undefined;
    const { cas } = outcome.value;
    const content = parseLock(outcome.value);
    if (content === undefined) throw foreignLock(name);
    const { owner, durationMs: leaseMs } = content;
    const nowMs = this.#clock.monotonicMs();
    const last = this.#seen.get(key);
    const isSame = last !== undefined && last.cas === cas && last.owner === owner;
    const sinceMs = isSame ? last.sinceMs : nowMs;
    this.#seen.set(key, { owner, cas, sinceMs });
    return { leaseMs, unchangedMs: nowMs - sinceMs };
  }
}
