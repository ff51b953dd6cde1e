/**
 * Nobody has a job on which he does not work, such as one that was fetched ahead for a slot that never asks: once nothing goes
 * wrong any more, no job stalls in the hands of a process that lives; and one that closes in order gives all of them back.
 */
import type { JobLocks } from '../../src/testing/bullmq/job-locks.ts';
import type { JobListener } from '../../src/testing/bullmq/job-record.ts';
import type { WorkerProcess } from './worker-process.ts';

export class IdleHands implements JobListener {
  readonly #locks: JobLocks;
  readonly #processes: () => readonly (WorkerProcess | undefined)[];
  readonly #report: (what: string) => void;
  /** By job, who was given it last; undefined: something went wrong meanwhile. */
  readonly #given = new Map<string, WorkerProcess | undefined>();
  #isHealed = false;

  constructor(
    locks: JobLocks,
    processes: () => readonly (WorkerProcess | undefined)[],
    report: (what: string) => void,
  ) {
    this.#locks = locks;
    this.#processes = processes;
    this.#report = report;
  }

  /** Nothing goes wrong from now on; what is under way may still be late. */
  healed(): void {
    this.#isHealed = true;
  }

  delivered({ job: { id } }: { readonly job: { readonly id: string } }, lock: string): void {
    if (!this.#isHealed) return;
    const name = lock.slice(0, lock.indexOf(':'));
    const process = this.#processes().find((one) => one?.name === name);
    this.#given.set(id, process?.link.isQuiet === true ? process : undefined);
  }

  /** It has closed in order: what it was given is given back, unless an answer was lost that told of it. */
  closes({ name, link }: WorkerProcess): void {
    if (link.hasLostAnswers) return;
    const { active } = this.#locks;
    const left = [...active].filter((id) => this.#locks.tokenOf(id)?.startsWith(`${name}:`));
    if (left.length > 0) this.#report(`${name} closes, and has not given back ${left.join(' ')}`);
  }

  stalled({ job: { id } }: { readonly job: { readonly id: string } }): void {
    const process = this.#given.get(id);
    if (process?.alive !== true) return;
    this.#report(`job ${id} stalls in ${process.name}, which lives, though nothing goes wrong`);
  }
}
