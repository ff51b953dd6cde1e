/** What is counted of one key, commit by commit, while it is replayed. */
import type { Gap, UncheckedReason } from '../report.ts';

/** Gaps that are told one by one; more are only counted. */
const GAPS_TOLD = 3;

export class KeyTally {
  commits = 0;
  /** Of these, folded and compared; */
  checked = 0;
  /** and the others, by reason. */
  readonly unchecked: Map<UncheckedReason, number> = new Map();
  /** Times it began with nothing though it had had a value, */
  restarts = 0;
  /** places where commits are missing, */
  holes = 0;
  /** and commits that began with a foreign value. */
  adopted = 0;
  /** A job's update is not registered any more. */
  meetsUnknown = false;
  readonly gaps: Gap[] = [];
  gapsCount = 0;

  gap(gap: Gap): void {
    this.gapsCount += 1;
    if (this.gaps.length < GAPS_TOLD) this.gaps.push(gap);
  }

  /** A commit stays unchecked. */
  pass(reason: UncheckedReason): void {
    this.unchecked.set(reason, (this.unchecked.get(reason) ?? 0) + 1);
  }
}
