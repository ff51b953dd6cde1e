/** The lanes in Redis, beside BullMQ's own keys. Each transition is one script of scripts/. */
import { Gather, type GatherOptions } from '../../base/gather.ts';
import type { Clock } from '../../base/clock.ts';
import { type DataSet, readDataSet } from '../../redis/data-set.ts';
import { systemRandom } from '../../base/random.ts';
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
import type { Finisher } from '../bullmq/fast-path/finisher.ts';
import { answersIn } from '../bullmq/fast-path/redis-slot-calls.ts';
import type { QueueScripts } from './queue-scripts.ts';
import { RedisJointLanes } from './redis-joint-lanes.ts';
import {
  acknowledgeArguments,
  laneStateOf,
  takeArguments,
  takenOf,
} from './redis-lane-messages.ts';
import { ACKNOWLEDGE } from './scripts/acknowledge.ts';
import { DIRECT, LANES_OF, LOCATE } from './scripts/locate.ts';
import { NOTE_SURVIVED, START_ALONE } from './scripts/start-alone.ts';
import { INSPECT, type InspectReply } from './scripts/inspect.ts';
import { Packing, Unpacking } from './scripts/packing.ts';
import { RENUMBER } from './scripts/renumber.ts';
import { PUT_BACK } from '../bullmq/state/remove.ts';
import { LOOK_AT } from './scripts/sweep.ts';
import { TAKE, type TakeReply } from './scripts/take.ts';

/** Keys per script call: at least, and at most, so that no script blocks Redis for long. */
const KEYS_PER_CALL = { min: 8, max: 22 };
const NONE: readonly never[] = [];
const ANSWERS = {
  '1': { accepted: true },
  '2': { accepted: true, missing: true },
  '0': { accepted: false },
  b: { accepted: false, wentBack: true },
} as const satisfies Record<string, Acknowledged>;

const SIGHTS: Readonly<Record<string, LaneSight>> = {
  s: 'stands',
  r: 'released',
  m: 'moved-on',
};

/** What lanes know of the worker that they serve. */
export interface LanesOfWorker {
  /** Noted with what it has in hand, for operators. */
  readonly id?: string;
  /** Its jobs are completed in the step that acknowledges their commit. */
  readonly finisher: () => Finisher | undefined;
  /** Jobs that it works on at once. */
  readonly concurrency: number;
  /** Jobs of its commits were decided, some of which may be snoozed. */
  readonly decided?: () => void;
}

const OF_NO_WORKER: LanesOfWorker = {
  finisher: () => undefined,
  concurrency: Number.POSITIVE_INFINITY,
};

export class RedisLanes implements Lanes {
  readonly #scripts: QueueScripts;
  readonly #finisher: () => Finisher | undefined;
  readonly #decided: (() => void) | undefined;
  readonly #take: Gather<TakeRequest, Taken>;
  readonly #acknowledge: Gather<Acknowledgement, Acknowledged>;
  readonly #locate: Gather<{ key: string; jobId: string }, Location>;
  readonly #joint: RedisJointLanes;
  readonly #worker: string;
  /** For a data set that has no name yet. */
  #candidate = systemRandom.id();
  /** As Redis told it last, and what it means. */
  #dataSetText = '';
  #dataSet: DataSet = readDataSet('');

  constructor(
    scripts: QueueScripts,
    clock: Clock,
    { id = '', finisher, concurrency, decided }: LanesOfWorker = OF_NO_WORKER,
  ) {
    const perCall = perCallOf(concurrency);
    this.#scripts = scripts;
    this.#worker = id;
    this.#finisher = finisher;
    this.#decided = decided;
    this.#take = new Gather(clock, perCall, (requests) => this.#takeMany(requests));
    this.#acknowledge = new Gather(clock, perCall, (commits) => this.#acknowledgeMany(commits));
    this.#locate = new Gather(clock, perCall, (jobs) => this.#locateMany(jobs));
    this.#joint = new RedisJointLanes(scripts, clock, decided);
  }

  take(request: TakeRequest): Promise<Taken> {
    return this.#take.call(request);
  }

  acknowledge(commit: Acknowledgement): Promise<Acknowledged> {
    return this.#acknowledge.call(commit);
  }

  locate(key: string, jobId: string): Promise<Location> {
    return this.#locate.call({ key, jobId });
  }

  async putBack(keys: readonly string[], token: number): Promise<void> {
    await this.#scripts.run(PUT_BACK, [token, ...keys]);
  }

