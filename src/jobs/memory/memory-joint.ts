/** Jobs of several keys in memory: what the scripts of redis/scripts/joint/ do. */
import { HELD, JOINT_MARK, PLAIN_APPLIED } from '../../updates/outcome.ts';
import {
  type BehindCommit,
  type JointAcknowledged,
  type JointCommit,
  type JointHead,
  type JointKey,
  type OtherKey,
  SNAPSHOT_BYTES_MAX,
} from '../joint-lanes.ts';
import type { TakeRequest } from '../lanes.ts';
import type { Copy, LaneEntry } from '../lane.ts';
import type { LaneOrders } from './lane-orders.ts';
import type { MemoryCopies } from './memory-copies.ts';
import { type MemoryHistory, recordedDecision } from './memory-history.ts';
import { isFinished, type MemoryJob, NEVER_ALONE } from './memory-job.ts';
import { MemoryRun, type RunFacts } from './memory-run.ts';

const COMMITS_MAX = 100;

export interface MemoryJointParts {
  readonly jobs: ReadonlyMap<string, MemoryJob>;
  readonly lanes: LaneOrders;
  readonly copies: MemoryCopies;
  readonly history: MemoryHistory;
  readonly dataSetId: () => string;
  /** Told of a delayed job that has nothing to wait for any more. */
  readonly promote: (jobId: string) => void;
  /** Batches that somebody has in hand, by key. */
  readonly inHand: Map<string, BatchInHand>;
}

export interface BatchInHand {
  readonly token: number;
  readonly last: number;
  /** When it was taken, in microseconds: a token may be far ahead of a clock that was set back. */
  readonly atMicros: number;
  /** It is a run of jobs of several keys. */
  readonly isRun?: true;
}

export interface TakenRun {
  readonly entries: LaneEntry[];
  /** Lanes of the run, and the last sequence of each that is in it. */
  readonly touched: readonly { readonly key: string; readonly last: number }[];
  readonly joint: JointHead;
}

export class MemoryJoint {
  readonly #parts: MemoryJointParts;
  readonly #behind = new Map<number, readonly string[]>();

  constructor(parts: MemoryJointParts) {
    this.#parts = parts;
  }

  /** At the ends of all lanes, with one sequence. */
  enterAll(job: MemoryJob, keys: readonly string[]): void {
    const { lanes } = this.#parts;
    const sequence = lanes.draw();
    for (const key of keys) lanes.enter(key, job.id, sequence);
    job.entered = { key: keys[0] as string, sequence };
    job.keys = keys;
  }

  enter(jobId: string, keys: readonly string[]): void {
    const job = this.#parts.jobs.get(jobId);
    if (job === undefined || isFinished(job) || job.outcome !== '' || job.entered !== undefined)
      return;
    this.enterAll(job, job.keys ?? keys);
  }

  /** What a lane's first job, of several keys, has to be taken with, and what else is said of it. */
  head(request: TakeRequest, first: LaneEntry, entryOf: RunFacts['entryOf']): TakenRun {
    const { lanes, copies, inHand } = this.#parts;
    const { entries, opened, ending, isInHand } = new MemoryRun(request, {
      ...{ lanes, entryOf },
      copyOf: (key) => this.copyOf(key),
      inHandSince: (key) => {
        const batch = inHand.get(key);
        return batch?.isRun && batch.atMicros;
      },
    });
    const ready = isInHand ? 0 : entries.length;
    const touched = isInHand ? [] : opened.filter(({ taken }) => taken > 0);
    const others = touched.filter(({ key }) => key !== request.key);
    const endsFor = (...why: string[]): string[] =>
      ending !== undefined && why.includes(ending.why) && ready === 0 ? [ending.key] : [];
    return {
      entries: ready === 0 ? [first] : entries,
      touched,
      joint: {
        ready,
        blockedBy: endsFor('other', 'stands'),
        stands: ending?.why === 'stands',
        missingIn: endsFor('missing'),
        isInHand,
        others: new Map(others.map(({ key }) => [key, this.#other(key)])),
        lost: copies.hasLost(request.key),
      },
    };
  }

  /** As a combiner that takes the key's lane is told of it. */
  copyOf(key: string, cell?: TakeRequest['cell']): Copy {
    const copy = this.#parts.copies.seenWith(key, cell);
    return copy.value !== 'not-sent' && this.#behind.has(copy.token)
      ? { ...copy, behind: true }
      : copy;
  }

  #other(key: string): OtherKey {
    const { copies } = this.#parts;
    copies.keep(key);
    return {
      copy: this.copyOf(key),
      expiresInMs: copies.expiresInMs(key),
      lost: copies.hasLost(key),
    };
  }

  acknowledge(commit: JointCommit): JointAcknowledged {
    const { copies, lanes, dataSetId, inHand } = this.#parts;
    const { keys, token, decisions } = commit;
    if (commit.dataSet !== dataSetId()) return { accepted: false };
    const tokens = keys.map(({ key }) => copies.of(key)?.token ?? 0);
    if (tokens.every((its) => its === token)) return { accepted: true };
    if (keys.some(({ base }, at) => base !== tokens[at])) return { accepted: false };
    if (token > lanes.lastDrawn) return { accepted: false, wentBack: true };
    if (!keys.every((key) => this.#isHead(key))) return { accepted: false };
    if (!this.#mayHold(commit)) return { accepted: false };
    const onward = this.#onward(commit);
    this.#record(commit);
    for (const { key, watermark, value, expireMs, jobIds } of keys) {
      copies.write({ key, token, watermark, value, expireMs, paceMs: commit.paceMs });
      copies.keep(key);
      for (const jobId of jobIds) lanes.leave(key, jobId);
      inHand.delete(key);
    }
    for (const [jobId, decision] of decisions) this.#decide(jobId, token, decision);
    this.#behind.set(
      token,
      keys.map(({ key }) => key),
    );
    return { accepted: true, onward };
  }

  /** Lanes whose next job will not be met at the one of the commit. */
  #onward({ at, keys }: JointCommit): string[] {
    const { lanes } = this.#parts;
    return keys.flatMap(({ key, watermark }) => {
      const next = lanes.firstAfter(key, watermark);
      return next === undefined || lanes.has(at, next) ? [] : [key];
    });
  }

  #isHead({ key, watermark, jobIds }: JointKey): boolean {
    const head = this.#parts.lanes.upTo(key, watermark).map(([jobId]) => jobId);
    return head.length === jobIds.length && head.every((jobId, at) => jobId === jobIds[at]);
  }

  /** Who stays and holds its lanes is the first of each, behind what leaves: it may have given up since it was taken. */
  #mayHold({ keys, decisions }: JointCommit): boolean {
    const { jobs, lanes } = this.#parts;
    const isNext = (key: string, jobId: string): boolean =>
      keys.some((its) => its.key === key && lanes.firstAfter(key, its.watermark) === jobId);
    return [...decisions]
      .filter(([, decision]) => decision.startsWith(HELD))
      .every(([jobId]) => jobs.get(jobId)?.keys?.every((key) => isNext(key, jobId)) === true);
  }

  #record(commit: JointCommit): void {
    const { history: note, decisions, keys } = commit;
    if (note === undefined) return;
    const jobs = note.jobs.map(({ jobId, sequence, attempt, places }) => {
      const job = this.#parts.jobs.get(jobId);
      return {
        ...{ jobId, name: job?.name, sequence, attempt, data: job?.data ?? '' },
        decision: recordedDecision(decisions.get(jobId) ?? PLAIN_APPLIED),
        keys: places.map((place) => keys[place]?.key as string),
      };
    });
    this.#parts.history.addJoint(commit, note, jobs);
  }

