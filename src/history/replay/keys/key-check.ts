/** One key of a replay: its values, how its jobs end, and the same with the former updates, if they are given. */
import type { UpdateRegistry } from '../../../updates/update-registry.ts';
import type { JointLines } from '../../recording/joint-lines.ts';
import type { RecordedCommit, RecordedJob } from '../../recording/recording.ts';
import { JobOutcomes } from '../jobs/job-outcomes.ts';
import { JobTrials } from '../jobs/job-trials.ts';
import { foldJoint } from '../joint/fold-joint.ts';
import { KeyReplay } from './key-replay.ts';
import type { CommitPlace } from '../report.ts';
import type { OnJob } from '../jobs/replayed-job.ts';

/** One set of updates, following the key. */
interface Follower {
  readonly registry: UpdateRegistry;
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

  /**
   * A joint commit, for all its keys.
   * @param checks those of its parts, in their order, of which this one keeps how its jobs end
   */
  nextJoint(joint: JointLines, checks: readonly KeyCheck[]): void | Promise<void> {
    const { trials, registry } = this.#now;
    trials.clear(joint.line, joint);
    const replays = checks.map(({ replay }) => replay);
    const following = foldJoint(joint, replays, registry, trials);
    if (following === undefined && this.#then === undefined) {
      return this.#lookJoint(joint, replays, false);
    }
    return this.#jointWithFormer(following, joint, checks);
  }

  async #jointWithFormer(
    following: void | Promise<void>,
    joint: JointLines,
    checks: readonly KeyCheck[],
  ): Promise<void> {
    await following;
    const then = this.#then;
    const formers = checks.flatMap((check) => check.#then?.replay ?? []);
    if (then !== undefined) {
      then.trials.clear(joint.line, joint);
      await foldJoint(joint, formers, then.registry, then.trials);
    }
    const replays = checks.map(({ replay }) => replay);
    this.#lookJoint(joint, replays, then !== undefined && formers.every(({ agrees }) => agrees));
  }

  #lookJoint(joint: JointLines, replays: readonly KeyReplay[], isFormerRight: boolean): void {
    const isAgreed = replays.every(({ agrees }) => agrees);
    this.#lookAt(joint.jobs, isAgreed, isFormerRight, {
      line: joint.line,
      token: joint.parts[0]?.token ?? 0,
    });
  }

  #look({ jobs, token }: RecordedCommit, line: number, isFormerRight: boolean): void {
    this.#lookAt(jobs, this.replay.agrees, isFormerRight, { line, token });
  }

  #lookAt(
    jobs: readonly RecordedJob[],
    isAgreed: boolean,
    isFormerRight: boolean,
    place: CommitPlace,
  ): void {
    const { trials } = this.#now;
    if (isAgreed) {
      const then = isFormerRight ? this.#then?.trials : undefined;
      this.outcomes.take(trials, then, place);
      return;
    }
    for (const { outcome, update } of jobs) {
      if (outcome?.kind === 'failed') this.outcomes.passOver(update);
    }
  }
}

function follower(registry: UpdateRegistry, unknown: Set<string>, onJob?: OnJob): Follower {
  const trials = new JobTrials(onJob);
  return { registry, trials, replay: new KeyReplay(registry, unknown, trials) };
}
