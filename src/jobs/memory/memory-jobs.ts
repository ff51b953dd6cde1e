/**
 * A queue's Redis in memory: BullMQ's job hashes, and beside them the lanes, the copies and the
 * counter. Several MemoryLanes (the clients of a test or a simulation) share one. What is a script
 * in scripts/ is a method here: it runs at once and as a whole (a take: memory-taking.ts, how jobs leave their lane:
 * departures.ts, jobs of several keys: memory-joint.ts). How requests and replies travel is
 * memory-lanes.ts's business; which job is delivered, and when, is the business of what plays BullMQ
 * and keeps `state` and the counters below as BullMQ would.
 */
import type { Clock } from '../../base/clock.ts';
import type { DataSet } from '../../redis/data-set.ts';
import type { JointAcknowledged, JointCommit } from '../joint-lanes.ts';
import type {
  Acknowledgement,
  LaneSight,
  LaneState,
  Location,
  StandingLane,
  Taken,
  TakeRequest,
} from '../lanes.ts';
import type { Acknowledged, LaneJob } from '../lane.ts';
import { Departures } from './departures.ts';
import { MemoryHistory } from './memory-history.ts';
import { LaneOrders } from './lane-orders.ts';
import { MemoryCopies } from './memory-copies.ts';
import { type BatchInHand, MemoryJoint } from './memory-joint.ts';
import { MemoryTaking } from './memory-taking.ts';
import {
  isFinished,
  type MemoryJob,
  newJob,
  type NewMemoryJob,
  noteSurvived,
  startAlone,
} from './memory-job.ts';

export class MemoryJobs {
  readonly #dataSetId: string;
  readonly #jobs = new Map<string, MemoryJob>();
  readonly #lanes: LaneOrders;
  readonly #copies: MemoryCopies;
  readonly #taking: MemoryTaking;
  readonly #departures: Departures;
  /** The batch of each key that somebody has in hand: its token, and its last sequence. */
  readonly #inHand = new Map<string, BatchInHand>();
  #dataSet: DataSet | undefined;
  #lastId = 0;
  /** Called with a delayed job that has nothing to wait for any more. Whoever plays BullMQ sets it. */
  promote: (jobId: string) => void = () => {};
  /** The queue is paused. */
  paused = false;
  readonly history: MemoryHistory;
  /** Jobs of several keys. */
  readonly joint: MemoryJoint;

