/**
 * A queue's Redis in memory: BullMQ's job hashes, and beside them the lanes, the copies and the
 * counter. Several MemoryLanes (the clients of a test or a simulation) share one. What is a script
 * in scripts/ is a method here: it runs at once and as a whole. How requests and replies travel is
 * memory-lanes.ts's business; who is delivered which job, and when, is that of whoever plays BullMQ
 * and keeps `state` and the counters below as BullMQ would.
 */
import type { Clock } from '../base/clock.ts';
import type {
  Acknowledged,
  Acknowledgement,
  Copy,
  LaneEntry,
  LaneJob,
  LaneState,
  Location,
  Taken,
  TakeRequest,
} from './lanes.ts';
import type { HistoryJob, HistoryNote } from './history.ts';
import { attemptOf, MemoryHistory, recordedDecision } from './memory-history.ts';
import { PLAIN_APPLIED } from './outcome.ts';
import { TOMBSTONE_MS } from './redis-lanes.ts';
import { COPY_IN_USE_MS } from './scripts/take.ts';

/** As in redis-lanes.ts. */
const COPY_GRACE_MS = 120_000;

export type MemoryJobState = 'waiting' | 'active' | 'delayed' | 'completed' | 'failed';

/** BullMQ's job hash and state, as far as lanes look at them, and the fields that Toril adds. */
export interface MemoryJob {
  readonly id: string;
  /** The update's name. */
  readonly name: string;
  /** JSON. */
  readonly data: string;
  state: MemoryJobState;
  /** While delayed: milliseconds since 1970. */
  dueMs: number;
  attemptsMade: number;
  stalls: number;
  /** Milliseconds since 1970. */
  finishedOn: number | undefined;
  /** Stays after a failed attempt, as in BullMQ. */
  failedReason: string | undefined;
  /** How the job left its lane (outcome.ts); empty: it has not, or it was taken back. */
  outcome: string;
  /** Deaths of starts alone, and what stalls and attempts were at the last one. */
  alone: { readonly deaths: number; readonly stalls: number; readonly attemptsMade: number };
  /** Its process gave it back since. */
  isGivenBack: boolean;
  directive: LaneEntry['directive'];
}

export interface NewMemoryJob {
  readonly name: string;
  readonly data: string;
  /** Default: the next number. */
  readonly id?: string;
  /** The key whose lane it enters in the same step; undefined: it enters when it is delivered. */
  readonly lane?: string;
  /** Milliseconds since 1970; it is delayed until then. */
  readonly dueMs?: number;
}

interface StoredCopy {
  token: number;
  watermark: number;
  value: Acknowledgement['value'];
  cascadeTo: number;
  paceMs: number;
  /** Milliseconds since 1970 from which on the value is gone, and the copy itself. */
  valueGoneMs: number;
  goneMs: number;
}

/** Job ids with their sequences. A number is always drawn above all others, so insertion is order. */
type Lane = Map<string, number>;

export const NEVER_ALONE: MemoryJob['alone'] = { deaths: 0, stalls: 0, attemptsMade: 0 };
const NO_COPY: Copy = { token: 0, watermark: 0, value: 'deleted', cascadeTo: 0 };

export class MemoryJobs {
  readonly #clock: Clock;
  readonly #jobs = new Map<string, MemoryJob>();
  readonly #lanes = new Map<string, Lane>();
  readonly #copies = new Map<string, StoredCopy>();
  #lastDrawn = 0;
  #lastId = 0;
  #servers: string | undefined;
  /** The queue is paused. */
  paused = false;
  readonly history: MemoryHistory;

  /** @param clock of the Redis server */
  constructor(clock: Clock) {
    this.#clock = clock;
    this.history = new MemoryHistory(clock);
  }

  // Jobs

