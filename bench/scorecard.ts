/** Every figure that the project wants to reach, one line each, with what this run has measured. */
import { FAMILY_NAMES, type FamilyName, familyOf } from './families/families.ts';
import { EVERY_KEY_DIFFERENT, ONE_KEY } from './families/matrix.ts';
import { whole } from './number-text.ts';
import { reachedTarget, type Row, standingOf } from './row.ts';
import type { Grid, Sheet } from './sheet.ts';
import type { Spread } from './statistics.ts';
import { isProduct, type SystemName } from './systems.ts';

/** What a line of the scorecard says. */
interface Score {
  readonly figure: string;
  readonly measured: number;
  readonly range: Spread | null;
  readonly wanted: string;
  readonly reached: boolean;
  /** Runs behind it. */
  readonly runs: number;
}

/** To every peer or lock that is right, too. */
const WANTED_TO_RIVALS_ON_ONE_KEY = 3;
const WANTED_TO_RIVALS_ON_OTHERS = 1;

export function scorecardOf(rows: readonly Row[]): Omit<Sheet, 'family'> {
  const missing = FAMILY_NAMES.filter(
    (name) => familyOf(name).isScored && !rows.some(({ family }) => family === name),
  );
  return {
    title: 'Scorecard',
    grids: [gridOf([...ownScores(rows), ...rivalScores(rows)])],
    troubles: missing.length === 0 ? [] : [`not measured in this run: ${missing.join(', ')}`],
  };
}

function gridOf(scores: readonly Score[]): Grid {
  return {
    caption: '',
    wordColumns: 1,
    heads: ['figure', 'measured', 'lowest-highest', 'runs', 'wanted', ''],
    lines: scores.map(({ figure, measured, range, wanted, reached, runs }) => [
      figure,
      measured.toFixed(2),
      range === null || range.min === range.max
        ? ''
        : `${range.min.toFixed(2)}-${range.max.toFixed(2)}`,
      whole(runs),
      wanted,
      reached ? '✓' : '✗',
    ]),
  };
}

/** Rows that say themselves what is wanted of them. */
function ownScores(rows: readonly Row[]): Score[] {
  return rows.flatMap((row) => {
    const { family, work, processes, ratio, ratioSpread, ratioOf, target, runs } = row;
    const reached = reachedTarget(row);
    if (ratio === null || target === null || reached === null) return [];
    const sign = ratioOf === 'rate' ? '≥' : '≤';
    return {
      figure: `${familyOf(family as FamilyName).title}: ${work}${workersText(processes)}`,
      ...{ measured: ratio, range: ratioSpread, runs },
      wanted: `${sign} ${target.toFixed(2)}`,
      reached: reached && row.trouble === null,
    };
  });
}

/** In each cell of the matrix: Toril's rate to the fastest of those that were right and mean to be. */
function rivalScores(rows: readonly Row[]): Score[] {
  return rows.flatMap((ours) => {
    const wanted = wantedToRivals(ours);
    if (wanted === undefined || ours.jobsPerSecond === null) return [];
    const [best] = rows
      .filter((row) => isRightRival(row) && isSameCell(row, ours))
      .toSorted((one, other) => (other.jobsPerSecond ?? 0) - (one.jobsPerSecond ?? 0));
    if (best?.jobsPerSecond == null) return [];
    const measured = ours.jobsPerSecond / best.jobsPerSecond;
    const { work, concurrency, processes } = ours;
    return {
      figure: `${familyOf('matrix').title}: ${work}, concurrency ${concurrency}${workersText(processes)}, to the best that is right (${best.title})`,
      ...{ measured, range: null, runs: ours.runs },
      wanted: `≥ ${wanted.toFixed(2)}`,
      reached: measured >= wanted,
    };
  });
}

function wantedToRivals({ family, system, work }: Row): number | undefined {
  if (family !== 'matrix' || system !== 'toril') return undefined;
  if (work === ONE_KEY) return WANTED_TO_RIVALS_ON_ONE_KEY;
  return work === EVERY_KEY_DIFFERENT ? WANTED_TO_RIVALS_ON_OTHERS : undefined;
}

function isRightRival(row: Row): boolean {
  const meansToBe = row.promised === 'exclusion' || row.promised === 'order';
  return meansToBe && !isProduct(row.system as SystemName) && standingOf(row) === 'right';
}

function workersText(processes: number): string {
  return processes === 1 ? '' : `, ${processes} processes`;
}

function isSameCell(one: Row, other: Row): boolean {
  return (
    one.family === other.family &&
    one.work === other.work &&
    one.concurrency === other.concurrency &&
    one.processes === other.processes
  );
}
