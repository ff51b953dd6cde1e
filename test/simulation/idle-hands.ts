/**
 * A process that closes in order gives all jobs back that it was given, also those that were fetched ahead for a slot
 * that never asked.
 */
import type { JobLocks } from '../../src/testing/bullmq/job-locks.ts';
import type { WorkerProcess } from './worker-process.ts';

export class IdleHands {
  readonly #locks: JobLocks;
  readonly #report: (what: string) => void;

  constructor(locks: JobLocks, report: (what: string) => void) {
    this.#locks = locks;
    this.#report = report;
  }

  /** Unless an answer was lost that told of one. */
  closes({ name, link }: WorkerProcess): void {
    if (link.hasLostAnswers) return;
    const { active } = this.#locks;
    const left = [...active].filter((id) => this.#locks.tokenOf(id)?.startsWith(`${name}:`));
    if (left.length > 0) this.#report(`${name} closes, and has not given back ${left.join(' ')}`);
  }
}
