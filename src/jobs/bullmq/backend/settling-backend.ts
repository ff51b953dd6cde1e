/**
 * BullMQ's Redis backend where what became of a delivered job is told to Redis until it takes it: given back for a while or at
 * once, retried, failed. Completing, which may be done for many jobs at a time, has a file of its own.
 */
import type { MinimalJob, RedisQueueBackend } from 'bullmq';
import { pause, systemClock } from '../../../base/clock.ts';
import { systemRandom } from '../../../base/random.ts';
import {
  ALONE_FIELD,
  DIRECTIVE_FIELD,
  OUTCOME_FIELD,
  SNOOZED_FIELD,
  type Script,
} from '../../redis/scripts/script.ts';
import { DROP_MISSING } from '../state/drop-missing.ts';
import { isKnownBullMQ } from '../state/known-bullmq.ts';
import { CODE } from '../state/layout.ts';
import { RECLAIM } from '../state/reclaim.ts';
import { GIVE_BACK, NOTE_SNOOZED, SNOOZE } from '../state/snoozing/snooze.ts';
import { deliveryArgument } from '../state/timed.ts';
import { NOTE_SURVIVED } from '../../redis/scripts/start-alone.ts';
import { AddingBackend } from './adding-backend.ts';
import { type Held, isRefusal, Repeating, type Standing, type SettlingStep } from './repeating.ts';

/**
 * Milliseconds for which a note about a job is tried again: that it was survived (if it is never heard, that counts as one
 * death), or that it is snoozed.
 */
const NOTE_WITHIN_MS = 10_000;

/** Milliseconds after which a lock that lasts for one is over. */
const LOCK_OVER_MS = 10;

/** How a job goes back to the front of the queue. */
export interface GivingBack {
  readonly attemptsMade?: number;
  readonly begun?: boolean;
  readonly survived?: readonly number[];
}

export abstract class SettlingBackend extends AddingBackend {
  /** What is decided of a job is told to Redis until it is done. */
  protected readonly repeating: Repeating = new Repeating({
    ...{ clock: systemClock, random: systemRandom },
    reclaim: (held) => this.#reclaim(held),
    refused: (refusal) => this.owner.refused?.(refusal),
  });
  /** Why jobs fail for good that are just being reported. */
  readonly #failing = new Map<string, 'holds' | 'left'>();
  /** Jobs that are about to be retried, as they were delivered. */
  readonly #retrying = new Map<string, Pick<Held, 'attemptsMade' | 'delivery'>>();
  readonly #handingBack = new Set<string>();

