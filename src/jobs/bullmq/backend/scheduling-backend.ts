/**
 * BullMQ's Redis backend, with job schedulers whose patterns go by Redis's clock (cron-times.ts), and whose last job is nobody's
 * next one once it has been delivered (state/snoozing/scheduler-jobs.ts).
 */
import type { JobsOptions, RedisQueueBackend } from 'bullmq';
import { isKnownBullMQ } from '../state/known-bullmq.ts';
import { REMOVE_SCHEDULER } from '../state/snoozing/scheduler-jobs.ts';
import { NOW } from '../state/timed.ts';
import { CronTimes } from './cron-times.ts';
import { ScriptedBackend } from './scripted-backend.ts';

type AddArguments = Parameters<RedisQueueBackend['addJobScheduler']>;
type UpdateArguments = Parameters<RedisQueueBackend['updateJobSchedulerNextMillis']>;

export abstract class SchedulingBackend extends ScriptedBackend {
  readonly cronTimes: CronTimes = new CronTimes(() => this.#redisMs());

  override addJobScheduler(
    ...[id, nextMs, data, template, repeat, job, producerId]: AddArguments
  ): ReturnType<RedisQueueBackend['addJobScheduler']> {
    const [dueMs, options] = this.#due(id, nextMs, job);
    return super.addJobScheduler(id, dueMs, data, template, repeat, options, producerId);
  }

  override updateJobSchedulerNextMillis(
    ...[id, nextMs, data, job, producerId]: UpdateArguments
  ): ReturnType<RedisQueueBackend['updateJobSchedulerNextMillis']> {
    const [dueMs, options] = this.#due(id, nextMs, job);
    return super.updateJobSchedulerNextMillis(id, dueMs, data, options, producerId);
  }

  override async removeJobScheduler(id: string): Promise<number> {
    if (!isKnownBullMQ()) return super.removeJobScheduler(id);
    const { repeat, delayed, events } = this.keys;
    const args = [repeat, delayed, events, id, this.keys['']];
    return (await (await this.scripts()).runCommand(REMOVE_SCHEDULER.name, args)) as number;
  }

  /** When the next job is due, and its options, which say so, too. */
  #due(id: string, standIn: number, options: JobsOptions): [number, JobsOptions] {
    const due = this.cronTimes.take(standIn);
    if (due === undefined) return [standIn, options];
    const { nextMs, nowMs } = due;
    const delay = Math.max(0, nextMs - nowMs);
    const times = { jobId: `repeat:${id}:${nextMs}`, delay, timestamp: nowMs, prevMillis: nextMs };
    return [nextMs, { ...options, ...times }];
  }

  async #redisMs(): Promise<number> {
    return Number(await this.runScript(NOW, []));
  }
}
