/** BullMQ's Redis backend where adding and removing a job, or giving it other data, moves it in its lane, too. */
import type { JobJson, MinimalJob, ParentKeyOpts, RedisClient, RedisQueueBackend } from 'bullmq';
import { systemClock } from '../../../base/clock.ts';
import { systemRandom } from '../../../base/random.ts';
import { ENQUEUE_MS } from '../../../options.ts';
import { Adding } from '../adding/adding.ts';
import { Producer } from '../adding/producer.ts';
import { addScript } from '../state/add.ts';
import { MOVE_JOINT } from '../../redis/scripts/joint/enter.ts';
import { MOVE, REMOVE } from '../state/remove.ts';
import { REINDEX_OF_JOB } from '../../redis/index/lane-index.ts';
import type { Owner } from './owner.ts';
import { WaitingBackend } from './waiting-backend.ts';

export abstract class AddingBackend extends WaitingBackend {
  /** Aborts when the connections are ended at once. */
  protected readonly abandoned: AbortController = new AbortController();
  #adding: Adding | undefined;

  protected abstract readonly owner: Owner;

  override async addJob(
    job: JobJson,
    jobId: string,
    parentKeyOpts: ParentKeyOpts = {},
  ): Promise<string> {
    const [id] = await this.addJobs([{ job, jobId, parentKeyOpts }]);
    return id as string;
  }

  override async addJobs(
    adds: { job: JobJson; jobId: string; parentKeyOpts?: ParentKeyOpts }[],
  ): Promise<string[]> {
    const all = adds.map((add) => ({ ...add, parentKeyOpts: add.parentKeyOpts ?? {} }));
    this.#adding ??= this.#makeAdding();
    return this.#adding.add(all, this.owner.laneOf);
  }

  #makeAdding(): Adding {
    const { addWithinMs: withinMs = ENQUEUE_MS } = this.owner;
    const script = addScript();
    const { signal } = this.abandoned;
    let client: RedisClient | undefined;
    const producer = new Producer({
      ...{ clock: systemClock, random: systemRandom, withinMs },
      ready: async () => {
        if (client !== undefined) return;
        client = await this.scripts();
        client.defineCommand(script.name, script);
      },
      run: async (producerId, args) =>
        client?.runCommand(script.name, [
          `${this.ownPrefix}sequence`,
          `${this.ownPrefix}producer:${producerId}`,
          this.keys[''],
          ...args,
        ]),
      isClosed: () => signal.aborted || this.closing !== undefined || client?.status === 'end',
      abandoned: signal,
    });
    return new Adding(this, producer, withinMs);
  }

  /** Says no (0), as BullMQ does of what is locked, also if the job may be in its key's value already. */
  override async remove(jobId: string, removeChildren: boolean): Promise<number> {
    const bull = this.removeArgs(jobId, removeChildren).map(String);
    const answer = await this.runScript(REMOVE, [jobId, removeChildren ? '1' : '0', ...bull]);
    const removed = answer as number;
    if (removed < 0) throw this.finishedErrors({ code: removed, jobId, command: 'removeJob' });
    await this.snoozed.wakePromoted();
    return removed;
  }

  /** A job that holds its lane no longer holds it. */
  override async retryFinishedJob(
    ...args: Parameters<RedisQueueBackend['retryFinishedJob']>
  ): Promise<void> {
    await super.retryFinishedJob(...args);
    await this.runScript(REINDEX_OF_JOB, [String(args[0].id)]);
  }

  /** Data that name another key: the job goes there, unless somebody has it in hand. */
  override async updateData<T, R, N extends string>(
    job: MinimalJob<T, R, N>,
    data: T,
  ): Promise<void> {
    const lane = await this.owner.laneOf?.(job.name, JSON.stringify(data));
    await super.updateData(job, data);
    if (lane === undefined || lane === '') return;
    if (typeof lane === 'string') await this.runScript(MOVE, [job.id as string, lane]);
    else await this.runScript(MOVE_JOINT, [job.id as string, JSON.stringify(lane)]);
    await this.snoozed.wakePromoted();
  }
}
