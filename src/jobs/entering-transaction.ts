/**
 * Jobs on their way into a queue: BullMQ's own adds and the entries into their lanes, in one
 * transaction. If the process dies, both have happened or neither has.
 */
import type { IRedisTransaction, JobJson, ParentKeyOpts, RedisQueueBackend } from 'bullmq';
import { ownPrefixOf } from '../base/own-keys.ts';
import { ENTER, ENTER_NAMED, LEAVE_IF_GONE } from './scripts/enter.ts';
import type { Script } from './scripts/script.ts';

export interface Add {
  readonly job: JobJson;
  /** Undefined: BullMQ numbers it. */
  readonly jobId: string;
  readonly parentKeyOpts: ParentKeyOpts;
}

type AddingBackend = Pick<RedisQueueBackend, 'keys' | 'addJobToTransaction' | 'finishedErrors'>;

export class EnteringTransaction {
  readonly #backend: AddingBackend;
  readonly #transaction: IRedisTransaction;
  /** Lanes of the last adds that BullMQ numbers; '' for one that enters none. */
  #unnamed: string[] = [];
  #commands = 0;
  /** Which of the commands are BullMQ's adds. */
  readonly #places: number[] = [];

  /** @param transaction empty, of a client that knows the scripts */
  constructor(backend: AddingBackend, transaction: IRedisTransaction) {
    this.#backend = backend;
    this.#transaction = transaction;
  }

  /** @param lane '' if the job enters none now */
  add({ job, jobId, parentKeyOpts }: Add, lane: string): void {
    const named = jobId !== undefined && lane !== '';
    if (named || mayBeRefused(parentKeyOpts)) this.#enterUnnamed();
    if (named) this.#run(ENTER_NAMED, [], [lane, jobId]);
    // Queued before its first await, as BullMQ's own addJobs relies on.
    void this.#backend.addJobToTransaction(this.#transaction, job, jobId, parentKeyOpts);
    this.#places.push(this.#commands++);
    if (named) this.#run(LEAVE_IF_GONE, [], [lane, jobId]);
    else if (!mayBeRefused(parentKeyOpts)) this.#unnamed.push(jobId === undefined ? lane : '');
  }

  /** Carries it out. Each job's id, or why it was not added. */
  async commit(): Promise<(string | Error)[]> {
    this.#enterUnnamed();
    const replies = await this.#transaction.exec();
    if (replies === null) throw new Error('Redis gave the transaction up');
    return this.#places.map((place) => {
      const [error, id] = replies[place] as [Error | null, unknown];
      if (error) return error;
      return typeof id === 'number' && id < 0 ? this.#refused(id) : String(id);
    });
  }

  #enterUnnamed(): void {
    const counter = this.#backend.keys['id'] as string;
    if (this.#unnamed.some((lane) => lane !== '')) this.#run(ENTER, [counter], this.#unnamed);
    this.#unnamed = [];
  }

  #run(script: Script, keys: readonly string[], args: readonly string[]): void {
    const prefix = this.#backend.keys[''] as string;
    this.#transaction.runCommand(script.name, [
      `${ownPrefixOf(prefix)}sequence`,
      ...keys,
      prefix,
      ...args,
    ]);
    this.#commands += 1;
  }

  #refused(code: number): Error {
    return this.#backend.finishedErrors({ code, command: 'addJob', parentKey: 'of the job' });
  }
}

/** BullMQ refuses (-5) a child whose parent does not exist; then it does not count its id up, either. */
function mayBeRefused({ parentKey }: ParentKeyOpts): boolean {
  return parentKey !== undefined && parentKey !== '';
}

/** Adds that are due later, or part of a flow, enter their lane when they are first delivered. */
export function entersLater({ job, parentKeyOpts }: Add): boolean {
  const { delay } = job.opts;
  return (
    parentKeyOpts.addToWaitingChildren === true ||
    mayBeRefused(parentKeyOpts) ||
    (typeof delay === 'number' && delay > 0) ||
    job.repeatJobKey !== undefined
  );
}
