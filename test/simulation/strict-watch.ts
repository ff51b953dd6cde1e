/**
 * Exclusion in time, for updates that act on the outside world: as long as memcached does not lose the
 * lock, no strict update begins after somebody else has acquired the lease, nor while an earlier
 * holder's still runs that has not been told to stop.
 */
interface Running {
  readonly process: string;
  readonly jobId: string;
  readonly acquisition: number;
  /** Told to stop, or not able to run: nobody can do more than that to an update that has begun. */
  readonly isStopped: () => boolean;
}

interface Lock {
  owner: string;
  /** How often it has been acquired. */
  acquisitions: number;
  /** Those up to this one were lost with the lock. */
  lostUpTo: number;
  /** By process: its last acquisition. */
  readonly holders: Map<string, number>;
  readonly running: Set<Running>;
}

export class StrictWatch {
  readonly #report: (promise: string, what: string) => void;
  readonly #locks = new Map<string, Lock>();

  constructor(report: (promise: string, what: string) => void) {
    this.#report = report;
  }

  /** An owner id was written into the lock; it begins with the name of the process. */
  locked(key: string, owner: string): void {
    const lock = this.#lockOf(key);
    if (lock.owner === owner) return; // renewed
    lock.owner = owner;
    lock.holders.set(owner.slice(0, owner.lastIndexOf('-')), ++lock.acquisitions);
  }

  /** By CAS each renewal makes another lock: what a process writes over its own is taken for one. */
  lockedByCas(key: string, process: string, cas: bigint, replaces: boolean): void {
    if (replaces && this.#lockOf(key).owner.startsWith(`${process}-`)) return;
    this.locked(key, `${process}-${cas}`);
  }

  /** Memcached has forgotten the lock: from now on several may hold it. */
  lost(key: string): void {
    const lock = this.#lockOf(key);
    lock.lostUpTo = lock.acquisitions;
  }

  /** The number of the process's last acquisition; 0: it never had the lock. */
  acquisitionOf(key: string, process: string): number {
    return this.#lockOf(key).holders.get(process) ?? 0;
  }

  /** Returns what must be called when the update has ended. */
  started(key: string, process: string, jobId: string, isStopped: () => boolean): () => void {
    const lock = this.#lockOf(key);
    const acquisition = lock.holders.get(process) ?? 0;
    if (acquisition > lock.lostUpTo) this.#check(lock, acquisition, key, process, jobId);
    const running: Running = { process, jobId, acquisition, isStopped };
    lock.running.add(running);
    return () => void lock.running.delete(running);
  }

  /** The lock was not lost since the process acquired it. */
  #check(lock: Lock, acquisition: number, key: string, process: string, jobId: string): void {
    if (acquisition < lock.acquisitions) {
      this.#report(
        'P1',
        `${key}: the strict update of job ${jobId} begins in ${process}, though ${lock.owner} has the lease`,
      );
    }
    for (const other of lock.running) {
      if (other.process === process || other.acquisition <= lock.lostUpTo) continue;
      if (other.isStopped()) continue;
      this.#report(
        'P1',
        `${key}: the strict updates of job ${other.jobId} in ${other.process} and of job ${jobId} in ${process} run at once`,
      );
    }
  }

  #lockOf(key: string): Lock {
    let lock = this.#locks.get(key);
    if (lock === undefined) {
      lock = { owner: '', acquisitions: 0, lostUpTo: 0, holders: new Map(), running: new Set() };
      this.#locks.set(key, lock);
    }
    return lock;
  }
}
