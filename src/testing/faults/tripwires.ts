/** Faults that strike a worker at a certain point of its turn, where a crash leaves most behind. */

/**
 * - `before-take`: it holds the lease, and nothing else has happened
 * - `after-take`: it knows the lane's head
 * - `before-commit`: its commit is on its way to memcached, and goes out when the worker is thawed
 * - `after-commit`: memcached has the commit, Redis has not heard of it
 * - `after-acknowledge`: Redis has it, too; BullMQ has not been told that the jobs are done
 */
export type WorkerMoment =
  | 'before-take'
  | 'after-take'
  | 'before-commit'
  | 'after-commit'
  | 'after-acknowledge';

export const WORKER_MOMENTS: readonly WorkerMoment[] = [
  'before-take',
  'after-take',
  'before-commit',
  'after-commit',
  'after-acknowledge',
];

interface Tripwire {
  /** What it does to the worker, in a word. */
  readonly what: string;
  /** Undefined: whichever comes first. */
  readonly worker: number | undefined;
  readonly moment: WorkerMoment;
  /** Times that the moment has to come before it strikes, that one included. */
  left: number;
  readonly strike: (worker: number) => void;
}

export class Tripwires {
  #armed: Tripwire[] = [];
  /** How often each moment has come. */
  readonly reached: Record<WorkerMoment, number> = {
    'before-take': 0,
    'after-take': 0,
    'before-commit': 0,
    'after-commit': 0,
    'after-acknowledge': 0,
  };

  arm(wire: Tripwire): void {
    this.#armed.push(wire);
  }

  disarm(): void {
    this.#armed = [];
  }

  /** Those that have not struck, in words. */
  get armed(): string[] {
    return this.#armed.map(
      ({ what, worker, moment, left }) =>
        `${what} ${worker === undefined ? 'a worker' : `worker ${worker}`} ${moment}${left === 1 ? '' : `, after ${left - 1} more`}`,
    );
  }

  /** A worker is at this point now. True: something struck it. Each wire strikes once. */
  reach(worker: number, moment: WorkerMoment): boolean {
    this.reached[moment] += 1;
    const met = this.#armed.filter(
      (one) => one.moment === moment && (one.worker === undefined || one.worker === worker),
    );
    const wire = met.find(({ left }) => left === 1);
    for (const one of met) if (one !== wire && one.left > 1) one.left -= 1;
    if (wire === undefined) return false;
    this.#armed = this.#armed.filter((one) => one !== wire);
    wire.strike(worker);
    return true;
  }
}