  /** @param clock of the Redis server */
  constructor(clock: Clock, dataSetId = 'memory') {
    this.#dataSetId = dataSetId;
    this.#lanes = new LaneOrders(clock);
    this.#copies = new MemoryCopies(clock);
    this.#departures = new Departures({
      jobs: this.#jobs,
      lanes: this.#lanes,
      copies: this.#copies,
      enter: (key, jobId) => void this.#enter(key, jobId),
      promote: (jobId) => this.promote(jobId),
    });
    this.history = new MemoryHistory(clock);
    this.joint = new MemoryJoint({
      ...{ jobs: this.#jobs, lanes: this.#lanes, copies: this.#copies, history: this.history },
      dataSetId: () => this.dataSet().id,
      promote: (jobId) => this.promote(jobId),
      inHand: this.#inHand,
    });
    this.#taking = new MemoryTaking({
      ...{ jobs: this.#jobs, lanes: this.#lanes, copies: this.#copies, history: this.history },
      ...{ joint: this.joint, inHand: this.#inHand, clock },
      enter: (key, jobId) => this.#enter(key, jobId),
      dataSet: () => this.dataSet(),
      isRestricted: () => this.paused,
    });
  }

  // Jobs

  /** Undefined: the id exists, and nothing was added. */
  add(added: NewMemoryJob): MemoryJob | undefined {
    const { id, lane } = added;
    const jobId = id ?? this.nextId();
    if (this.#jobs.has(jobId)) return undefined;
    const job = newJob(jobId, added);
    this.#jobs.set(jobId, job);
    if (typeof lane === 'string') this.#enter(lane, jobId);
    else if (lane !== undefined) this.joint.enterAll(job, lane);
    return job;
  }

  /** Of jobs without an id of their own. */
  nextId(): string {
    return String(++this.#lastId);
  }

  get(jobId: string): MemoryJob | undefined {
    return this.#jobs.get(jobId);
  }

  /** In the order in which they were added. */
  all(): IterableIterator<MemoryJob> {
    return this.#jobs.values();
  }

  /** It has entered a lane, and is in it still. */
  isInLane(jobId: string): boolean {
    const { entered } = this.#jobs.get(jobId) ?? {};
    return entered !== undefined && this.#lanes.has(entered.key, jobId);
  }

  /** MAY_BE_APPLIED_LUA of bullmq/state/remove.ts: asked before a job is removed. */
  mayBeApplied(jobId: string): boolean {
    const job = this.#jobs.get(jobId);
    if (job?.entered === undefined || isFinished(job)) return false;
    if (job.outcome !== '') return true;
    const { key } = job.entered;
    const sequence = this.#lanes.sequenceOf(key, jobId) ?? Number.POSITIVE_INFINITY;
    return sequence <= (this.#inHand.get(key)?.last ?? 0);
  }

  /** Its lane entry stays until somebody meets it. True: it was there. */
  remove(jobId: string): boolean {
    return this.#jobs.delete(jobId);
  }

  /** Takes the entry of a removed job out of its lane. Returns who is first now, if it was; else ''. */
  leaveIfGone(key: string, jobId: string): string {
    if (this.#jobs.has(jobId)) return '';
    const first = this.#lanes.first(key);
    this.#lanes.leave(key, jobId);
    this.#copies.noteLost(key);
    return first === jobId ? (this.#lanes.first(key) ?? '') : '';
  }

  /** A job that was removed is there again. */
  restore(job: MemoryJob): void {
    this.#jobs.set(job.id, job);
  }

  // Transitions

  take(request: TakeRequest): Taken {
    return this.#taking.take(request);
  }

  acknowledgeJoint(commit: JointCommit): JointAcknowledged {
    return this.joint.acknowledge(commit);
  }

  withdraw(jobId: string, decision: string): boolean {
    return this.joint.withdraw(jobId, decision);
  }

  acknowledge(commit: Acknowledgement): Acknowledged {
    if (commit.dataSet !== this.dataSet().id) return { accepted: false };
    const copyToken = this.#copies.of(commit.key)?.token ?? 0;
    if (copyToken === commit.token) return { accepted: true };
    if (copyToken !== commit.base) return { accepted: false };
    if (commit.token > this.#lanes.lastDrawn || this.#departures.hasStrangers(commit))
      return { accepted: false, wentBack: true };
    return this.overwriteCopy(commit);
  }

  overwriteCopy(commit: Acknowledgement): Acknowledged {
    const { key, history } = commit;
    if (history !== undefined) {
      const base = this.#copies.of(key)?.token ?? 0;
      this.history.add(commit, history, base, this.#departures.recorded(commit, history));
    }
    this.#copies.write(commit);
    const left = this.#departures.carryOut(commit);
    this.#inHand.delete(key);
    return { accepted: true, ...(left !== commit.decided && { missing: true }) };
  }

  /** As if a replica had taken this server's place that knows the job, but not that it has entered its lane. */
  forgetEntry(jobId: string): void {
    const job = this.#jobs.get(jobId);
    if (job?.entered === undefined) return;
    for (const key of job.keys ?? [job.entered.key]) this.#lanes.leave(key, jobId);
    job.entered = undefined;
    job.isLate = false;
  }

  putBack(keys: readonly string[], token: number): void {
    for (const key of keys) if (this.#inHand.get(key)?.token === token) this.#inHand.delete(key);
  }

  renumber(key: string, above: number): void {
    const { token = 0, watermark = 0 } = this.#copies.of(key) ?? {};
    this.#lanes.skipTo(Math.max(above, token, watermark));
    for (const [jobId] of this.#lanes.upTo(key, watermark)) {
      const sequence = this.#lanes.draw();
      const job = this.#jobs.get(jobId);
      if (job?.entered !== undefined) job.entered = { ...job.entered, sequence };
      const keys = job?.keys ?? [key];
      for (const one of keys)
        if (this.#lanes.has(one, jobId)) this.#lanes.enter(one, jobId, sequence);
    }
  }

  locate(key: string, jobId: string): Location {
    const outcome = this.#jobs.get(jobId)?.outcome ?? '';
    if (outcome !== '') return { kind: 'decided', outcome };
    const rank = this.#lanes.rank(key, jobId);
    if (rank < 0) return { kind: 'absent' };
    return { kind: 'waiting', rank, paceMs: this.#copies.of(key)?.paceMs ?? 0 };
  }

  /** 0: the job is gone. */
  startAlone(jobId: string, token: number, survived: readonly number[], deathsMax: number): number {
    const job = this.#jobs.get(jobId);
    return job === undefined ? 0 : startAlone(job, token, survived, deathsMax);
  }

  /** NOTE_SURVIVED of scripts/start-alone.ts. */
  noteSurvived(jobId: string, tokens: readonly number[]): void {
    const job = this.#jobs.get(jobId);
    if (job !== undefined) noteSurvived(job, tokens);
  }

  direct(jobId: string, directive: 'skip' | 'drop' | 'deliver'): boolean {
    const job = this.#jobs.get(jobId);
    if (job === undefined) return false;
    if (directive !== 'deliver' || job.directive === '') job.directive = directive;
    return true;
  }

  lookAt({ key, jobId }: StandingLane): LaneSight {
    const first = this.#lanes.first(key);
    if (first !== jobId) return 'moved-on';
    const state = this.#jobs.get(jobId)?.state ?? 'completed';
    return state === 'completed' ? 'released' : 'stands';
  }

  /** Of lanes that are not empty. */
  laneKeys(): string[] {
    return this.#lanes.keys();
  }

  /** The batch that somebody has in hand. */
  inHand(key: string): BatchInHand | undefined {
    return this.#inHand.get(key);
  }

  inspect(key: string, jobsMax: number): LaneState {
    const head: LaneJob[] = this.#lanes.head(key, jobsMax).map(([jobId, sequence]) => {
      const { keys } = this.get(jobId) ?? {};
      return keys === undefined ? { jobId, sequence } : { jobId, sequence, keys };
    });
    const paceMs = this.#copies.of(key)?.paceMs ?? 0;
    const copy = this.#copies.seenWith(key);
    const nextToken = this.#lanes.next;
    return {
      copy,
      length: this.#lanes.length(key),
      paceMs,
      head,
      dataSet: this.dataSet(),
      nextToken,
    };
  }

  /** The counter of sequences and tokens: `max(last + 1, time in µs)`. */
  drawToken(): number {
    return this.#lanes.draw();
  }

  /** Made when it is first asked for. */
  dataSet(): DataSet {
    this.#dataSet ??= { id: this.#dataSetId, madeAt: this.#lanes.nowMicros() };
    return this.#dataSet;
  }

  #enter(key: string, jobId: string): number {
    const sequence = this.#lanes.enter(key, jobId);
    const job = this.#jobs.get(jobId);
    if (job !== undefined) job.entered = { key, sequence };
    return sequence;
  }
}
