/** What waits in the queue, for whoever collects a worker's metrics: one question to Redis, and no answer is one, too. */
import { type Clock, settlesWithin } from '../../base/clock.ts';
import type { LaneViews } from '../../jobs/reports/lane-views.ts';
import type { Backlog } from '../../telemetry/observer.ts';

/** Milliseconds: a collection must not wait for a Redis that is away. */
const DEADLINE_MS = 1_000;

export async function backlogOf(
  views: Pick<LaneViews, 'counts'>,
  clock: Clock,
): Promise<Backlog | undefined> {
  const asking = views.counts().catch(() => undefined);
  if (!(await settlesWithin(clock, DEADLINE_MS, asking))) return undefined;
  const counts = await asking;
  if (counts === undefined) return undefined;
  const { waiting, active, delayed, runnable, held, oldest, oldestRunnable } = counts;
  return {
    ...{ waiting, active, delayed, runnable, held },
    oldestHeadMs: oldest?.ageMs ?? 0,
    oldestRunnableHeadMs: oldestRunnable?.ageMs ?? 0,
  };
}
