/** What every family of rows gets to work with. */
import type { Progress } from './progress.ts';
import type { Stage } from './stage.ts';
import type { SystemName } from './systems.ts';

export interface Bench {
  readonly stage: Stage;
  readonly progress: Progress;
  readonly options: Extent;
  /** Which of these systems can run here and were asked for. */
  choose(systems: readonly SystemName[]): SystemName[];
}

export interface CellFilter {
  readonly keys: readonly number[];
  readonly concurrency: readonly number[];
  readonly processes: readonly number[];
}

/** How much is measured. */
interface Extent {
  readonly quick: boolean;
  /** Measured runs of each system in each cell. */
  readonly runs: number;
  /** Jobs per run where the user has set them. */
  readonly jobs: number | undefined;
  /** Which cells of the matrix; empty: whatever the bench says. `0` keys: every key different. */
  readonly cells: CellFilter;
  /** Seconds that one run of a slow system may take; it gets so many fewer jobs. */
  readonly slowRunSeconds: number;
}
