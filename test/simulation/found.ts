/**
 * What the simulation has found. Each seed failed before the change, and is run in every test run. A
 * seed means something only as long as options.ts draws what it drew: whoever changes the draws
 * looks for new ones, by taking the change back.
 */
export interface Found {
  readonly seed: number;
  readonly promise: string;
  readonly cause: string;
  readonly change: string;
}

export const FOUND: readonly Found[] = [];
