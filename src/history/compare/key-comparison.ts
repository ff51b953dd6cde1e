/** One key under two versions of the updates, each going on from its own value. */
import { copyOfJson } from '../../updates/values/json-value.ts';
import type { UpdateRegistry } from '../../updates/update-registry.ts';
import { NO_VALUE_HASH, valueHash } from '../history.ts';
import type { RecordedCommit, RecordedJob } from '../recording/recording.ts';
import { type Folded, foldJob } from '../replay/commit.ts';
import { type Differences, differencesOf, isSame, NONE } from './fields.ts';
import type { JobPlace, Tally } from './tally.ts';
import { isTried } from './tried.ts';

/** Undefined: the key is followed only since transactions need its value. */
type Teller = Tally | undefined;

interface Version {
  readonly which: 'old' | 'new';
  readonly registry: UpdateRegistry;
  value: unknown;
}

/** What a key is worth under both. */
export interface VersionValues {
  readonly old: unknown;
  readonly new: unknown;
}

/** How one version ends a job. */
export type Ended = Exclude<Folded, { kind: 'obstacle' }>;

export class KeyComparison {
  readonly #key: string;
  readonly #tally: Teller;
  readonly #old: Version;
  readonly #new: Version;
  #isKnown = false;
  #token = 0;
  #watermark = 0;
  /** Between the two. */
  differences: Differences = NONE;
  /** Commits whose jobs both versions were given, */
  compared = 0;
  /** and of these, those of which the old version has the recorded hash. */
  repeated = 0;
  /** Both versions have done the same up to here. */
  #isRepeating = true;

  constructor(key: string, old: UpdateRegistry, now: UpdateRegistry, tally: Teller) {
    this.#key = key;
    this.#tally = tally;
    this.#old = { which: 'old', registry: old, value: undefined };
    this.#new = { which: 'new', registry: now, value: undefined };
  }

  next(commit: RecordedCommit, line: number): void | Promise<void> {
    this.#enter(commit);
    if (!this.#isKnown) return this.#beginBehind(commit);
    return this.#jobs(commit, line, 0);
  }

  #jobs(commit: RecordedCommit, line: number, from: number): void | Promise<void> {
    for (let at = from; at < commit.jobs.length; at++) {
      const job = commit.jobs[at] as RecordedJob;
      if (!isTried(job, this.#watermark)) continue;
      const [old, now] = [this.#fold(this.#old, job, commit), this.#fold(this.#new, job, commit)];
      if (old instanceof Promise || now instanceof Promise) {
        return Promise.all([old, now]).then((both) =>
          this.#take(job, line, ...both)
            ? this.#jobs(commit, line, at + 1)
            : this.#beginBehind(commit),
        );
      }
      if (!this.#take(job, line, old, now)) return this.#beginBehind(commit);
    }
    return this.leave(commit);
  }

  /** An update may change what it is given, and then throw: it gets its own. */
  #fold(version: Version, job: RecordedJob, commit: RecordedCommit): Folded | Promise<Folded> {
    return foldJob(job, commit, version.registry, copyOfJson(version.value));
  }

  /** False: the job cannot be run again, so that nobody knows how the key goes on. */
  #take(job: RecordedJob, line: number, old: Folded, now: Folded): boolean {
    if (old.kind === 'obstacle' || now.kind === 'obstacle') {
      this.#isKnown = false;
      return false;
    }
    this.#settle(this.#old, old);
    this.#settle(this.#new, now);
    const before = this.differences;
    this.#compare();
    if (this.#tally !== undefined)
      tell(this.#tally, { key: this.#key, line, job }, [before, this.differences], [old, now]);
    return true;
  }

  #compare(): void {
    const isSameStill = this.differences === NONE && isSame(this.#old.value, this.#new.value);
    if (!isSameStill) this.differences = differencesOf(this.#old.value, this.#new.value);
  }

  /** One key of a joint commit comes. Its values; undefined: they are not known. `leave` or `lose` follows. */
  open(commit: RecordedCommit): VersionValues | undefined {
    this.#enter(commit);
    return this.#isKnown ? { old: this.#old.value, new: this.#new.value } : undefined;
  }

  /** What a job of several keys made of them. */
  become(values: VersionValues): void {
    this.#old.value = values.old;
    this.#new.value = values.new;
    this.#compare();
  }

  /** Its jobs were given to both versions. */
  leave(commit: RecordedCommit): void {
    this.compared += 1;
    this.#token = commit.token;
    this.#watermark = commit.watermark;
    this.#isRepeating &&= valueHash(jsonOf(this.#old.value)) === commit.hash;
    if (this.#isRepeating) this.repeated += 1;
  }

  lose(commit: RecordedCommit): void {
    this.#isKnown = false;
    this.#beginBehind(commit);
  }

  #settle(version: Version, ended: Ended): void {
    if (ended.kind === 'value') version.value = ended.value;
  }

  /** Finds out with which value the commit began, as far as that can be known. */
  #enter({ origin, base }: RecordedCommit): void {
    const isNext = this.#isKnown && base === this.#token;
    if (origin === undefined && isNext) return;
    if (origin === undefined || origin === 'unknown') {
      this.#isKnown = false;
      return;
    }
    this.#begin(origin === 'nothing' ? undefined : origin.adopted);
  }

  #beginBehind({ hash, value, token, watermark }: RecordedCommit): void {
    if (value === undefined && hash !== NO_VALUE_HASH) return;
    this.#begin(value);
    this.#token = token;
    this.#watermark = watermark;
  }

  #begin(value: unknown): void {
    this.#old.value = copyOfJson(value);
    this.#new.value = copyOfJson(value);
    this.differences = NONE;
    this.#isKnown = true;
    this.#isRepeating = true;
  }
}

/** @param differences before the job, and behind it @param ended of the old version, and of the new one */
export function tell(
  tally: Tally,
  place: JobPlace,
  [before, after]: readonly [Differences, Differences],
  [old, now]: readonly [Ended, Ended],
): void {
  if (endOf(old) === endOf(now) && before === NONE && after === NONE) {
    tally.same(place.job.update ?? '');
    return;
  }
  const isOneFailing = (old.kind === 'failed') !== (now.kind === 'failed');
  if (isOneFailing && old.kind === 'failed') tally.failed(place, 'old', old.message);
  if (isOneFailing && now.kind === 'failed') tally.failed(place, 'new', now.message);
  tally.take(place, before, withResult(after, old, now), isOneFailing);
}

function endOf(ended: Ended): string {
  return ended.kind === 'failed' ? 'failed' : `+${ended.result}`;
}

/** Results are told as a field of their own. */
function withResult(differences: Differences, old: Ended, now: Ended): Differences {
  if (old.kind === 'failed' || now.kind === 'failed' || old.result === now.result)
    return differences;
  const results = { old: parsed(old.result), new: parsed(now.result) };
  return new Map([...differences, ['result()', results]]);
}

function parsed(json: string): unknown {
  return json === '' ? undefined : (JSON.parse(json) as unknown);
}

function jsonOf(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}
