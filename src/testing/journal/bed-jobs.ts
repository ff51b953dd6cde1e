/** A Redis in memory that keeps a journal of what its scripts do. */
import type { Clock } from '../../base/clock.ts';
import type { JointAcknowledged, JointCommit } from '../../jobs/joint-lanes.ts';
import type { Acknowledgement, Taken, TakeRequest } from '../../jobs/lanes.ts';
import type { Acknowledged } from '../../jobs/lane.ts';
import { MemoryJobs } from '../../jobs/memory/memory-jobs.ts';
import type { Journal } from './journal.ts';

export class BedJobs extends MemoryJobs {
  readonly journal: Journal;
  readonly #clock: Clock;

  constructor(clock: Clock, journal: Journal) {
    super(clock);
    this.#clock = clock;
    this.journal = journal;
  }

  override take(request: TakeRequest): Taken {
    const taken = super.take(request);
    this.journal.taken(taken);
    return taken;
  }

  override acknowledge(commit: Acknowledgement): Acknowledged {
    const before = this.inspect(commit.key, 0).copy.token;
    const answer = super.acknowledge(commit);
    const isNew = answer.accepted && before !== commit.token;
    if (isNew) this.journal.acknowledged(commit, this.#clock.wallMs());
    return answer;
  }

  override acknowledgeJoint(commit: JointCommit): JointAcknowledged {
    const isKnown = commit.keys.every(
      ({ key }) => this.inspect(key, 0).copy.token === commit.token,
    );
    const jobs = [...commit.decisions.keys()].flatMap((jobId) => {
      const job = this.get(jobId);
      if (job?.entered === undefined) return [];
      const { name, data, keys, entered, attemptsMade } = job;
      return [{ jobId, name, data, keys, sequence: entered.sequence, attempt: attemptsMade + 1 }];
    });
    const answer = super.acknowledgeJoint(commit);
    if (answer.accepted && !isKnown) {
      this.journal.acknowledgedJoint(commit, jobs, this.#clock.wallMs());
    }
    return answer;
  }

  override withdraw(jobId: string, decision: string): boolean {
    const isOpen = this.get(jobId)?.outcome === '';
    const isWithdrawn = super.withdraw(jobId, decision);
    if (isOpen && isWithdrawn) this.journal.decided(jobId, decision);
    return isWithdrawn;
  }
}
