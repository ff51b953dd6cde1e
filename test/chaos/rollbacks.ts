/**
 * What may be expected where Redis has lost what it had acknowledged, because a replica took the primary's place that did
 * not have it yet. Of a job that was on its way then nobody can tell what Redis still knows; all others are held to
 * every promise. Pure.
 */
import type { Happened } from './history.ts';

type WentBack = Extract<Happened, { e: 'wentBack' }>;

/** For so long a process that was frozen may still say what it heard before. */
const LATE_US = 6_000_000;

interface Concerned {
  readonly askedUs: number;
  readonly enqueuedUs: number | undefined;
}

export class Rollbacks {
  readonly #all: readonly WentBack[];
  /** When each job was last said to have come to its end. */
  readonly #ends = new Map<string, number>();

  constructor(history: readonly Happened[]) {
    this.#all = history.filter((event) => event.e === 'wentBack');
    for (const event of history) {
      if (event.e === 'completed' && !this.#ends.has(event.jobId)) {
        this.#ends.set(event.jobId, event.us);
      }
    }
  }

  get happened(): boolean {
    return this.#all.length > 0;
  }

  /** Whether Redis may have forgotten that the job is there. */
  mayHaveLost({ askedUs, enqueuedUs }: Concerned): boolean {
    return this.#all.some(
      ({ fromUs, us }) => askedUs < us && (enqueuedUs ?? Number.POSITIVE_INFINITY) > fromUs,
    );
  }

  /** Whether Redis may have forgotten what became of it. */
  mayHaveUndone(operation: Concerned, jobId: string | undefined): boolean {
    const endUs = this.#ends.get(jobId ?? '') ?? Number.POSITIVE_INFINITY;
    return this.#all.some(({ fromUs, us }) => operation.askedUs < us && endUs > fromUs);
  }

  /** Whether something was said at a time at which it may not have been true any more, or not for long. */
  isUnsure(saidUs: number): boolean {
    return this.#all.some(({ fromUs, us }) => saidUs > fromUs && saidUs < us + LATE_US);
  }

  /** How often Redis had gone back by then. */
  epochAt(timeUs: number): number {
    return this.#all.filter(({ us }) => us < timeUs).length;
  }
}
