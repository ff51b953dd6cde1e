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
import type { Completable } from '../../lanes.ts';
import type { CompletingArguments } from '../../redis/scripts/acknowledge.ts';
import type { FinishSettings } from './finish.ts';
import type { Answers, Completed, NextJob, SlotCalls, ToComplete } from './slot-calls.ts';

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

export interface CompletedAt<Fields = string[]> {
  readonly answer: Completed<Fields>;
  /** Milliseconds since 1970, by Redis's clock. */
  readonly finishedOn: number;
}

/** A job is completed; `answer`: what its slot has to do next. */
export interface Completion<Fields = string[]> {
  readonly answer: Exclude<Completed<Fields>, 'slow'>;
  /** Milliseconds since 1970, by Redis's clock. */
  readonly finishedOn: number;
}

/** What was done for a slot before BullMQ asked for it. */
export interface CompletedBefore<Fields = string[]> extends Completion<Fields> {
  readonly jobId: string;
  /** Whether another job was asked for. */
  readonly wantedNext: boolean;
}

export interface FinisherOptions<Fields = string[]> {
  readonly clock: Clock;
  readonly settings: FinishSettings;
  /** Jobs that this process works on at most. */
  readonly concurrency: number;
  /** Jobs of the queue that are being worked on, by whomever. */
  readonly activeJobs: () => Promise<number>;
  /** Whether the worker takes on further jobs. */
  readonly takesJobs: () => boolean;
  readonly calls: Pick<SlotCalls<Fields>, 'finish'>;
  /** What time it is in Redis: milliseconds since 1970. */
  readonly tellTime: (nowMs: number) => void;
}

export class Finisher<Fields = string[]> {
  readonly #options: FinisherOptions<Fields>;
  readonly #completions: Gather<ToComplete, CompletedAt<Fields>>;
  #lookedMs = Number.NEGATIVE_INFINITY;
  readonly #before = new Map<string, CompletedBefore<Fields>>();
  #wantsNext = true;

  constructor(options: FinisherOptions<Fields>) {
    this.#options = options;
    this.#completions = new Gather(options.clock, PER_CALL, (jobs) => this.#completeMany(jobs));
  }

  complete(job: ToComplete): Promise<CompletedAt<Fields>> {
    return this.#completions.call(job);
  }

  /** BullMQ's last word on whether it wants another job: not while its concurrency is being lowered. */
  heard(wantsNext: boolean): void {
    this.#wantsNext = wantsNext;
  }

  /** For the script that acknowledges commits. */
  argumentsWithCommits(): Exclude<CompletingArguments, 0> {
    return [...this.#options.settings, this.#wantsNext && this.#options.takesJobs() ? 1 : 0];
  }

  /** @param reply of that script to these arguments, with an answer per job */
  completed(
    [, , wanted]: Exclude<CompletingArguments, 0>,
    jobs: readonly Completable[],
    { nowMs, answers }: Answers<Fields>,
  ): void {
    const wantedNext = wanted === 1;
    this.#options.tellTime(nowMs);
    for (const [at, answer] of answers.entries()) {
      const { jobId, token } = jobs[at] as Completable;
      if (answer !== 'slow')
        this.#before.set(token, { jobId, answer, wantedNext, finishedOn: nowMs });
    }
  }

  /** What was done already for the slot of this token, once. */
  takeCompleted(token: string): CompletedBefore<Fields> | undefined {
    const before = this.#before.get(token);
    if (before !== undefined) this.#before.delete(token);
    return before;
  }

  /** Jobs that came into slots which did not ask for them: the job before was given back while its commit was acknowledged. */
  takeUnasked(): Map<string, NextJob<Fields>> {
    const unasked = new Map<string, NextJob<Fields>>();
    for (const [token, { answer }] of this.#before)
      if (typeof answer === 'object' && answer[0] !== 0) unasked.set(token, answer);
    this.#before.clear();
    return unasked;
  }

  async #completeMany(jobs: readonly ToComplete[]): Promise<CompletedAt<Fields>[]> {
    const { calls, tellTime } = this.#options;
    this.#lookForOthers();
    const { nowMs, answers } = await calls.finish(jobs);
    tellTime(nowMs);
    return answers.map((answer) => ({ answer, finishedOn: nowMs }));
  }

  /** Nothing but speed depends on it: it may be wrong in a worker whose concurrency has been changed since. */
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
