/**
 * Renews the locks of the jobs that a worker has, as BullMQ does, but by the monotonic clock. BullMQ
 * compares the wall clock with the time at which a job was started: with a wall clock an hour behind Redis's,
 * or set back by an hour, no lock would be renewed for that hour, and every job would stall.
 */
import { LockManager, type Worker } from 'bullmq';
import { systemClock, type Timer } from '../../../base/clock.ts';

export class LockRenewal extends LockManager {
  #timer: Timer | undefined;

  /** As BullMQ's worker makes its own. */
  static of(worker: Pick<Worker, 'opts' | 'id'>): LockRenewal {
    const { lockRenewTime = 0, lockDuration = 0, name } = worker.opts;
    const options = { lockRenewTime, lockDuration, workerId: worker.id };
    const context = worker as unknown as ConstructorParameters<typeof LockManager>[0];
    return new LockRenewal(context, { ...options, ...(name && { workerName: name }) });
  }

  override start(): void {
    if (!this.closed && this.opts.lockRenewTime > 0) this.#renewSoon();
  }

  override trackJob(
    jobId: string,
    token: string,
    _startedOn: number,
    shouldCreateController?: boolean,
  ): ReturnType<LockManager['trackJob']> {
    return super.trackJob(jobId, token, systemClock.monotonicMs(), shouldCreateController);
  }

  override isRunning(): boolean {
    return !this.closed && this.#timer !== undefined;
  }

  override async close(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    await super.close();
  }

  #renewSoon(): void {
    this.#timer?.cancel();
    if (this.closed) return;
    const againMs = this.opts.lockRenewTime / 2;
    const renew = (): void => {
      // What is wrong with Redis is an `error` event already.
      void this.#renewDue().finally(() => this.#renewSoon());
    };
    this.#timer = systemClock.after(againMs, renew, { keepAlive: true });
  }

  async #renewDue(): Promise<void> {
    const nowMs = systemClock.monotonicMs();
    const due: string[] = [];
    for (const [jobId, tracked] of this.trackedJobs) {
      if (tracked.ts + this.opts.lockRenewTime / 2 > nowMs) continue;
      tracked.ts = nowMs;
      due.push(jobId);
    }
    if (due.length > 0) await this.extendLocks(due);
  }
}