  #decide(jobId: string, token: number, decision: string): void {
    const job = this.#parts.jobs.get(jobId);
    if (job === undefined) return;
    const kind = decision[0];
    const isApplied = kind === PLAIN_APPLIED;
    if (kind === 'h') {
      job.directive = 'held';
      job.failedReason = decision.slice(1);
    } else if (kind === 'm') {
      job.directive = '';
      job.alone = NEVER_ALONE;
      this.enterAll(job, job.keys as readonly string[]);
    } else {
      if (!isApplied) job.entered = undefined;
      if (kind !== 's' && (isApplied || !isFinished(job)))
        this.#leaveOutcome(job, `${JOINT_MARK}${token}:${decision}`);
      if (kind === 'c') for (const key of job.keys ?? []) this.#cascade(key);
    }
  }

  #leaveOutcome(job: MemoryJob, outcome: string): void {
    job.outcome = outcome;
    if (job.state === 'delayed') this.#parts.promote(job.id);
  }

  #cascade(key: string): void {
    const last = this.#parts.lanes.lastSequence(key);
    const copy = this.#parts.copies.of(key);
    if (last !== undefined && copy !== undefined) copy.cascadeTo = last;
  }

  settled(token: number, isLasting = false): void {
    const keys = isLasting ? [] : (this.#behind.get(token) ?? []);
    for (const key of keys) this.#parts.copies.letGo(key, token);
    this.#behind.delete(token);
  }

  behind(token?: number): BehindCommit[] {
    const all = [...this.#behind].map(([its, keys]) => ({ token: its, keys }));
    if (token !== undefined) return all.filter((commit) => commit.token === token);
    return all.toSorted((a, b) => a.token - b.token).slice(0, COMMITS_MAX);
  }

  noteWait(jobId: string, sequence: number, failAfterMs: number): number {
    const job = this.#parts.jobs.get(jobId);
    if (job === undefined) return 0;
    const nowMs = Math.floor(this.#parts.lanes.nowMicros() / 1000);
    const sinceMs = job.waits?.sequence === sequence ? job.waits.sinceMs : nowMs;
    job.waits = { sequence, sinceMs, failAfterMs: Math.ceil(failAfterMs) };
    return Math.max(0, nowMs - sinceMs);
  }

  withdraw(jobId: string, decision: string): boolean {
    const job = this.#parts.jobs.get(jobId);
    if (job?.keys === undefined) return false;
    const { lanes } = this.#parts;
    const left = job.keys.filter((key) => lanes.has(key, jobId));
    for (const key of left) lanes.leave(key, jobId);
    if (isFinished(job) || job.outcome !== '') return left.length > 0;
    if (job.entered === undefined) return false;
    job.entered = undefined;
    this.#leaveOutcome(job, decision);
    return true;
  }

  snapshot(keys: readonly string[]): Copy[] {
    const found = keys.map((key) => this.#parts.copies.seenWith(key));
    let length = 0;
    const end = found.findIndex(({ value }, at) => {
      length += typeof value === 'object' ? value.json.length : 0;
      return at > 0 && length > SNAPSHOT_BYTES_MAX;
    });
    return end === -1 ? found : found.slice(0, end);
  }
}
