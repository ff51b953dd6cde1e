/**
 * BullMQ's Redis backend where jobs are completed and fetched many at a time (fast-path/), or were completed already in the step
 * that acknowledged their commit. What that cannot do, BullMQ's own scripts do.
 */
import { type KeepJobs, type MinimalJob, raw2NextJobData, type RedisQueueBackend } from 'bullmq';
import { systemClock } from '../../../base/clock.ts';
import type { Completion, NextJob } from '../fast-path/finisher.ts';
import { peculiaritiesOf } from '../fast-path/peculiarities.ts';
import { Slots } from '../fast-path/slots.ts';
import { CODE, FINISHED_AS } from '../state/layout.ts';
import { isRefusal, type Standing } from './repeating.ts';
import { heldOf, SettlingBackend } from './settling-backend.ts';

/** They miss the job, its lock, or the job among the active ones: it may be completed, with the answer lost and the request sent again. */
const MISSED: ReadonlySet<unknown> = new Set([
  ...[CODE.jobMissing, CODE.lockMissing, CODE.notInState],
]);
/** Milliseconds for which jobs are asked for again before BullMQ is told that they are refused. */
const FETCH_WITHIN_MS = 10_000;

type Completing = ReturnType<RedisQueueBackend['moveToCompleted']>;

export abstract class CompletingBackend extends SettlingBackend {
  readonly slots: Slots = this.#makeSlots();

  override moveToCompleted<T, R, N extends string>(
    job: MinimalJob<T, R, N>,
    returnValue: R,
    removeOnComplete: boolean | number | KeepJobs,
    token: string,
    fetchNext: boolean,
  ): Completing {
    const wantsNext = fetchNext && this.closing === undefined;
    const before = this.slots.completedBefore(job.id as string, token, wantsNext);
    if (before === undefined)
      return this.#complete(job, returnValue, removeOnComplete, token, fetchNext);
    return this.#withNext(before, token);
  }

  /** However long it takes: what it would complete is decided. */
  async #complete<T, R, N extends string>(
    job: MinimalJob<T, R, N>,
    returnValue: R,
    removeOnComplete: boolean | number | KeepJobs,
    token: string,
    fetchNext: boolean,
  ): Completing {
    const act = (): Completing =>
      this.#completeOnce(job, returnValue, removeOnComplete, token, fetchNext);
    const held = heldOf(job, token);
    this.repeating.check('complete', held.jobId);
    try {
      return await act();
    } catch (thrown) {
      const isMissed = MISSED.has(codeOf(thrown));
      const ended = isMissed
        ? { instead: await this.#seen(held.jobId) }
        : await this.repeating.again('complete', held, act, thrown);
      if ('done' in ended) return ended.done;
      const { instead } = ended;
      const isDone = instead === 'finished' || (instead === 'gone' && removeOnComplete === true);
      if (!isDone) throw isMissed ? thrown : this.lost(held, 'moveToCompleted');
      return { result: undefined, finishedOn: systemClock.wallMs() };
    }
  }

  async #seen(jobId: string): Promise<Exclude<Standing, 'held'>> {
    const code = await this.isFinished(jobId);
    if (code === FINISHED_AS.completed) return 'finished';
    return code === FINISHED_AS.missing ? 'gone' : 'lost';
  }

  /** With all others of this moment, where they are ordinary ones. */
  async #completeOnce<T, R, N extends string>(
    job: MinimalJob<T, R, N>,
    returnValue: R,
    removeOnComplete: boolean | number | KeepJobs,
    token: string,
    fetchNext: boolean,
  ): Completing {
    const completed = await this.slots.complete(
      job.id as string,
      token,
      returnValue,
      removeOnComplete,
      fetchNext && this.closing === undefined,
    );
    if (completed === undefined) {
      return super.moveToCompleted(job, returnValue, removeOnComplete, token, fetchNext);
    }
    return this.#withNext(completed, token);
  }

  async #withNext({ answer, finishedOn }: Completion, token: string): Completing {
    if (answer !== 'fetch') return { result: this.#nextJob(answer), finishedOn };
    return { result: await this.#fetchInstead(token), finishedOn };
  }

  /** The job before it is completed, whatever comes of this: the slot asks again. */
  async #fetchInstead(token: string): Promise<unknown[] | undefined> {
    try {
      return await super.moveToActive(token, this.workerOptions.name);
    } catch (thrown) {
      if (!isRefusal(thrown)) throw thrown;
      return undefined;
    }
  }

  /** It may have been fetched already, or is fetched together with others. */
  override async moveToActive(
    token: string,
    name?: string,
  ): ReturnType<RedisQueueBackend['moveToActive']> {
    const fetch = async (): Promise<unknown[]> => {
      const answer = await this.slots.fetch(token);
      return answer === 'fetch' ? super.moveToActive(token, name) : this.#nextJob(answer);
    };
    // BullMQ has used up the marker that says that jobs are waiting: it would not ask again before `drainDelay`.
    return this.repeating.within(FETCH_WITHIN_MS, 'fetch', fetch, () => this.slots.takesJobs());
  }

  #nextJob(answer: NextJob): unknown[] {
    this.delivered.note(answer);
    if (answer === undefined) return [];
    const [fields, id, limitedMs = 0, dueMs = 0] = answer;
    return raw2NextJobData([fields, id, limitedMs, this.dueOf(dueMs)]);
  }

  #makeSlots(): Slots {
    const { lockDuration = 0, name, concurrency = 1, removeOnComplete } = this.workerOptions;
    return new Slots({
      ...{ lockMs: lockDuration, workerName: name, concurrency, removeOnComplete },
      takesJobs: () => this.owner.takesJobs?.() ?? true,
      nextTokens: (token) => this.owner.nextTokens?.(token) ?? [],
      expects: (token) => this.owner.expects?.(token) ?? false,
      isSlow: (reasons) => this.owner.isSlow?.(reasons),
      peculiarities: () => peculiaritiesOf(this.workerOptions, this.owner.fastPath ?? 'auto'),
      activeJobs: async () => (await this.scripts()).llen(this.keys['active'] as string),
      run: (script, args) => this.runScript(script, args),
      giveBack: (jobId, token) => this.giveBack(jobId, token, { begun: false }),
      tellTime: (nowMs) => this.redisTime.learn(nowMs),
    });
  }
}

function codeOf(thrown: unknown): unknown {
  return (thrown as { code?: unknown } | null)?.code;
}
