/**
 * Who was right: every change is noted in the worker that makes it (from which hash, which number,
 * to which hash). The hash that is in memcached in the end leads back, step by step, to everything
 * that went into the value, in order. What was noted but is not on that way was lost.
 */

/** What one worker process has noted; the arrays run in parallel. */
export interface Journal {
  readonly from: readonly number[];
  readonly i: readonly number[];
  readonly to: readonly number[];
}

export interface Verdict {
  readonly lost: number;
  readonly doubled: number;
  readonly reordered: number;
}

export const FLAWLESS: Verdict = { lost: 0, doubled: 0, reordered: 0 };

interface Step {
  readonly from: number;
  readonly i: number;
}

export type Steps = ReadonlyMap<number, Step>;

export function stepsOf(journals: readonly Journal[]): Steps {
  const steps = new Map<number, Step>();
  for (const { from, i, to } of journals) {
    to.forEach((hash, at) => steps.set(hash, { from: from[at] as number, i: i[at] as number }));
  }
  return steps;
}

/** The numbers that went into a value, in order. Stops where nobody noted the step. */
export function chainBehind(hash: number, steps: Steps): number[] {
  const numbers: number[] = [];
  for (let step = steps.get(hash); step !== undefined; step = steps.get(step.from)) {
    numbers.push(step.i);
    if (step.from === 0) break;
  }
  return numbers.reverse();
}

/**
 * Compares what went into one key with what should have.
 * @param expected in the order in which it was enqueued, which is ascending
 * @param complete false: the run was stopped on the way, so that the end of `expected` may be missing
 */
export function auditKey(
  expected: Iterable<number>,
  found: readonly number[],
  complete: boolean,
): Verdict {
  const seen = new Set<number>();
  let doubled = 0;
  let reordered = 0;
  let highest = -1;
  for (const i of found) {
    if (seen.has(i)) doubled++;
    else if (i < highest) reordered++;
    seen.add(i);
    highest = Math.max(highest, i);
  }
  let lost = 0;
  for (const i of expected) {
    if (!seen.has(i) && (complete || i < highest)) lost++;
  }
  return { lost, doubled, reordered };
}

export function addVerdicts(verdicts: readonly Verdict[]): Verdict {
  return verdicts.reduce(
    (sum, { lost, doubled, reordered }) => ({
      lost: sum.lost + lost,
      doubled: sum.doubled + doubled,
      reordered: sum.reordered + reordered,
    }),
    FLAWLESS,
  );
}

export function isFlawless({ lost, doubled, reordered }: Verdict): boolean {
  return lost + doubled + reordered === 0;
}

export interface RunAudit {
  readonly jobs: number;
  readonly keys: number;
  /** Hash of each key's value, by the key's index; undefined: there is no value. Keys at the end may be left out. */
  readonly hashes: readonly (number | undefined)[];
  readonly journals: readonly Journal[];
  /** Jobs that were reported as completed. */
  readonly completed: number;
}

/** Audits all keys of a run in which job i belongs to key i modulo `keys`. */
export function auditRun({ jobs, keys, hashes, journals, completed }: RunAudit): Verdict {
  const steps = stepsOf(journals);
  const complete = completed >= jobs;
  let inChains = 0;
  const verdicts = hashes.map((hash, key) => {
    const found = hash === undefined ? [] : chainBehind(hash, steps);
    inChains += new Set(found).size;
    return auditKey(everyNth(key, keys, jobs), found, complete);
  });
  const sum = addVerdicts(verdicts);
  // Stopped on the way, a missing end may not be missed: but what was completed must be somewhere.
  return { ...sum, lost: Math.max(sum.lost, complete ? 0 : completed - inChains) };
}

function* everyNth(first: number, step: number, end: number): Generator<number> {
  for (let i = first; i < end; i += step) yield i;
}
