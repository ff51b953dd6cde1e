/** What a run amounts to, in numbers. Pure. */
import type { EndState } from './end-state.ts';
import type { Happened } from './history.ts';
import type { Played } from './kept.ts';
import type { FaultKind } from './schedule.ts';

export interface Figures {
  /** Operations that producers asked for, and those that they heard were enqueued. */
  readonly asked: number;
  readonly enqueued: number;
  readonly completed: number;
  readonly failed: number;
  /** Those of the completed that are transfers. */
  readonly transfers: number;
  /** Of all accounts, each other than the one before. */
  readonly snapshots: number;
  readonly commits: number;
  /** Calls of updates. */
  readonly calls: number;
  /** Values that readers saw. */
  readonly reads: number;
  /** By kind, in order of their number. */
  readonly faults: readonly (readonly [FaultKind, number])[];
  readonly faultsPerMinute: number;
  readonly evictions: number;
  readonly takeovers: number;
  readonly lostLeases: number;
  /** By memcached, and by Redis. */
  readonly refusedCommits: number;
  readonly refusedAcknowledgements: number;
  readonly recoveredCommits: number;
  readonly restores: number;
  /** Lanes that stood still because Redis went back or another data set wrote there, until an operator settled it. */
  readonly settled: number;
  /** Updates of that other data set. */
  readonly strangeCalls: number;
  /** Calls of a stock client. */
  readonly meddlings: number;
  readonly slowestDrainMs: number;
}

export function figuresOf(
  history: readonly Happened[],
  { faults, drains, strikingMs }: Played,
  end: EndState,
): Figures {
  const events = new Map<string, number>();
  for (const event of history) {
    const name = event.e === 'gate' ? event.name : event.e;
    events.set(name, (events.get(name) ?? 0) + 1);
  }
  const count = (name: string): number => events.get(name) ?? 0;
  const states = [...end.jobs.values()].map(({ state }) => state);
  const struck = [...faults.counts.values()].reduce((sum, number) => sum + number, 0);
  return {
    asked: count('asked'),
    enqueued: count('enqueued'),
    completed: states.filter((state) => state === 'completed').length,
    failed: states.filter((state) => state === 'failed').length,
    transfers: transfersIn(history, end),
    snapshots: count('snapshot'),
    commits: end.commits.length,
    calls: count('called'),
    reads: count('read'),
    faults: [...faults.counts].toSorted(([, a], [, b]) => b - a),
    faultsPerMinute: Math.round((struck / strikingMs) * 60_000),
    evictions: faults.evictions,
    takeovers: count('leaseTakenOver'),
    lostLeases: count('leaseLost'),
    refusedCommits: count('commitRefused'),
    refusedAcknowledgements: count('acknowledgementRefused'),
    recoveredCommits: count('commitRecovered'),
    restores: count('cellRestored'),
    settled: count('settled'),
    strangeCalls: count('strange'),
    meddlings: count('meddled'),
    slowestDrainMs: Math.round(Math.max(0, ...drains)),
  };
}

function transfersIn(history: readonly Happened[], end: EndState): number {
  const transfers = new Set<string>();
  for (const event of history) {
    if (event.e !== 'called' || event.update !== 'transfer') continue;
    if (end.jobs.get(event.jobId)?.state === 'completed') transfers.add(event.jobId);
  }
  return transfers.size;
}
