/** One key of a replay: its values, how its jobs end, and the same with the former updates, if they are given. */
import type { UpdateRegistry } from '../../updates/update-registry.ts';
import type { RecordedCommit } from '../recording/recording.ts';
import { JobOutcomes } from './jobs/job-outcomes.ts';
import { JobTrials } from './jobs/job-trials.ts';
import { KeyReplay } from './key.ts';
import type { OnJob } from './jobs/replayed-job.ts';

/** One set of updates, following the key. */
interface Follower {
  readonly replay: KeyReplay;
  readonly trials: JobTrials;
}

export class KeyCheck {
  readonly #now: Follower;
  /** It is believed only where it gives the recorded hashes itself. */
  readonly #then: Follower | undefined;
  readonly outcomes: JobOutcomes = new JobOutcomes();

  /** @param onJob told of the jobs as they are today */
  constructor(
    registry: UpdateRegistry,
    former: UpdateRegistry | undefined,
    unknown: Set<string>,
    onJob?: OnJob,
  ) {
    this.#now = follower(registry, unknown, onJob);
    this.#then = former && follower(former, new Set());
  }

  get replay(): KeyReplay {
    return this.#now.replay;
  }

  /** Jobs that were not applied at their first attempt. */
  get retried(): number {
    return this.#now.trials.retried;
  }

  /** A promise only if an update or a schema is asynchronous. */
  next(commit: RecordedCommit, line: number): void | Promise<void> {
    const { replay, trials } = this.#now;
    trials.clear(line);
    const following = replay.next(commit, line);
    if (following === undefined && this.#then === undefined) return this.#look(commit, line, false);
    return this.#withFormer(following, commit, line);
  }

  async #withFormer(
    following: void | Promise<void>,
    commit: RecordedCommit,
    line: number,
  ): Promise<void> {
    await following;
    const then = this.#then;
    const isAsked = then !== undefined && !this.replay.isDone();
    if (isAsked) {
      then.trials.clear(line);
      await then.replay.next(commit, line);
    }
    this.#look(commit, line, isAsked && then.replay.agrees);
  }

  #look(commit: RecordedCommit, line: number, isFormerRight: boolean): void {
    const { replay, trials } = this.#now;
    if (replay.agrees) {
      const then = isFormerRight ? this.#then?.trials : undefined;
      this.outcomes.take(trials, then, { line, token: commit.token });
      return;
    }
    for (const { outcome, update } of commit.jobs) {
      if (outcome?.kind === 'failed') this.outcomes.passOver(update);
    }
  }
}

function follower(registry: UpdateRegistry, unknown: Set<string>, onJob?: OnJob): Follower {
  const trials = new JobTrials(registry, onJob);
  return { trials, replay: new KeyReplay(registry, unknown, trials) };
}
