/** What a run leaves beside its history, so that it can be audited again. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EndState } from './end-state.ts';
import type { FaultKind } from './schedule.ts';

const FILE = 'end.json';

/** What is looked at afterwards, besides the history. */
export interface Played {
  readonly drains: readonly number[];
  /** What did not come to its end, and processes that ended by themselves. */
  readonly stuck: readonly string[];
  readonly faults: { readonly counts: ReadonlyMap<FaultKind, number>; readonly evictions: number };
  readonly strikingMs: number;
}

/** Maps become lists of pairs. */
interface Kept {
  readonly played: Omit<Played, 'faults'>;
  readonly counts: readonly (readonly [never, number])[];
  readonly evictions: number;
  readonly commits: EndState['commits'];
  readonly jobs: readonly (readonly [never, never])[];
  readonly copies: readonly (readonly [never, never])[];
}

export function keep(folder: string, { faults, ...played }: Played, end: EndState): void {
  const { commits, jobs, copies } = end;
  const kept = {
    played,
    counts: [...faults.counts],
    evictions: faults.evictions,
    commits,
    jobs: [...jobs],
    copies: [...copies],
  };
  writeFileSync(join(folder, FILE), JSON.stringify(kept));
}

/** False: the run did not come to its end, or this is not what a run has left. */
export function isKept(folder: string): boolean {
  return existsSync(join(folder, FILE));
}

export function readKept(folder: string): { readonly played: Played; readonly end: EndState } {
  const kept = JSON.parse(readFileSync(join(folder, FILE), 'utf8')) as Kept;
  const { played, counts, evictions, commits } = kept;
  return {
    played: { ...played, faults: { counts: new Map(counts), evictions } },
    end: { commits, jobs: new Map(kept.jobs), copies: new Map(kept.copies) },
  };
}
