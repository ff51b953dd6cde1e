/**
 * The scripts of the fast path, played: what finish.ts and fill.ts do to BullMQ's jobs, and the part of acknowledge.ts that
 * completes jobs in the step that acknowledges their commit.
 */
import type { Answers, Completed, ToComplete } from '../../src/jobs/bullmq/fast-path/slot-calls.ts';
import type { Acknowledgement, Completable } from '../../src/jobs/lanes.ts';
import type { Acknowledged } from '../../src/jobs/lane.ts';
import type { JobQueue } from '../../src/testing/bullmq/job-queue.ts';
import type { PlayedDelivery } from '../../src/testing/bullmq/job-record.ts';

type PlayedAnswer = Completed<PlayedDelivery>;

export class PlayedSlots {
  readonly #queue: JobQueue;
  readonly #wallMs: () => number;

  /** @param wallMs Redis' */
  constructor(queue: JobQueue, wallMs: () => number) {
    this.#queue = queue;
    this.#wallMs = wallMs;
  }

  /** FINISH. */
  finish(jobs: readonly ToComplete[]): Answers<PlayedDelivery> {
    const answers: PlayedAnswer[] = jobs.map((job) => (this.#complete(job) ? undefined : 'slow'));
    const wanting = jobs.flatMap(({ fetchNext, token }, at) =>
      fetchNext && answers[at] !== 'slow' ? [{ at, token }] : [],
    );
    this.#fetch(wanting, answers);
    return { nowMs: this.#wallMs(), answers };
  }

  /** FILL. */
  fill(tokens: readonly string[]): Answers<PlayedDelivery> {
    if (this.#queue.isPaused) return { nowMs: this.#wallMs(), answers: ['fetch'] };
    const share = Math.max(1, Math.ceil(this.#queue.places.waiting / 2));
    const slots = tokens.slice(0, share).map((token, at) => ({ at, token }));
    const answers: PlayedAnswer[] = slots.map(() => undefined);
    this.#fetch(slots, answers);
    return { nowMs: this.#wallMs(), answers };
  }

  /** ACKNOWLEDGE, once it has decided what each commit is. @param isKnown it had been acknowledged before */
  finishWithCommits(
    commits: readonly Acknowledgement[],
    told: readonly (Acknowledged & { readonly isKnown: boolean })[],
    fetchNext: boolean,
  ): Answers<PlayedDelivery> {
    const answers: PlayedAnswer[] = [];
    const finishing: (ToComplete & { readonly at: number })[] = [];
    for (const [n, { completable = [], decisions }] of commits.entries()) {
      for (const job of completable) {
        const at = answers.push('slow') - 1;
        const isDone = this.#isFinished(job);
        // The answer to the first acknowledgement was lost: what it completed need not be completed once more.
        if (told[n]?.isKnown === true) {
          if (isDone) answers[at] = 'fetch';
        } else if (told[n]?.accepted === true && this.#outcomeOf(job)[0] === 'a') {
          const result = (decisions.get(job.jobId) ?? 'a').slice(1);
          finishing.push({ ...job, result: result || 'null', fetchNext, at });
        }
      }
    }
    const finished = this.finish(finishing);
    for (const [n, { at }] of finishing.entries()) answers[at] = finished.answers[n];
    return { nowMs: finished.nowMs, answers };
  }

  #complete(job: ToComplete): boolean {
    const { jobId, token, result } = job;
    const { isPaused, places, delivered } = this.#queue;
    if (isPaused || places.locks.tokenOf(jobId) !== token) return false;
    return delivered.complete(jobId, token, result === 'null' ? '' : result, job) === 'done';
  }

  #fetch(slots: readonly { at: number; token: string }[], answers: PlayedAnswer[]): void {
    const { places } = this.#queue;
    const isDue = places.delayed.nextDueMs <= this.#wallMs();
    for (const { at, token } of slots) {
      if (isDue) {
        answers[at] = 'fetch';
        continue;
      }
      const job = this.#queue.delivered.fetch(token, this.#wallMs());
      const dueMs = places.delayed.nextDueMs;
      if (job !== undefined) answers[at] = [job, job.jobId];
      else if (dueMs < Number.POSITIVE_INFINITY) answers[at] = [0, 0, 0, dueMs];
    }
  }

  #isFinished({ jobId }: Completable): boolean {
    const record = this.#queue.record(jobId);
    return record === undefined || record.isRemoved || record.job.finishedOn !== undefined;
  }

  #outcomeOf({ jobId }: Completable): string {
    return this.#queue.record(jobId)?.job.outcome ?? '';
  }
}
