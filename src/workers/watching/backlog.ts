/** What waits in the queue, for those who collect a worker's metrics. Two questions to Redis; no answer is an answer as well. */
import { type Clock, settlesWithin } from '../../base/clock.ts';
import { stateOf } from '../../jobs/reports/lane-state.ts';
import type { LaneFacts, LaneViews, PageRequest } from '../../jobs/reports/lane-views.ts';
import type { Backlog } from '../../telemetry/observer.ts';

/** Milliseconds: a collection must not wait for a Redis that is away. */
const DEADLINE_MS = 1_000;
/** As docs/telemetry.md and the metric's description say it. */
const OLDEST: PageRequest = {
  ...{ state: 'all', order: 'oldest', after: undefined, limit: 50, search: '' },
};

export async function backlogOf(
  views: Pick<LaneViews, 'counts' | 'page'>,
  clock: Clock,
): Promise<Backlog | undefined> {
  const asking = Promise.all([views.counts(), views.page(OLDEST)]).catch(() => undefined);
  if (!(await settlesWithin(clock, DEADLINE_MS, asking))) return undefined;
  const answers = await asking;
  if (answers === undefined) return undefined;
  const [counts, { lanes }] = answers;
  const { waiting, active, delayed, runnable, held, oldest, oldestRunnable } = counts;
  return {
    ...{ waiting, active, delayed, runnable, held },
    oldestHeadMs: oldest?.ageMs ?? 0,
    oldestRunnableHeadMs: oldestRunnable?.ageMs ?? 0,
    oldestStates: statesOf(lanes),
  };
}

function statesOf(lanes: readonly LaneFacts[]): Map<string, number> {
  const keys = new Map<string, number>();
  for (const facts of lanes) {
    const { kind } = stateOf(facts);
    keys.set(kind, (keys.get(kind) ?? 0) + 1);
  }
  return keys;
}
