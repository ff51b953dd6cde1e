/** Going through the steps of a key, forwards and back. */
import { NO_VALUE, NOT_KNOWN, type Step } from './key-steps.ts';
import { edited, undone } from './text-edit.ts';

/** What a condition is asked about: the moment behind a job. */
export interface Moment {
  readonly value: unknown;
  readonly before: unknown;
  readonly job: Step['job'];
  readonly data: unknown;
  readonly result: unknown;
  readonly failed: boolean;
}

export class Walk {
  readonly steps: readonly Step[];
  /** Jobs that are behind; 0: before the first one. */
  #place = 0;
  /** Before and behind the last of them. */
  #before: string = NO_VALUE;
  #after: string = NO_VALUE;

  constructor(steps: readonly Step[]) {
    this.steps = steps;
  }

  get place(): number {
    return this.#place;
  }

  /** The last job that is behind. */
  get step(): Step | undefined {
    return this.steps[this.#place - 1];
  }

  /** JSON, NO_VALUE or NOT_KNOWN. */
  get before(): string {
    return this.#before;
  }

  get after(): string {
    return this.#after;
  }

  /** False: there is none. */
  next(): boolean {
    const step = this.steps[this.#place];
    if (step === undefined) return false;
    this.#before = step.jump === undefined ? this.#after : edited(this.#after, step.jump);
    this.#after = edited(this.#before, step.edit);
    this.#place += 1;
    return true;
  }

  back(): boolean {
    const { step } = this;
    if (step === undefined) return false;
    this.#after = step.jump === undefined ? this.#before : undone(this.#before, step.jump);
    this.#place -= 1;
    const earlier = this.step;
    this.#before = earlier === undefined ? NO_VALUE : undone(this.#after, earlier.edit);
    return true;
  }

  to(place: number): void {
    const wanted = Math.max(0, Math.min(place, this.steps.length));
    while (this.#place < wanted) this.next();
    while (this.#place > wanted) this.back();
  }

  /** Goes on to the next job that is `wanted`. False: there is none, and it stays where it was, as if `wanted` throws. */
  find(wanted: (step: Step, moment: () => Moment) => boolean): boolean {
    const from = this.#place;
    let isFound = false;
    try {
      while (!isFound && this.next()) {
        const step = this.step as Step;
        isFound = wanted(step, () => this.#moment(step));
      }
    } finally {
      if (!isFound) this.to(from); // also if the condition cannot be asked
    }
    return isFound;
  }

  #moment({ job, end }: Step): Moment {
    return {
      value: valueOf(this.#after),
      before: valueOf(this.#before),
      ...{ job, data: job.data, failed: end.kind === 'failed' },
      result: end.kind === 'applied' ? end.result : undefined,
    };
  }
}

/** Undefined, too, if it is not known. */
function valueOf(text: string): unknown {
  return text === NO_VALUE || text === NOT_KNOWN ? undefined : (JSON.parse(text) as unknown);
}
