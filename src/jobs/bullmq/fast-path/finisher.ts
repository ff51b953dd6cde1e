/**
 * Completes jobs many at a time. A combiner settles a whole batch in one moment, and BullMQ's own
 * script takes a call, 23 arguments and 24 commands for each job of it: with this, completing and
 * fetching cost a third of that in Redis, and half in the worker.
 *
 * Most jobs are completed already when BullMQ says so: in the step that acknowledged their commit.
 * Then the answer waits here, by the lock token that is the worker slot's name for BullMQ.
 */
import type { Clock } from '../../../base/clock.ts';
import { Gather } from '../../../base/gather.ts';
import type { Delivery } from '../../lanes.ts';
import type { CompletingArguments } from '../../redis/scripts/acknowledge.ts';
import type { FinishArguments, FinishSettings } from './finish.ts';
import { Packing } from '../../redis/scripts/packing.ts';

/** Jobs per script call, and calls at a time (why: gather.ts; on one key a fifth more than 64 and any number). */
const PER_CALL = { atMost: 16, callsMax: 2 };
/**
 * The same while other processes have jobs of the queue, too. They keep Redis busy by themselves, and
 * answers to several calls at once wake several processes, which take Redis's core from it to work on
 * them: on 2 cores it waited for a fifth of the time. On one key, two processes did 6 % more jobs with it,
 * four 4 %; one alone would do 8 % fewer.
 */
const PER_CALL_AMONG_OTHERS = { atMost: 32, callsMax: 1 };
/** Milliseconds between two looks at whether there are others. */
const LOOK_EVERY_MS = 50;

export interface ToComplete extends Delivery {
  /** JSON. */
  readonly result: string;
  readonly fetchNext: boolean;
}

/** `slow`: nothing was done, BullMQ's own script must; `fetch`: completed, but BullMQ's own must fetch. */
export type Completed = 'slow' | 'fetch' | NextJob;

/** Undefined: none was fetched. Else as BullMQ's script answers: fields and values, id; rate limit, due (missing: 0). */
export type NextJob = undefined | readonly [string[] | 0, string | 0, number?, number?];

export interface CompletedAt {
  readonly answer: Completed;
  /** Milliseconds since 1970, by Redis's clock. */
  readonly finishedOn: number;
}

/** A job is completed; `answer`: what its slot has to do next. */
export interface Completion {
  readonly answer: Exclude<Completed, 'slow'>;
  /** Milliseconds since 1970, by Redis's clock. */
  readonly finishedOn: number;
}

/** What was done for a slot before BullMQ asked for it. */
export interface CompletedBefore extends Completion {
  readonly jobId: string;
  /** Whether another job was asked for. */
  readonly wantedNext: boolean;
}

export interface FinisherOptions {
  readonly clock: Clock;
  readonly lockMs: number;
  readonly workerName: string | undefined;
  /** Jobs that this process works on at most. */
  readonly concurrency: number;
  /** Jobs of the queue that are being worked on, by whomever. */
  readonly activeJobs: () => Promise<number>;
  /** Whether the worker takes on further jobs. */
  readonly takesJobs: () => boolean;
  readonly run: (args: string[]) => Promise<unknown>;
  /** What time it is in Redis: milliseconds since 1970. */
  readonly tellTime: (nowMs: number) => void;
}

export class Finisher {
  readonly #options: FinisherOptions;
  readonly #completions: Gather<ToComplete, CompletedAt>;
  #lookedMs = Number.NEGATIVE_INFINITY;
  readonly #before = new Map<string, CompletedBefore>();
  #wantsNext = true;

  constructor(options: FinisherOptions) {
    this.#options = options;
    this.#completions = new Gather(options.clock, PER_CALL, (jobs) => this.#completeMany(jobs));
  }

  complete(job: ToComplete): Promise<CompletedAt> {
    return this.#completions.call(job);
  }

  /** BullMQ's last word on whether it wants another job: not while its concurrency is being lowered. */
  heard(wantsNext: boolean): void {
    this.#wantsNext = wantsNext;
  }

  /** For the script that acknowledges commits. */
  argumentsWithCommits(): Exclude<CompletingArguments, 0> {
    return [...this.#settings(), this.#wantsNext && this.#options.takesJobs() ? 1 : 0];
  }

  /** @param reply of that script to these arguments, with an answer per delivery */
  completed(
    [, , wanted]: Exclude<CompletingArguments, 0>,
    deliveries: readonly Delivery[],
    { nowMs, answers }: Answers,
  ): void {
    const wantedNext = wanted === 1;
    this.#options.tellTime(nowMs);
    for (const [at, answer] of answers.entries()) {
      const { jobId, token } = deliveries[at] as Delivery;
      if (answer !== 'slow')
        this.#before.set(token, { jobId, answer, wantedNext, finishedOn: nowMs });
    }
  }

  /** What was done already for the slot of this token, once. */
  takeCompleted(token: string): CompletedBefore | undefined {
    const before = this.#before.get(token);
    if (before !== undefined) this.#before.delete(token);
    return before;
  }

  async #completeMany(jobs: readonly ToComplete[]): Promise<CompletedAt[]> {
    const packing = new Packing();
    const all = jobs.map(
      ({ jobId, token, result, fetchNext, remove }): FinishArguments => [
        jobId,
        token,
        packing.text(result),
        fetchNext ? 1 : 0,
        remove ? 1 : 0,
      ],
    );
    const args = packing.arguments([this.#settings(), ...all]);
    this.#lookForOthers();
    const { nowMs, answers } = answersOf((await this.#options.run(args)) as string);
    this.#options.tellTime(nowMs);
    return answers.map((answer) => ({ answer, finishedOn: nowMs }));
  }

  #settings(): FinishSettings {
    const { lockMs, workerName = '' } = this.#options;
    return [String(lockMs), workerName];
  }

  /** Nothing but speed depends on it: whoever's concurrency has been changed since may judge wrongly. */
  #lookForOthers(): void {
    const { clock, concurrency, activeJobs } = this.#options;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#lookedMs < LOOK_EVERY_MS) return;
    this.#lookedMs = nowMs;
    activeJobs().then(
      (active) => {
        this.#completions.change(active > concurrency ? PER_CALL_AMONG_OTHERS : PER_CALL);
      },
      () => undefined, // the call beside it fails, too
    );
  }
}

/** What the scripts answer (`told` in scripts/finish.ts). */
export interface Answers {
  /** Redis's time in milliseconds since 1970. */
  readonly nowMs: number;
  /** One per job or slot. */
  readonly answers: readonly Completed[];
}

export function answersOf(reply: string): Answers {
  return answersIn(JSON.parse(reply) as unknown[]);
}

/** @param told is used up */
export function answersIn(told: unknown[]): Answers {
  const nowMs = Number(told.pop());
  const answers = told as (Completed | 0)[];
  return { nowMs, answers: answers.map((answer) => (answer === 0 ? undefined : answer)) };
}
