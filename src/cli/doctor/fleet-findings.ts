/** Of the workers and the lanes: who is silent, whose settings differ, what stands still. Pure. */
import { durationText } from '../../base/duration-text.ts';
import type { LaneCounts, LaneSummary } from '../../jobs/reports/lane-report.ts';
import { isSilent } from '../../jobs/reports/lane-views.ts';
import type { RegisteredWorker } from '../../jobs/redis/registered-workers.ts';
import { bad, type Finding, good, unsure } from './finding.ts';

/** Milliseconds after which a first job that nothing holds has waited for long. */
const STALE_MS = 60_000;

/** @param clients of BullMQ's workers that Redis knows, Toril's and others; undefined: it does not tell */
export function workerFindings(
  workers: readonly RegisteredWorker[],
  clients: number | undefined,
): Finding[] {
  const living = workers.filter((worker) => !isSilent(worker));
  const findings: Finding[] = [];
  findings.push(
    living.length > 0
      ? good('workers', `${living.length} live`)
      : unsure('workers', 'none lives', 'Start one.'),
  );
  for (const { id, host, pid, silentMs } of workers.filter(isSilent)) {
    const says = `worker ${id} (process ${pid} on ${host}) is silent since ${durationText(silentMs)}`;
    findings.push(unsure('workers', says, 'It has died or is frozen; others take its keys over.'));
  }
  if (clients === undefined) {
    const says =
      'Redis does not let this user list its clients: workers without Toril are not seen';
    findings.push(unsure('stock workers', says, 'Allow CLIENT LIST (+client|list).'));
  } else if (clients > workers.length) {
    const says = `${clients - workers.length} workers of the queue are none of Toril's: what they complete is in no value`;
    findings.push(bad('stock workers', says, 'Stop them.'));
  }
  return [...findings, ...older(living), ...differences(living), ...fastPaths(living)];
}

/** They take a transaction out of all lanes but its first key's: the jobs behind it overtake it, and its lanes are apart. */
function older(living: readonly RegisteredWorker[]): Finding[] {
  const ids = living.flatMap(({ id, knowsTransactions }) => (knowsTransactions ? [] : [id]));
  if (ids.length === 0) return [];
  const says = `${ids.length} workers are of a Toril without transactions: ${ids.join(', ')}`;
  return [unsure('workers', says, 'Replace them before the first transaction is enqueued.')];
}

function differences(living: readonly RegisteredWorker[]): Finding[] {
  const all: readonly (readonly [string, (worker: RegisteredWorker) => string])[] = [
    ['updates', ({ updates }) => updates.toSorted().join(', ')],
    ['bullmq', ({ bullmq }) => bullmq],
    ['memcached', ({ memcached }) => memcached],
  ];
  return all.flatMap(([what, of]): Finding[] => {
    const found = [...new Set(living.map(of))];
    if (found.length < 2) return [];
    const says = `workers differ in their ${what}: ${found.join(' | ')}`;
    return [unsure('workers', says, 'That is usual while a new version is rolled out, only then.')];
  });
}

function fastPaths(living: readonly RegisteredWorker[]): Finding[] {
  if (living.length === 0) return [];
  const slow = living.filter(({ fastPathOff }) => fastPathOff.length > 0);
  if (slow.length === 0) return [good('fast path', 'on')];
  const reasons = [...new Set(slow.flatMap(({ fastPathOff }) => fastPathOff))].join(', ');
  const says = `off in ${slow.length} of ${living.length} workers (${reasons}): slower, and as exact`;
  return [unsure('fast path', says, 'See fastPathOff in docs/events.md.')];
}

/** @param first the lanes whose first job is the oldest */
export function laneFindings(counts: LaneCounts, first: readonly LaneSummary[]): Finding[] {
  const findings: Finding[] = [];
  const { held, paused, oldestRunnable } = counts;
  if (paused) findings.push(unsure('queue', 'it is paused', 'queue.resume()'));
  findings.push(
    held === 0
      ? good('held keys', 'none')
      : bad('held keys', `${held} wait for somebody to decide`, 'toril lanes --held'),
  );
  const ageMs = oldestRunnable?.ageMs ?? 0;
  findings.push(
    ageMs < STALE_MS
      ? good('oldest job', oldestRunnable === undefined ? 'none waits' : durationText(ageMs))
      : unsure(
          'oldest job',
          `job ${oldestRunnable?.jobId} of ${oldestRunnable?.key} waits for ${durationText(ageMs)}`,
          'toril why KEY',
        ),
  );
  const orphans = first.filter(({ state }) => state.kind === 'job-gone');
  if (orphans.length > 0) {
    const says = `${orphans.length} of the ${first.length} oldest lanes begin with a job that BullMQ has no more (${orphans[0]?.key})`;
    findings.push(unsure('orphans', says, 'A worker drops them within a minute.'));
  }
  return findings;
}
