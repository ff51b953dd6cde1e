/**
 * Replaying one key, commit by commit. While it goes on, it is in one of these states:
 *
 *   waiting    the value is not known: until a commit that began with a known one, or whose value
 *              was recorded in full
 *   following  folding each commit, comparing each hash
 *   differing  a hash differed, and what the value should be is not known yet: folding on to the next
 *              commit whose value was recorded, so as to show both
 *   done       the first difference is known; the rest of the key is passed over
 */
import { valueHash } from '../../history.ts';
import type { RecordedCommit } from '../../recording/recording.ts';
import { boxOf } from '../joint/joint-values.ts';
import { type FoldedCommit, foldCommit, type JobWatch } from '../commit.ts';
import { type DifferenceFacts, firstDifference, recordedValue } from './first-difference.ts';
import { KeyTally } from './key-tally.ts';
import type {
  CommitPlace,
  CommittedValue,
  Difference,
  JointBefore,
  KnownValue,
  UncheckedReason,
} from '../report.ts';
import type { JointValues } from '../../../updates/calling/joint-updates.ts';
import type { UpdateRegistry } from '../../../updates/update-registry.ts';

/** What became of one key of a joint commit. */
export type FoldedPart =
  | FoldedCommit
  | { readonly kind: 'unknown'; readonly reason: 'other-key' | 'commits-missing' };

type State = 'waiting' | 'following' | 'differing' | 'done';

export class KeyReplay {
  readonly #registry: UpdateRegistry;
  readonly #unknownUpdates: Set<string>;
  readonly #watch: JobWatch | undefined;
  readonly #hashes: 'compared' | 'withheld';
  #state: State = 'waiting';
  /** Why it is waiting. */
  #lostBy: UncheckedReason = 'before-start';
  /** Behind the last commit: the value, its JSON, the commit's token and watermark. */
  #value: unknown;
  #json: string | undefined;
  #token = 0;
  #watermark = 0;
  /** What was recorded behind the last commit, once the key is done; undefined: only its hash was. */
  #kept: { readonly box: JointValues[number] } | undefined;
  readonly tally: KeyTally = new KeyTally();
  /** The last commit was folded and has its hash. */
  agrees = false;
  start: 'beginning' | 'checkpoint' | undefined;
  difference: Difference | undefined;

  /**
   * @param unknownUpdates gathers names that no update has
   * @param hashes `withheld`: what comes out is taken for true, so only an update that fails makes a difference
   */
  constructor(
    registry: UpdateRegistry,
    unknownUpdates: Set<string>,
    watch?: JobWatch,
    hashes: 'compared' | 'withheld' = 'compared',
  ) {
    this.#registry = registry;
    this.#unknownUpdates = unknownUpdates;
    this.#watch = watch;
    this.#hashes = hashes;
  }

  /** The first difference is known, and nothing more will be found out. */
  isDone(): boolean {
    return this.#state === 'done';
  }

  /** The value behind the last commit; undefined: the replay does not know it. */
  get last(): CommittedValue | undefined {
    return this.#state === 'following' ? { json: this.#json, token: this.#token } : undefined;
  }

