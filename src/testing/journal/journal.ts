/**
 * What happened to each key: which jobs entered its lane, which commits were acknowledged, and what
 * readers could see in memcached. Plain bookkeeping beside the product, for assertions.
 */
import { type Origin, valueHash } from '../../history/history.ts';
import type { JointCommit } from '../../jobs/joint-lanes.ts';
import type { Acknowledgement, Taken } from '../../jobs/lanes.ts';
import type { LaneEntry } from '../../jobs/lane.ts';
import { PLAIN_APPLIED } from '../../updates/outcome.ts';

/** A job that a commit applied. */
export interface AppliedJob {
  readonly jobId: string;
  /** The update's name. */
  readonly name: string;
  /** JSON. */
  readonly data: string;
  readonly sequence: number;
  readonly attempt: number;
  /** JSON; empty for none. */
  readonly result: string;
  /** Which of the jobs that have borne its id. */
  readonly generation: number;
  /** Of a transaction: all its keys, in its order. */
  readonly keys?: readonly string[] | undefined;
}

/** An acknowledged commit of a key; of several keys: what it is for one of them. */
export interface Commit {
  readonly key: string;
  /** If these are several: all of them. The commits of the same token, one for each key, follow each other in this order. */
  readonly keys?: readonly string[];
  readonly token: number;
  readonly watermark: number;
  readonly origin: Origin;
  /** `valueHash` of the value. */
  readonly hash: string;
  readonly applied: readonly AppliedJob[];
  /** Milliseconds since 1970 at which it was acknowledged, */
  readonly atMs: number;
  /** and from which on the value is gone; Infinity: never. */
  readonly valueGoneMs: number;
}

/** A cell that a reader saw go back, though it was not lost in between. */
export interface Setback {
  readonly from: CellVersion;
  readonly to: CellVersion;
  /** Acknowledged jobs that were in the value and then were not. */
  readonly jobIds: readonly string[];
}

export interface CellVersion {
  readonly token: number;
  readonly watermark: number;
}

/** Where a job stands among those of its key. */
export interface Place {
  readonly jobId: string;
  readonly generation: number;
  /** False once it left its lane to enter again (`skip`, an operator's retry), or if it was delayed: then its place is not that of its enqueueing. */
  isInPlace: boolean;
  /** How it left its lane for good. */
  decided: 'applied' | 'failed' | undefined;
}

type DecidedJob = Omit<AppliedJob, 'result' | 'generation'>;

function lifeOf(expireMs: number, wallMs: number): Pick<Commit, 'atMs' | 'valueGoneMs'> {
  return { atMs: wallMs, valueGoneMs: expireMs > 0 ? wallMs + expireMs : Number.POSITIVE_INFINITY };
}

export class Journal {
  /** In the order in which they were enqueued. */
  readonly #places = new Map<string, Place>();
  readonly #placesByKey = new Map<string, Place[]>();
  readonly #takes = new Map<number, { readonly entries: readonly LaneEntry[]; from: number }>();
  readonly #commits = new Map<string, Commit[]>();
  readonly #inOrder: Commit[] = [];
  readonly #cells = new Map<string, CellVersion>();
  readonly #setbacks = new Map<string, Setback[]>();
  /** Told of each one. */
  onCommit: ((commit: Commit) => void) | undefined;

  /** @param generation how many jobs have borne its id, this one included */
  enqueued(jobId: string, keys: readonly string[], generation: number, isInPlace: boolean): void {
    const place: Place = { jobId, generation, isInPlace, decided: undefined };
    this.#places.set(jobId, place);
    for (const key of keys) {
      const ofKey = this.#placesByKey.get(key);
      if (ofKey === undefined) this.#placesByKey.set(key, [place]);
      else ofKey.push(place);
    }
  }

  /** By an operator. A job that holds its lane keeps its place. */
  retried(jobId: string): void {
    const place = this.#places.get(jobId);
    if (place?.decided === undefined) return;
    place.isInPlace = false;
    place.decided = undefined;
  }

  /** It is gone, and its place with it, unless it was decided before. */
  removed(jobId: string): void {
    const place = this.#places.get(jobId);
    if (place !== undefined && place.decided === undefined) place.isInPlace = false;
  }

  taken({ token, entries, copy }: Taken): void {
    if (entries.length > 0) this.#takes.set(token, { entries, from: copy.watermark });
  }

