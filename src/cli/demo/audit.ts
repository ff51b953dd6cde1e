/**
 * The demo's judge. Shares no code with what it judges: it folds the plan by itself, one job after
 * the other, and compares. Pure.
 */
import type { DemoJob, Ledger, LedgerResult } from './demo-updates.ts';

export interface ValueAudit {
  /** Jobs that are in no value. */
  readonly lost: number;
  /** Times that a job is in its value once too often. */
  readonly doubled: number;
  /** Jobs that stand behind a later one of their key. */
  readonly reordered: number;
  /** Keys whose value is not what the fold gives, whatever the reason. */
  readonly wrongKeys: readonly string[];
}

/** What BullMQ has of a job in the end. */
export interface FinishedJob {
  readonly id: string;
  /** Its number in the plan. */
  readonly number: number;
  readonly state: 'completed' | 'failed';
  readonly result: unknown;
  readonly attemptsMade: number;
}

export interface JobAudit {
  /** Jobs that BullMQ does not call completed. */
  readonly notCompleted: number;
  /** Jobs that were completed more than once. */
  readonly completedAgain: number;
  /** Jobs with a result that is not their own. */
  readonly wrongResults: number;
  /** Attempts charged beyond the one that each job has used. */
  readonly attemptsCharged: number;
}

/** @param values by key, as memcached has them */
export function auditValues(
  plan: readonly DemoJob[],
  values: ReadonlyMap<string, unknown>,
): ValueAudit {
  const { ledgers } = sequentially(plan);
  const total = { lost: 0, doubled: 0, reordered: 0 };
  const wrongKeys: string[] = [];
  for (const [key, ledger] of ledgers) {
    const value = values.get(key);
    const { lost, doubled, reordered } = compare(ledger.numbers, numbersOf(value));
    total.lost += lost;
    total.doubled += doubled;
    total.reordered += reordered;
    if (!isSame(value, ledger)) wrongKeys.push(key);
  }
  return { ...total, wrongKeys };
}

/** @param completions how often BullMQ announced each job's completion, by job id */
export function auditJobs(
  plan: readonly DemoJob[],
  jobs: readonly FinishedJob[],
  completions: ReadonlyMap<string, number>,
): JobAudit {
  const { results } = sequentially(plan);
  const completed = new Set<number>();
  let wrongResults = 0;
  let attemptsCharged = 0;
  for (const { number, state, result, attemptsMade } of jobs) {
    if (state === 'completed') completed.add(number);
    if (!isSame(result, results[number])) wrongResults += 1;
    attemptsCharged += Math.max(0, attemptsMade - 1);
  }
  const completedAgain = [...completions.values()].filter((times) => times > 1).length;
  return {
    notCompleted: plan.length - completed.size,
    completedAgain,
    wrongResults,
    attemptsCharged,
  };
}

/** One job after the other, as if there were one worker and nothing ever failed. */
function sequentially(plan: readonly DemoJob[]): {
  ledgers: Map<string, { hash: number; numbers: number[] }>;
  results: LedgerResult[];
} {
  const ledgers = new Map<string, { hash: number; numbers: number[] }>();
  const results: LedgerResult[] = [];
  for (const { key, number, amount } of plan) {
    const ledger = ledgers.get(key) ?? { hash: 1, numbers: [] };
    ledger.hash = (ledger.hash * 31 + amount) % 1_000_000_007;
    ledger.numbers.push(number);
    ledgers.set(key, ledger);
    results[number] = { count: ledger.numbers.length, hash: ledger.hash };
  }
  return { ledgers, results };
}

function compare(
  expected: readonly number[],
  found: readonly number[],
): { lost: number; doubled: number; reordered: number } {
  const seen = new Set<number>();
  let doubled = 0;
  let reordered = 0;
  let highest = -1;
  for (const number of found) {
    if (seen.has(number)) {
      doubled += 1;
      continue;
    }
    seen.add(number);
    // Numbers grow along the plan, so a lower one behind a higher one has changed places.
    if (number < highest) reordered += 1;
    highest = Math.max(highest, number);
  }
  return { lost: expected.filter((number) => !seen.has(number)).length, doubled, reordered };
}

function numbersOf(value: unknown): readonly number[] {
  const numbers: unknown = (value as Partial<Ledger> | null | undefined)?.numbers;
  return Array.isArray(numbers) ? (numbers as number[]) : [];
}

/** Plain objects of numbers: the order of members may differ. */
function isSame(found: unknown, expected: unknown): boolean {
  return canonical(found) === canonical(expected);
}

function canonical(value: unknown): string | undefined {
  return JSON.stringify(value, (_, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