  /**
   * A promise only if an update or a schema is asynchronous.
   * @param line of the file, counted from 1
   */
  next(commit: RecordedCommit, line: number): void | Promise<void> {
    this.tally.commits += 1;
    this.agrees = false;
    if (this.isDone()) return this.#passOver(commit);
    this.#enter(commit, { line, token: commit.token });
    if (this.isDone()) return this.#passOver(commit);
    if (this.#isWaiting()) {
      this.tally.pass(this.#lostBy);
      return this.#beginBehind(commit);
    }
    const folded = foldCommit(commit, this.#registry, this.#value, this.#watermark, this.#watch);
    if (!(folded instanceof Promise)) return this.#settle(commit, line, folded);
    return folded.then((settled) => this.#settle(commit, line, settled));
  }

  /**
   * One key of a joint commit comes. What it begins with; undefined: it is not known, so that nobody can fold the commit.
   * `close` follows.
   */
  open(commit: RecordedCommit, line: number): JointValues[number] | undefined {
    this.tally.commits += 1;
    this.agrees = false;
    if (!this.isDone()) this.#enter(commit, { line, token: commit.token });
    if (this.isDone()) return this.#recordedStart(commit);
    if (this.#state !== 'following') return undefined;
    return boxOf(this.#value);
  }

  /** @param joint what it was folded from */
  close(commit: RecordedCommit, line: number, folded: FoldedPart, joint?: JointBefore): void {
    if (this.isDone()) return this.#passOver(commit);
    switch (folded.kind) {
      case 'value':
      case 'failed':
        return this.#settle(commit, line, folded, joint);
      case 'obstacle':
        return this.#stumble(commit, line, folded);
      case 'unknown':
        return this.#miss(commit, line, folded.reason);
    }
  }

  /** Finds out with which value the commit began, as far as that can be known. */
  #enter({ origin, base }: RecordedCommit, place: CommitPlace): void {
    const isNext = base === this.#token && !this.#isWaiting();
    if (origin === undefined && isNext) return;
    const isFirst = this.tally.commits === 1;
    // A base of 0: the key was new again, since what was known of it had expired.
    if (!isNext && !isFirst && !this.#isWaiting() && base !== 0) {
      this.tally.holes += 1;
      this.tally.gap({ ...place, reason: 'commits-missing' });
    }
    if (origin === undefined) return this.#lose(isFirst ? 'before-start' : 'commits-missing');
    if (origin === 'unknown') {
      this.tally.gap({ ...place, reason: 'start-unknown' });
      return this.#lose('start-unknown');
    }
    if (origin !== 'nothing') this.tally.adopted += 1;
    else if (isNext && this.#json !== undefined) this.tally.restarts += 1;
    if (this.#state === 'differing') return this.#finish();
    this.#value = origin === 'nothing' ? undefined : origin.adopted;
    this.#json = origin === 'nothing' ? undefined : JSON.stringify(origin.adopted);
    this.#state = 'following';
    this.start ??= 'beginning';
  }

  #settle(commit: RecordedCommit, line: number, folded: FoldedCommit, joint?: JointBefore): void {
    switch (folded.kind) {
      case 'obstacle':
        return this.#stumble(commit, line, folded);
      case 'failed':
        if (this.#state === 'following') this.tally.checked += 1;
        else this.tally.pass('behind-difference');
        this.#differ(commit, line, undefined, { failed: folded, joint });
        this.#finish();
        return this.#keep(commit);
      case 'value':
        return this.#compare(commit, line, folded.value, joint);
    }
  }

  #stumble(
    commit: RecordedCommit,
    line: number,
    { obstacle: reason, job }: Extract<FoldedCommit, { kind: 'obstacle' }>,
  ): void {
    if (reason === 'unknown-update') {
      this.tally.meetsUnknown = true;
      this.#unknownUpdates.add(job.update as string);
    }
    this.tally.gap({ line, token: commit.token, reason, job });
    this.tally.pass(reason);
    this.#lose(reason);
    if (this.#isWaiting()) this.#beginBehind(commit);
  }

  /** Nobody can fold the joint commit. */
  #miss(commit: RecordedCommit, line: number, reason: 'other-key' | 'commits-missing'): void {
    if (this.#isWaiting()) {
      this.tally.pass(this.#lostBy);
    } else {
      if (reason === 'commits-missing') this.tally.holes += 1;
      this.tally.gap({ line, token: commit.token, reason });
      this.tally.pass(reason);
      this.#lose(reason);
    }
    if (this.#isWaiting()) this.#beginBehind(commit);
    else this.#keep(commit);
  }

  #compare(commit: RecordedCommit, line: number, value: unknown, joint?: JointBefore): void {
    const json = jsonOf(value);
    const agrees = this.#hashes === 'withheld' || valueHash(json) === commit.hash;
    if (this.#state === 'following') {
      this.tally.checked += 1;
      this.agrees = agrees;
      if (!agrees) this.#differ(commit, line, { json }, { joint });
    } else this.tally.pass('behind-difference');
    if (this.#state === 'differing') this.#show(commit, line, { json }, agrees);
    if (!this.isDone()) return this.#advance(commit, value, json);
    this.#finish();
    return this.#keep(commit);
  }

  #advance({ token, watermark }: RecordedCommit, value: unknown, json: string | undefined): void {
    this.#value = value;
    this.#json = json;
    this.#token = token;
    this.#watermark = watermark;
  }

  /** The first difference. Both values are shown at the first commit whose value is known. */
  #differ(
    commit: RecordedCommit,
    line: number,
    actual: KnownValue | undefined,
    facts: DifferenceFacts,
  ): void {
    if (this.difference !== undefined) return;
    this.#state = 'differing';
    const before = { json: this.#json, watermark: this.#watermark };
    this.difference = firstDifference(commit, line, before, actual, facts);
  }

  /** @param agrees the values are the same again: what differed has been written over */
  #show(commit: RecordedCommit, line: number, actual: KnownValue, agrees: boolean): void {
    const expected = agrees ? actual : recordedValue(commit);
    if (expected === undefined || this.difference === undefined) return;
    const comparedAt = { line, token: commit.token };
    this.difference = { ...this.difference, comparedAt, expected, actual };
    this.#state = 'done';
  }

  /** A commit that cannot be folded, but behind which the value is known, is one to begin behind. */
  #beginBehind(commit: RecordedCommit): void {
    const known = recordedValue(commit);
    if (known === undefined) return;
    this.#state = 'following';
    this.start ??= 'checkpoint';
    this.#advance(commit, commit.value, known.json);
  }

  /** Behind its first difference, joint commits of others can go on from what was recorded of it. */
  #keep(commit: RecordedCommit): void {
    const known = recordedValue(commit);
    this.#kept = known && { box: boxOf(known.json === undefined ? undefined : commit.value) };
    this.#token = commit.token;
  }

  #passOver(commit: RecordedCommit): void {
    this.tally.pass('behind-difference');
    this.#keep(commit);
  }

  #recordedStart({ origin, base }: RecordedCommit): JointValues[number] | undefined {
    if (origin === 'nothing') return null;
    if (typeof origin === 'object') return [origin.adopted];
    return origin === undefined && base === this.#token ? this.#kept?.box : undefined;
  }

  #lose(reason: UncheckedReason): void {
    if (this.#state === 'differing') return this.#finish();
    // What lost it first is told, not that the commits behind that cannot be joined to anything.
    if (!this.#isWaiting()) this.#lostBy = reason;
    this.#state = 'waiting';
    this.#value = undefined;
    this.#json = undefined;
  }

  #finish(): void {
    this.#state = 'done';
    this.#value = undefined;
    this.#json = undefined;
  }

  // Asked, not compared: a method called in between may have changed the state.
  #isWaiting(): boolean {
    return this.#state === 'waiting';
  }
}

function jsonOf(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}
