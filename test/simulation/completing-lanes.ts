/** The lanes of a simulated worker whose fast path is on: jobs are completed in the step that acknowledges their commit. */
import type { Clock } from '../../src/base/clock.ts';
import type { Finisher } from '../../src/jobs/bullmq/fast-path/finisher.ts';
import type { Acknowledgement } from '../../src/jobs/lanes.ts';
import type { Acknowledged } from '../../src/jobs/lane.ts';
import type { MemoryJobs } from '../../src/jobs/memory/memory-jobs.ts';
import { MemoryLanes, type Travel } from '../../src/jobs/memory/memory-lanes.ts';
import type { PlayedDelivery } from '../../src/testing/bullmq/job-record.ts';
import type { PlayedSlots } from './played-slots.ts';

export interface CompletingLanesOptions {
  readonly jobs: MemoryJobs;
  readonly clock: Clock;
  readonly travel: Travel;
  readonly played: PlayedSlots;
  readonly finisher: () => Finisher<PlayedDelivery> | undefined;
}

export class CompletingLanes extends MemoryLanes {
  readonly #options: CompletingLanesOptions;

  constructor(options: CompletingLanesOptions) {
    super(options.jobs, options.clock, options.travel);
    this.#options = options;
  }

  /** As redis-lanes.ts. */
  protected override async acknowledgeMany(
    commits: readonly Acknowledgement[],
  ): Promise<Acknowledged[]> {
    const { jobs, played, finisher } = this.#options;
    const itsFinisher = finisher();
    const completable = commits.flatMap(({ completable: some = [] }) => some);
    if (itsFinisher === undefined || completable.length === 0)
      return super.acknowledgeMany(commits);
    const completing = itsFinisher.argumentsWithCommits();
    const { told, answers } = await this.travel(() => {
      const told = commits.map((commit) => {
        const isKnown = jobs.inspect(commit.key, 0).copy.token === commit.token;
        return { ...jobs.acknowledge(commit), isKnown };
      });
      return { told, answers: played.finishWithCommits(commits, told, completing[2] === 1) };
    });
    itsFinisher.completed(completing, completable, answers);
    return told;
  }
}