  /**
   * Gives a job back for a while, without an attempt. `survived`: the tokens under which it was begun alone in this
   * process, which lives. `attemptsMade`: so that the one who meets it at the lane's head knows that
   * it does not wait for its backoff.
   */
  async snooze(
    jobId: string,
    survived: readonly number[],
    delayMs: number,
    token: string,
    attemptsMade = 0,
  ): Promise<void> {
    const held = { jobId, token, attemptsMade };
    const options = {
      skipAttempt: true,
      ...(attemptsMade > 0 && { fieldsToUpdate: { [SNOOZED_FIELD]: String(attemptsMade) } }),
    };
    if (!isKnownBullMQ()) {
      return this.#handBack('snooze', held, async () => {
        await this.#noteBefore(jobId, survived);
        await super.moveToDelayed(jobId, systemClock.wallMs(), delayMs, token, options);
        await this.#noteSnoozed(jobId);
      });
    }
    const bull = super.moveToDelayedArgs(jobId, 0, token, delayMs, options);
    const args = [...bull, survived.join(' '), ...this.#limiterArguments];
    await this.#handBack('snooze', held, () => this.#carryOut(SNOOZE, jobId, args));
  }

  /**
   * To the front of the queue. `begun`: else it was fetched ahead, and nobody has begun to work on it.
   * `survived`: as for `snooze`.
   */
  async giveBack(
    jobId: string,
    token: string,
    { attemptsMade = 0, begun = true, survived = [] }: GivingBack = {},
  ): Promise<void> {
    const held = { jobId, token, attemptsMade };
    if (!isKnownBullMQ()) {
      return this.#handBack('give back', held, async () => {
        await this.#noteBefore(jobId, survived);
        await super.moveJobFromActiveToWait(jobId, token);
      });
    }
    const { active, wait, stalled, paused, meta, limiter, prioritized, marker, events } = this.keys;
    const keys = [active, wait, stalled, paused, meta, limiter, prioritized, marker, events];
    const bull = [...keys, jobId, token, this.toKey(jobId)];
    const flags = [begun ? '' : '1', survived.join(' ')];
    const args = [...bull, this.keys[''], ...flags, ...this.#limiterArguments];
    await this.#handBack('give back', held, () => this.#carryOut(GIVE_BACK, jobId, args));
  }

  async #carryOut({ name }: Script, jobId: string, args: unknown[]): Promise<void> {
    const client = await this.scripts();
    this.writes.gather(client);
    const code = await client.runCommand(name, args);
    if (typeof code === 'number' && code < 0)
      throw this.finishedErrors({ code, jobId, command: name, state: 'active' });
  }

  /** BullMQ's own script is about to give it back, and refuses if somebody else has it by now. */
  async #noteBefore(jobId: string, survived: readonly number[]): Promise<void> {
    if (survived.length > 0) await this.runScript(NOTE_SURVIVED, [jobId, survived.join(' ')]);
  }

  /** BullMQ's own script has given it back. Without the note it counts as delayed, until it is back. */
  async #noteSnoozed(jobId: string): Promise<void> {
    const note = (): Promise<unknown> => this.runScript(NOTE_SNOOZED, [jobId]);
    const isDecided = await this.repeating.within(NOTE_WITHIN_MS, 'snooze', note);
    if (isDecided === '1') await super.promote(jobId);
  }

  /** Whoever has the job by now. */
  async noteSurvived(jobId: string, survived: readonly number[]): Promise<void> {
    await this.repeating.within(NOTE_WITHIN_MS, 'note', () =>
      this.runScript(NOTE_SURVIVED, [jobId, survived.join(' ')]),
    );
  }

  async #handBack(step: SettlingStep, held: Held, act: () => Promise<void>): Promise<void> {
    const { jobId } = held;
    this.#handingBack.add(jobId);
    try {
      await this.repeating.untilDone(step, held, act);
    } catch (thrown) {
      if (!isRefusal(thrown)) this.#handingBack.delete(jobId); // it is somebody else's by now
      throw thrown;
    }
    this.#handingBack.delete(jobId);
  }

  /** Jobs that were to go back to the queue, or to be finished, and of which Redis has not said that they are. */
  notHandedBack(): Set<string> {
    return new Set([...this.#handingBack, ...this.repeating.givenUp]);
  }

  get #limiterArguments(): (string | number)[] {
    const { max = '', duration = '' } = this.workerOptions.limiter ?? {};
    return [max, duration];
  }

  async #reclaim({ jobId, token, attemptsMade }: Held): Promise<Standing> {
    const { lockDuration = 30_000 } = this.workerOptions;
    const args = [jobId, token, String(lockDuration), String(attemptsMade ?? '')];
    return (await this.runScript(RECLAIM, args)) as Standing;
  }

  /**
   * A job was delivered without a name. Takes it out of BullMQ's lists if nothing is left of it (`dropped`), unless
   * more is left (`damaged`), or somebody else has it (`elsewhere`).
   */
  async dropMissing(jobId: string, token: string): Promise<'dropped' | 'damaged' | 'elsewhere'> {
    const answer = await this.runScript(DROP_MISSING, [jobId, token]);
    if (answer !== 'missing') return answer as 'dropped' | 'damaged' | 'elsewhere';
    // BullMQ's own removes nothing that is locked, and ends no lock before its time: so that is a moment.
    await super.extendLocks([jobId], [token], 1);
    await pause(systemClock, LOCK_OVER_MS);
    return (await this.remove(jobId, false)) === 1 ? 'dropped' : 'elsewhere';
  }

  /** A job that holds its lane must stay until somebody decides about it, whatever `removeOnFail` says. */
  keepWhenFailed(jobId: string): void {
    this.#failing.set(jobId, 'holds');
  }

  /**
   * A job that fails because it has left its lane so: its outcome has served its purpose, and a later
   * retry by an operator is a new beginning. Any other failure leaves the outcome alone: somebody
   * else may have applied the job meanwhile.
   */
  forgetWhenFailed(jobId: string): void {
    this.#failing.set(jobId, 'left');
  }

  /** What Toril noted about the job goes in the same script as the failure itself. */
  override async moveToFailed<T, R, N extends string>(
    job: MinimalJob<T, R, N>,
    failedReason: string,
    removeOnFail: Parameters<RedisQueueBackend['moveToFailed']>[2],
    token: string,
    fetchNext: boolean,
    fieldsToUpdate?: Record<string, unknown>,
  ): ReturnType<RedisQueueBackend['moveToFailed']> {
    const why = this.#failing.get(job.id ?? '');
    this.#failing.delete(job.id ?? '');
    const fields = {
      ...fieldsToUpdate,
      [ALONE_FIELD]: '',
      [DIRECTIVE_FIELD]: '',
      ...(why === 'left' && { [OUTCOME_FIELD]: '' }),
    };
    const remove = why === 'holds' ? false : removeOnFail;
    const act = (): ReturnType<RedisQueueBackend['moveToFailed']> =>
      super.moveToFailed(job, failedReason, remove, token, fetchNext, fields);
    const held = heldOf(job, token);
    const ended = await this.repeating.untilDone('fail', held, act);
    if ('done' in ended) return ended.done;
    if (ended.instead !== 'finished') throw this.lost(held, 'moveToFailed');
    return { result: undefined, finishedOn: systemClock.wallMs() };
  }

  /** With a backoff; a job that waits for its turn is snoozed. */
  override async moveToDelayed(
    ...args: Parameters<RedisQueueBackend['moveToDelayed']>
  ): ReturnType<RedisQueueBackend['moveToDelayed']> {
    const [jobId, atMs, delayMs, token = '0', options] = args;
    const held = this.#heldAs(jobId, token);
    const act = (): ReturnType<RedisQueueBackend['moveToDelayed']> =>
      super.moveToDelayed(jobId, atMs, delayMs, token, { ...options, ...held });
    return this.#untilDone('retry', held, 'moveToDelayed', act);
  }

  override async retryJob(...args: Parameters<RedisQueueBackend['retryJob']>): Promise<void> {
    const [jobId, lifo, token = '0', options] = args;
    const held = this.#heldAs(jobId, token);
    const act = (): Promise<void> => super.retryJob(jobId, lifo, token, { ...options, ...held });
    return this.#untilDone('retry', held, 'retryJob', act);
  }

  // Its own backend hands the options on to these. BullMQ's own scripts look at no argument that is one too many.

  override moveToDelayedArgs(
    ...args: Parameters<RedisQueueBackend['moveToDelayedArgs']>
  ): ReturnType<RedisQueueBackend['moveToDelayedArgs']> {
    return [...super.moveToDelayedArgs(...args), deliveryArgument(deliveryIn(args[4]))];
  }

  override retryJobArgs(
    ...args: Parameters<RedisQueueBackend['retryJobArgs']>
  ): ReturnType<RedisQueueBackend['retryJobArgs']> {
    return [...super.retryJobArgs(...args), deliveryArgument(deliveryIn(args[3]))];
  }

  protected override moveToFinishedArgs(
    ...args: Parameters<RedisQueueBackend['moveToFinishedArgs']>
  ): (string | number | boolean | Buffer)[] {
    return [...super.moveToFinishedArgs(...args), deliveryArgument(args[0].processedOn)];
  }

  /** It is about to be retried: BullMQ says only its id then. */
  noteDelivery(job: MinimalJob): void {
    const { id, attemptsMade, processedOn: delivery } = job;
    this.#retrying.set(id as string, { attemptsMade, delivery });
  }

  #heldAs(jobId: string, token: string): Held {
    const known = this.#retrying.get(jobId) ?? { attemptsMade: undefined };
    this.#retrying.delete(jobId);
    return { jobId, token, ...known };
  }

  /** By a processor that limits the rate by hand. */
  override async moveJobFromActiveToWait(jobId: string, token = '0'): Promise<number> {
    return this.#untilDone('give back', this.#heldAs(jobId, token), 'moveJobFromActiveToWait', () =>
      super.moveJobFromActiveToWait(jobId, token),
    );
  }

  /** A lock is renewed at half its time: a quarter is left for Redis to come round. */
  override extendLocks(jobIds: string[], tokens: string[], ms: number): Promise<string[]> {
    return this.repeating.within(ms / 4, 'keep locks', () => super.extendLocks(jobIds, tokens, ms));
  }

  /** @throws what BullMQ says of a lock that is lost */
  async #untilDone<T>(
    step: SettlingStep,
    held: Held,
    command: string,
    act: () => Promise<T>,
  ): Promise<T> {
    const ended = await this.repeating.untilDone(step, held, act);
    if ('done' in ended) return ended.done;
    throw this.lost(held, command);
  }

  protected lost({ jobId }: Held, command: string): Error {
    return this.finishedErrors({ code: CODE.lockMissing, jobId, command, state: 'active' });
  }
}

export function heldOf(job: MinimalJob, token: string): Held {
  const { id, attemptsMade, processedOn: delivery } = job;
  return { jobId: id as string, token, attemptsMade, delivery };
}

function deliveryIn(options: object | undefined): number | undefined {
  return (options as Partial<Held> | undefined)?.delivery;
}