  async startAlone(
    jobId: string,
    token: number,
    survived: readonly number[],
    deathsMax: number,
  ): Promise<number> {
    const args = [jobId, token, survived.join(' '), deathsMax];
    return Number(await this.#scripts.run(START_ALONE, args));
  }

  async noteSurvived(jobId: string, tokens: readonly number[]): Promise<void> {
    await this.#scripts.run(NOTE_SURVIVED, [jobId, tokens.join(' ')]);
  }

  async direct(jobId: string, directive: 'skip' | 'drop' | 'deliver'): Promise<boolean> {
    return (await this.#scripts.run(DIRECT, [jobId, directive])) === 1;
  }

  /** The keys of the lanes that a job has entered; none: no such job, or it has entered none. */
  async lanesOf(jobId: string): Promise<string[]> {
    return (await this.#scripts.run(LANES_OF, [jobId])) as string[];
  }

  async overwriteCopy(commit: Acknowledgement): Promise<void> {
    const packing = new Packing();
    const args = packing.arguments([0, acknowledgeArguments(commit, 'any', packing)]);
    await this.#scripts.run(ACKNOWLEDGE, args, [`${this.#scripts.prefix}delayed`]);
  }

  async renumber(key: string, above: number): Promise<void> {
    await this.#scripts.run(RENUMBER, [key, above]);
  }

  async inspect(key: string, jobsMax: number): Promise<LaneState> {
    const args = [key, jobsMax, this.#candidate];
    const reply = (await this.#scripts.run(INSPECT, args)) as InspectReply;
    return laneStateOf(reply, this.#dataSetOf(reply[7]));
  }

  async lookAt(standing: readonly StandingLane[]): Promise<LaneSight[]> {
    const args = standing.flatMap(({ key, jobId }) => [key, jobId]);
    const letters = (await this.#scripts.run(LOOK_AT, args)) as string;
    return Array.from(letters, (letter) => SIGHTS[letter] as LaneSight);
  }

  enterJoint(jobId: string, keys: readonly string[]): Promise<void> {
    return this.#joint.enterJoint(jobId, keys);
  }

  acknowledgeJoint(commit: JointCommit): Promise<JointAcknowledged> {
    return this.#joint.acknowledgeJoint(commit);
  }

  settled(token: number, isLasting?: boolean): Promise<void> {
    return this.#joint.settled(token, isLasting);
  }

  behind(token?: number): Promise<BehindCommit[]> {
    return this.#joint.behind(token);
  }

  noteWait(jobId: string, sequence: number, failAfterMs: number): Promise<number> {
    return this.#joint.noteWait(jobId, sequence, failAfterMs);
  }

  withdraw(jobId: string, decision: string): Promise<boolean> {
    return this.#joint.withdraw(jobId, decision);
  }

  snapshot(keys: readonly string[]): Promise<Copy[]> {
    return this.#joint.snapshot(keys);
  }

  async #takeMany(requests: readonly TakeRequest[]): Promise<Taken[]> {
    const packing = new Packing();
    const args = packing.arguments([
      ...[this.#candidate, this.#worker],
      ...requests.map(takeArguments),
    ]);
    const { prefix } = this.#scripts;
    const keys = [`${prefix}delayed`, `${prefix}meta`];
    const reply = new Unpacking<[number, string, ...TakeReply[]]>(
      await this.#scripts.run(TAKE, args, keys),
    );
    const [restricted, dataSet, ...lanes] = reply.message;
    const together = { restricted: restricted === 1, dataSet: this.#dataSetOf(dataSet) };
    return lanes.map((lane) => takenOf(lane, together, reply));
  }

  #dataSetOf(text: string): DataSet {
    if (text === this.#dataSetText) return this.#dataSet;
    this.#dataSetText = text;
    this.#dataSet = readDataSet(text);
    // A Redis that is emptied later must not get the same name from us again.
    if (this.#dataSet.id === this.#candidate) this.#candidate = systemRandom.id();
    return this.#dataSet;
  }

  async #acknowledgeMany(commits: readonly Acknowledgement[]): Promise<Acknowledged[]> {
    const packing = new Packing();
    const finisher = this.#finisher();
    const completing = finisher?.argumentsWithCommits();
    const all = commits.map((commit) => acknowledgeArguments(commit, String(commit.base), packing));
    const keys = [`${this.#scripts.prefix}delayed`];
    const args = packing.arguments([completing ?? 0, ...all]);
    const reply = (await this.#scripts.run(ACKNOWLEDGE, args, keys)) as string;
    this.#decided?.();
    if (completing === undefined || !reply.startsWith('[')) return answersTo(commits, reply);
    const told = JSON.parse(reply) as unknown[];
    const letters = told.pop() as string;
    const completable = commits.flatMap(({ completable: some = NONE }) => some);
    finisher?.completed(completing, completable, answersIn(told));
    return answersTo(commits, letters);
  }

  async #locateMany(jobs: readonly { key: string; jobId: string }[]): Promise<Location[]> {
    const args = jobs.flatMap(({ key, jobId }) => [key, jobId]);
    const replies = (await this.#scripts.run(LOCATE, args)) as [string, ...(string | number)[]][];
    return replies.map(([kind, first, second]): Location => {
      if (kind === 'd') return { kind: 'decided', outcome: String(first) };
      if (kind === 'w') return { kind: 'waiting', rank: Number(first), paceMs: Number(second) };
      return { kind: 'absent' };
    });
  }
}

function answersTo(commits: readonly Acknowledgement[], letters: string): Acknowledged[] {
  return commits.map((_, at) => ANSWERS[letters[at] as keyof typeof ANSWERS]);
}

/**
 * One call of a kind at a time, for a third of the jobs (why: gather.ts): another third is with memcached, or
 * in this process. On different keys 8 % faster than two calls of 16 with 64 jobs at once, 12 % with 32.
 */
function perCallOf(concurrency: number): GatherOptions {
  const { min, max } = KEYS_PER_CALL;
  return { atMost: Math.max(min, Math.min(Math.ceil(concurrency / 3), max)), callsMax: 1 };
}