  /** Undefined: the id exists, and nothing was added. */
  add({ name, data, id, lane, dueMs }: NewMemoryJob): MemoryJob | undefined {
    const jobId = id ?? String(++this.#lastId);
    if (this.#jobs.has(jobId)) return undefined;
    const job: MemoryJob = {
      id: jobId,
      name,
      data,
      state: dueMs === undefined ? 'waiting' : 'delayed',
      dueMs: dueMs ?? 0,
      attemptsMade: 0,
      stalls: 0,
      finishedOn: undefined,
      failedReason: undefined,
      outcome: '',
      alone: NEVER_ALONE,
      isGivenBack: false,
      directive: '',
    };
    this.#jobs.set(jobId, job);
    if (lane !== undefined) this.#enter(lane, jobId);
    return job;
  }

  get(jobId: string): MemoryJob | undefined {
    return this.#jobs.get(jobId);
  }

  /** In the order in which they were added. */
  all(): IterableIterator<MemoryJob> {
    return this.#jobs.values();
  }

  /** Its lane entry stays until somebody meets it. True: it was there. */
  remove(jobId: string): boolean {
    return this.#jobs.delete(jobId);
  }

  // Transitions

  take({ key, cell, arrivals, jobsMax, dataMax }: TakeRequest): Taken {
    const token = this.drawToken();
    const copy = this.#copyFor(key, cell);
    const entries: LaneEntry[] = [];
    const present = new Set<string>();
    const lane = this.#lanes.get(key) ?? new Map<string, number>();
    let data = 0;
    for (const [jobId, sequence] of headOf(lane, jobsMax)) {
      present.add(jobId);
      if (data >= dataMax) continue;
      const entry = this.#entry(jobId, sequence);
      if (entry === undefined) this.#leave(key, jobId);
      else data += append(entries, entry);
    }
    const headLength = present.size;
    const decided = new Map<string, string>();
    for (const jobId of arrivals) {
      if (present.has(jobId)) continue;
      const job = this.#jobs.get(jobId);
      if (job !== undefined && job.outcome !== '') decided.set(jobId, job.outcome);
      else if (job !== undefined && !isFinished(job) && !this.#isIn(key, jobId)) {
        const entry = this.#entry(jobId, this.#enter(key, jobId));
        const fits = headLength < jobsMax && data < dataMax && entries.length < jobsMax;
        if (fits && entry !== undefined) data += append(entries, entry);
      }
    }
    if (entries.length > 0) this.#keepCopy(key);
    const length = this.#lanes.get(key)?.size ?? 0;
    const headDueMs = this.#dueMs(entries[0]);
    const sinceCheckpoint = this.history.sinceCheckpoint(key, copy.token);
    const { paused } = this;
    const facts = { headDueMs, paused, sinceCheckpoint, expiresInMs: this.#expiresInMs(key) };
    return { token, copy, entries, length, decided, ...facts };
  }

  acknowledge(commit: Acknowledgement): Acknowledged {
    const copyToken = this.#copyOf(commit.key)?.token ?? 0;
    if (copyToken === commit.token) return { accepted: true, parked: [] };
    if (copyToken !== commit.base) return { accepted: false, parked: [] };
    return this.overwriteCopy(commit);
  }

  overwriteCopy(commit: Acknowledgement): Acknowledged {
    const { key, history } = commit;
    if (history !== undefined) {
      const base = this.#copyOf(key)?.token ?? 0;
      this.history.add(commit, history, base, this.#historyJobs(commit, history));
    }
    this.#writeCopy(commit);
    return { accepted: true, parked: this.#leaveLane(commit) };
  }

  locate(key: string, jobId: string): Location {
    const outcome = this.#jobs.get(jobId)?.outcome ?? '';
    if (outcome !== '') return { kind: 'decided', outcome };
    const lane = this.#lanes.get(key);
    if (lane === undefined || !lane.has(jobId)) return { kind: 'absent' };
    const rank = [...lane.keys()].indexOf(jobId);
    return { kind: 'waiting', rank, paceMs: this.#copyOf(key)?.paceMs ?? 0 };
  }

  /** 0: the job is gone. */
  startAlone(jobId: string): number {
    const job = this.#jobs.get(jobId);
    if (job === undefined) return 0;
    const { alone, stalls, attemptsMade } = job;
    const died =
      alone !== NEVER_ALONE && alone.stalls !== stalls && alone.attemptsMade === attemptsMade;
    const deaths = alone.deaths + (died && !job.isGivenBack ? 1 : 0);
    job.isGivenBack = false;
    job.alone = { deaths, stalls, attemptsMade };
    return deaths + 1;
  }

  direct(jobId: string, directive: 'skip' | 'drop'): boolean {
    const job = this.#jobs.get(jobId);
    if (job !== undefined) job.directive = directive;
    return job !== undefined;
  }

  inspect(key: string, jobsMax: number): LaneState {
    const lane = this.#lanes.get(key) ?? new Map<string, number>();
    const head: LaneJob[] = [...headOf(lane, jobsMax)].map(([jobId, sequence]) => ({
      jobId,
      sequence,
    }));
    const paceMs = this.#copyOf(key)?.paceMs ?? 0;
    return { copy: this.#copyFor(key, undefined), length: lane.size, paceMs, head };
  }

  registerServers(fingerprint: string): string {
    this.#servers ??= fingerprint;
    return this.#servers;
  }

  replaceServers(fingerprint: string): void {
    this.#servers = fingerprint;
  }

  /** The counter of sequences and tokens: `max(last + 1, time in µs)`. */
  drawToken(): number {
    this.#lastDrawn = Math.max(this.#lastDrawn + 1, Math.floor(this.#clock.wallMs() * 1000));
    return this.#lastDrawn;
  }

  // Lanes

  #isIn(key: string, jobId: string): boolean {
    return this.#lanes.get(key)?.has(jobId) === true;
  }

  #enter(key: string, jobId: string): number {
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = new Map();
      this.#lanes.set(key, lane);
    }
    const sequence = lane.get(jobId) ?? this.drawToken();
    lane.set(jobId, sequence);
    return sequence;
  }

  #leave(key: string, jobId: string): void {
    const lane = this.#lanes.get(key);
    lane?.delete(jobId);
    if (lane?.size === 0) this.#lanes.delete(key);
  }

  #entry(jobId: string, sequence: number): LaneEntry | undefined {
    const job = this.#jobs.get(jobId);
    if (job === undefined) return undefined;
    const { name, data, attemptsMade, stalls, finishedOn, failedReason, directive } = job;
    const how = failedReason === undefined ? 'completed' : 'failed';
    return {
      jobId,
      sequence,
      name,
      data,
      attemptsMade,
      stalls,
      finished: finishedOn === undefined ? 'no' : how,
      failedReason: failedReason ?? '',
      directive,
    };
  }

  /** When the head is delivered again, if it failed before and waits for that. */
  #dueMs(head: LaneEntry | undefined): number {
    const job = head === undefined ? undefined : this.#jobs.get(head.jobId);
    return job?.state === 'delayed' && job.attemptsMade > 0 ? Math.floor(job.dueMs) : 0;
  }

  /** What is about to leave, as the history has it. */
  #historyJobs({ key, watermark, decisions }: Acknowledgement, note: HistoryNote): HistoryJob[] {
    const leaving = [...(this.#lanes.get(key) ?? [])].filter(([, at]) => at <= watermark);
    return leaving.map(([jobId, sequence]) => {
      const job = this.#jobs.get(jobId);
      return {
        jobId,
        name: job?.name,
        sequence,
        attempt: attemptOf(note, jobId, job?.attemptsMade ?? 0),
        decision: recordedDecision(decisions.get(jobId) ?? PLAIN_APPLIED),
        data: job?.data ?? '',
      };
    });
  }

  /** Everything at or below the watermark leaves. Returns the ids of those that BullMQ holds back. */
  #leaveLane({ key, watermark, decisions }: Acknowledgement): string[] {
    const parked: string[] = [];
    const moved: string[] = [];
    let cascades = false;
    for (const [jobId, sequence] of this.#lanes.get(key) ?? []) {
      if (sequence > watermark) break;
      const job = this.#jobs.get(jobId);
      const decision = decisions.get(jobId) ?? PLAIN_APPLIED;
      const kind = decision[0];
      if (kind === 'm') {
        moved.push(jobId);
        if (job !== undefined) job.directive = '';
      } else if (kind !== 's' && job !== undefined && !(isFailure(kind) && isFinished(job))) {
        job.outcome = decision;
        if (job.state === 'delayed') parked.push(jobId);
      }
      cascades ||= kind === 'c';
      this.#leave(key, jobId);
    }
    if (cascades) this.#cascade(key);
    for (const [jobId, decision] of decisions) {
      const job = this.#jobs.get(jobId);
      if (decision[0] !== 'h' || job === undefined || isFinished(job)) continue;
      job.directive = 'held';
      job.failedReason = decision.slice(1);
    }
    for (const jobId of moved) {
      const job = this.#jobs.get(jobId);
      if (job !== undefined) job.alone = NEVER_ALONE;
      this.#enter(key, jobId);
    }
    return parked;
  }

  /** What waits now fails; what comes later does not. */
  #cascade(key: string): void {
    const last = [...(this.#lanes.get(key)?.values() ?? [])].at(-1);
    const copy = this.#copies.get(key);
    if (last !== undefined && copy !== undefined) copy.cascadeTo = last;
  }

  // Copies

  #copyOf(key: string): StoredCopy | undefined {
    const copy = this.#copies.get(key);
    if (copy === undefined || this.#clock.wallMs() < copy.goneMs) return copy;
    this.#copies.delete(key);
    return undefined;
  }

  /** A commit may follow, and must find the copy that it is built on. */
  #keepCopy(key: string): void {
    const copy = this.#copyOf(key);
    if (copy === undefined || copy.goneMs === Number.POSITIVE_INFINITY) return;
    copy.goneMs = this.#clock.wallMs() + COPY_IN_USE_MS;
  }

  #expiresInMs(key: string): number {
    const goneMs = this.#copyOf(key)?.valueGoneMs ?? Number.POSITIVE_INFINITY;
    return Number.isFinite(goneMs) ? Math.max(0, goneMs - Math.floor(this.#clock.wallMs())) : 0;
  }

  /** As a holder of this cell needs to see it: the value is left out if the cell can be believed. */
  #copyFor(key: string, cell: TakeRequest['cell']): Copy {
    const stored = this.#copyOf(key);
    if (stored === undefined) return NO_COPY;
    const { token, watermark, cascadeTo } = stored;
    const isBelieved = cell !== undefined && (cell.token === token || cell.base === token);
    const value = isBelieved ? 'not-sent' : stored.value;
    const isGone = stored.valueGoneMs <= this.#clock.wallMs();
    return { token, watermark, cascadeTo, value: isGone ? 'deleted' : value };
  }

  #writeCopy({ key, token, watermark, value, expireMs, paceMs }: Acknowledgement): void {
    const nowMs = Math.floor(this.#clock.wallMs());
    const isDeleted = value === 'deleted';
    const lastsMs = isDeleted ? TOMBSTONE_MS : expireMs;
    this.#copies.set(key, {
      token,
      watermark,
      value,
      cascadeTo: this.#copyOf(key)?.cascadeTo ?? 0,
      paceMs: Math.round(paceMs * 1000) / 1000,
      valueGoneMs: lastsMs > 0 ? nowMs + expireMs : Number.POSITIVE_INFINITY,
      goneMs: lastsMs > 0 ? nowMs + lastsMs + COPY_GRACE_MS : Number.POSITIVE_INFINITY,
    });
  }
}

function isFailure(kind: string | undefined): boolean {
  return kind === 'f' || kind === 'c';
}

function isFinished({ finishedOn }: MemoryJob): boolean {
  return finishedOn !== undefined;
}

function headOf(lane: Lane, jobsMax: number): [string, number][] {
  const head: [string, number][] = [];
  for (const entry of lane) {
    if (head.length >= jobsMax) break;
    head.push(entry);
  }
  return head;
}

/** Returns the size of its data in bytes, as Redis counts. */
function append(entries: LaneEntry[], entry: LaneEntry): number {
  entries.push(entry);
  return Buffer.byteLength(entry.data);
}
