/**
 * The lanes in memory: one client's view of MemoryJobs, for tests and simulation. The calls of one
 * moment are served together, as redis-lanes.ts does it, so that they also fail together.
 */
import type { Clock } from '../../base/clock.ts';
import { Gather } from '../../base/gather.ts';
import type { BehindCommit, JointAcknowledged, JointCommit } from '../joint-lanes.ts';
import type {
  Acknowledgement,
  Lanes,
  LaneSight,
  LaneState,
  Location,
  StandingLane,
  Taken,
  TakeRequest,
} from '../lanes.ts';
import type { Acknowledged, Copy } from '../lane.ts';
import type { MemoryJobs } from './memory-jobs.ts';

/** Keys per call, as in redis-lanes.ts. */
const KEYS_PER_CALL = 64;

/** Carries a request to the store and the reply back; may lose either, delay them, or repeat the request. */
export type Travel = <Reply>(execute: () => Reply) => Promise<Reply>;

export class MemoryLanes implements Lanes {
  readonly #jobs: MemoryJobs;
  protected readonly travel: Travel;
  readonly #take: Gather<TakeRequest, Taken>;
  readonly #acknowledge: Gather<Acknowledgement, Acknowledged>;
  readonly #locate: Gather<{ key: string; jobId: string }, Location>;

  /** @param travel default: a moment of the clock for each way */
  constructor(jobs: MemoryJobs, clock: Clock, travel: Travel = byMoments(clock)) {
    this.#jobs = jobs;
    this.travel = travel;
    this.#take = new Gather(clock, { atMost: KEYS_PER_CALL }, (requests) =>
      travel(() => requests.map((request) => jobs.take(request))),
    );
    this.#acknowledge = new Gather(clock, { atMost: KEYS_PER_CALL }, (commits) =>
      this.acknowledgeMany(commits),
    );
    this.#locate = new Gather(clock, { atMost: KEYS_PER_CALL }, (waiting) =>
      travel(() => waiting.map(({ key, jobId }) => jobs.locate(key, jobId))),
    );
  }

  take(request: TakeRequest): Promise<Taken> {
    return this.#take.call(request);
  }

  acknowledge(commit: Acknowledgement): Promise<Acknowledged> {
    return this.#acknowledge.call(commit);
  }

  protected acknowledgeMany(commits: readonly Acknowledgement[]): Promise<Acknowledged[]> {
    return this.travel(() => commits.map((commit) => this.#jobs.acknowledge(commit)));
  }

  locate(key: string, jobId: string): Promise<Location> {
    return this.#locate.call({ key, jobId });
  }

  enterJoint(jobId: string, keys: readonly string[]): Promise<void> {
    return this.travel(() => this.#jobs.joint.enter(jobId, keys));
  }

  acknowledgeJoint(commit: JointCommit): Promise<JointAcknowledged> {
    return this.travel(() => this.#jobs.acknowledgeJoint(commit));
  }

  settled(token: number, isLasting?: boolean): Promise<void> {
    return this.travel(() => this.#jobs.joint.settled(token, isLasting));
  }

  behind(token?: number): Promise<BehindCommit[]> {
    return this.travel(() => this.#jobs.joint.behind(token));
  }

  noteWait(jobId: string, sequence: number, failAfterMs: number): Promise<number> {
    return this.travel(() => this.#jobs.joint.noteWait(jobId, sequence, failAfterMs));
  }

  withdraw(jobId: string, decision: string): Promise<boolean> {
    return this.travel(() => this.#jobs.withdraw(jobId, decision));
  }

  snapshot(keys: readonly string[]): Promise<Copy[]> {
    return this.travel(() => this.#jobs.joint.snapshot(keys));
  }

  putBack(keys: readonly string[], token: number): Promise<void> {
    return this.travel(() => this.#jobs.putBack(keys, token));
  }

  startAlone(
    jobId: string,
    token: number,
    survived: readonly number[],
    deathsMax: number,
  ): Promise<number> {
    return this.travel(() => this.#jobs.startAlone(jobId, token, survived, deathsMax));
  }

  noteSurvived(jobId: string, tokens: readonly number[]): Promise<void> {
    return this.travel(() => this.#jobs.noteSurvived(jobId, tokens));
  }

  lookAt(standing: readonly StandingLane[]): Promise<LaneSight[]> {
    return this.travel(() => standing.map((lane) => this.#jobs.lookAt(lane)));
  }

  inspect(key: string, jobsMax: number): Promise<LaneState> {
    return this.travel(() => this.#jobs.inspect(key, jobsMax));
  }

  direct(jobId: string, directive: 'skip' | 'drop' | 'deliver'): Promise<boolean> {
    return this.travel(() => this.#jobs.direct(jobId, directive));
  }

  async overwriteCopy(commit: Acknowledgement): Promise<void> {
    await this.travel(() => this.#jobs.overwriteCopy(commit));
  }

  async renumber(key: string, above: number): Promise<void> {
    await this.travel(() => this.#jobs.renumber(key, above));
  }
}

function byMoments(clock: Clock): Travel {
  return (execute) =>
    new Promise((resolve, reject) => {
      clock.soon(() => {
        try {
          const reply = execute();
          clock.soon(() => resolve(reply));
        } catch (thrown) {
          clock.soon(() => reject(thrown as Error));
        }
      });
    });
}
