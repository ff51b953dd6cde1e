/**
 * BullMQ's Redis backend where jobs are completed and fetched many at a time (fast-path/), or were completed already in the step
 * that acknowledged their commit. What that cannot do, BullMQ's own scripts do.
 */
import { type KeepJobs, type MinimalJob, raw2NextJobData, type RedisQueueBackend } from 'bullmq';
import { systemClock } from '../../../base/clock.ts';
import { Completing, type OwnCompletion } from '../fast-path/completing.ts';
import { peculiaritiesOf } from '../fast-path/peculiarities.ts';
import { RedisSlotCalls } from '../fast-path/redis-slot-calls.ts';
import type { NextJob } from '../fast-path/slot-calls.ts';
import { type DoneJob, Slots } from '../fast-path/slots.ts';
import { CODE, FINISHED_AS } from '../state/layout.ts';
import { isRefusal, type Standing } from './repeating.ts';
import { heldOf, SettlingBackend } from './settling-backend.ts';

/** They miss the job, its lock, or the job among the active ones: it may be completed, with the answer lost and the request sent again. */
const MISSED: ReadonlySet<unknown> = new Set([
  ...[CODE.jobMissing, CODE.lockMissing, CODE.notInState],
]);
/** Milliseconds for which jobs are asked for again before BullMQ is told that they are refused. */
const FETCH_WITHIN_MS = 10_000;

/** What BullMQ takes for a job that comes into the slot. */
type Next = unknown[];
type Completed = Promise<OwnCompletion<Next>>;

export abstract class CompletingBackend extends SettlingBackend {
  readonly slots: Slots = this.#makeSlots();
  readonly #completing: Completing<string[], Next> = new Completing(this.slots, {
    fetch: (token) => super.moveToActive(token, this.workerOptions.name),
    ownOf: (next) => this.#nextJob(next),
    takesNext: () => this.closing === undefined,
    isRefusal,
  });

  override moveToCompleted<T, R, N extends string>(
    job: MinimalJob<T, R, N>,
    returnValue: R,
    removeOnComplete: boolean | number | KeepJobs,
    token: string,
    fetchNext: boolean,
  ): ReturnType<RedisQueueBackend['moveToCompleted']> {
    const { id: jobId, processedOn: delivery } = job as MinimalJob & { readonly id: string };
    // No spread: it took 4 µs per job, a tenth of what a job of a hot key costs its worker.
    const done: DoneJob = {
      jobId,
      token,
      delivery,
      returnValue,
      removeOnComplete,
      fetchNext,
    };
    const byOwn = (): Completed =>
      super.moveToCompleted(job, returnValue, removeOnComplete, token, fetchNext) as Completed;
    return this.#completing.before(done) ?? this.#complete(job, done, byOwn);
  }

  /** However long it takes: what it would complete is decided. */
  async #complete(job: MinimalJob, done: DoneJob, byOwn: () => Completed): Completed {
    const act = (): Completed => this.#completing.complete(done, byOwn);
    const { token, removeOnComplete } = done;
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

  /** It may have been fetched already, or is fetched together with others. */
  override async moveToActive(token: string): ReturnType<RedisQueueBackend['moveToActive']> {
    const fetch = (): Promise<Next> => this.#completing.fetch(token);
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
    const { lockDuration = 0, name = '', concurrency = 1, removeOnComplete } = this.workerOptions;
    const settings = [String(lockDuration), name] as const;
    return new Slots({
      ...{ clock: systemClock, lockMs: lockDuration, settings, concurrency, removeOnComplete },
      calls: new RedisSlotCalls(settings, (script, args) => this.runScript(script, args)),
      takesJobs: () => this.owner.takesJobs?.() ?? true,
      nextTokens: (token) => this.owner.nextTokens?.(token) ?? [],
      expects: (token) => this.owner.expects?.(token) ?? false,
      isSlow: (reasons) => this.owner.isSlow?.(reasons),
      peculiarities: () => peculiaritiesOf(this.workerOptions, this.owner.fastPath ?? 'auto'),
      activeJobs: async () => (await this.scripts()).llen(this.keys['active'] as string),
      giveBack: (jobId, token) => this.giveBack(jobId, token, { begun: false }),
      tellTime: (nowMs) => this.redisTime.learn(nowMs),
    });
  }
}

function codeOf(thrown: unknown): unknown {
  return (thrown as { code?: unknown } | null)?.code;
}