  /** @param wallMs of the Redis server */
  acknowledged(commit: Acknowledgement, wallMs: number): void {
    const { key, token, watermark, decisions, expireMs, history } = commit;
    const applied: AppliedJob[] = [];
    const { entries = [], from = 0 } = this.#takes.get(token) ?? {};
    for (const { jobId, name, data, sequence, attemptsMade } of entries) {
      if (sequence > watermark || sequence <= from) continue;
      const decision = decisions.get(jobId) ?? PLAIN_APPLIED;
      const attempt = attemptsMade + 1;
      applied.push(...this.#applied({ jobId, name, data, sequence, attempt }, decision));
    }
    const { origin = 'unknown', hash = '' } = history ?? {};
    this.#note({ key, token, watermark, origin, hash, applied, ...lifeOf(expireMs, wallMs) });
  }

  /** @param jobs that it decides, as they were before */
  acknowledgedJoint(
    { token, keys, decisions, history }: JointCommit,
    jobs: readonly DecidedJob[],
    wallMs: number,
  ): void {
    const applied = jobs.flatMap((job) =>
      this.#applied(job, decisions.get(job.jobId) ?? PLAIN_APPLIED),
    );
    const names = keys.map(({ key }) => key);
    for (const [at, { key, watermark, value, expireMs }] of keys.entries()) {
      const hash = valueHash(value === 'deleted' ? undefined : value.json);
      this.#note({
        ...{ key, keys: names, token, watermark, hash, ...lifeOf(expireMs, wallMs) },
        origin: history?.keys[at]?.origin ?? 'unknown',
        applied: applied.filter((job) => job.keys?.includes(key)),
      });
    }
  }

  /** None, if the job was decided otherwise. */
  #applied(job: DecidedJob, decision: string): AppliedJob[] {
    this.decided(job.jobId, decision);
    if (!decision.startsWith(PLAIN_APPLIED)) return [];
    const generation = this.#places.get(job.jobId)?.generation ?? 1;
    return [{ ...job, result: decision.slice(PLAIN_APPLIED.length), generation }];
  }

  #note(commit: Commit): void {
    const { key } = commit;
    const commits = this.#commits.get(key);
    if (commits === undefined) this.#commits.set(key, [commit]);
    else commits.push(commit);
    this.#inOrder.push(commit);
    this.onCommit?.(commit);
  }

  /** @param wasThere it was written over another version, not where nothing was */
  cellWritten(key: string, to: CellVersion, wasThere: boolean): void {
    const from = this.#cells.get(key);
    this.#cells.set(key, to);
    if (!wasThere || from === undefined) return;
    if (to.token > from.token && to.watermark >= from.watermark) return;
    const gone = this.applied(key).filter(
      ({ sequence }) => sequence > to.watermark && sequence <= from.watermark,
    );
    const setback: Setback = { from, to, jobIds: gone.map(({ jobId }) => jobId) };
    this.#setbacks.set(key, [...this.setbacks(key), setback]);
  }

  /** Somebody else wrote there. */
  cellForgotten(key: string): void {
    this.#cells.delete(key);
  }

  /** The keys that had a job. */
  keys(): string[] {
    return [...this.#placesByKey.keys()];
  }

  knows(key: string): boolean {
    return this.#placesByKey.has(key);
  }

  /** In the order in which the jobs were enqueued. */
  places(key: string): readonly Place[] {
    return this.#placesByKey.get(key) ?? [];
  }

  place(jobId: string): Place | undefined {
    return this.#places.get(jobId);
  }

  commits(key: string): readonly Commit[] {
    return this.#commits.get(key) ?? [];
  }

  /** Of all keys, in the order in which they were acknowledged. */
  get inOrder(): readonly Commit[] {
    return this.#inOrder;
  }

  applied(key: string): AppliedJob[] {
    return this.commits(key).flatMap(({ applied }) => applied);
  }

  setbacks(key: string): readonly Setback[] {
    return this.#setbacks.get(key) ?? [];
  }

  /** It left its lane: with a commit, or since it gave up waiting. */
  decided(jobId: string, decision: string): void {
    const place = this.#places.get(jobId);
    if (place === undefined) return;
    if (decision === 's' || decision === 'm') place.isInPlace = false;
    else place.decided = decision.startsWith(PLAIN_APPLIED) ? 'applied' : 'failed';
  }
}
