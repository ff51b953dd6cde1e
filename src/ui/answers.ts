/** What programs are told that ask for JSON instead of a page. */
import { why, type Why } from '../jobs/reports/why.ts';
import type { LaneCounts, LaneReport, LaneSummary } from '../jobs/reports/lane-report.ts';
import type { CellSight } from './board.ts';
import type { LaneView } from './pages/lane-page.ts';
import type { LanesView } from './pages/lanes-page.ts';

/** Of a key: why it stands, as `toril why --json` says it, and all that its page shows of its lane. */
export interface LaneAnswer extends LaneReport, Why {
  readonly queue: string;
  readonly cell: CellSight['kind'];
}

export interface LanesAnswer {
  readonly queue: string;
  readonly counts: LaneCounts;
  readonly lanes: readonly (LaneSummary & Pick<Why, 'sentence'>)[];
  /** Of the next page; null: there is none. */
  readonly cursor: string | null;
}

export function laneAnswer({ queue, sight, veil }: LaneView): LaneAnswer {
  const report = veil.report(sight.report);
  return { queue, ...why(report), ...report, cell: sight.cell.kind };
}

export function lanesAnswer({ queue, counts, lanes, veil }: LanesView): LanesAnswer {
  return {
    ...{ queue, counts },
    lanes: lanes.lanes.map((lane) => {
      const shown = { ...lane, state: veil.state(lane.key, lane.state) };
      return { ...shown, sentence: why(shown).sentence };
    }),
    cursor: lanes.cursor ?? null,
  };
}
