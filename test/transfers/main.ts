/**
 * `npm run transfers`: transfers among a few accounts, with kills, freezes and a restarted memcached; every snapshot, and the
 * cells in the end, are held against the transfers one after the other. Exit code 1 if one was wrong.
 */
import { seededFraction } from '../../src/base/random.ts';
import { startMemcached } from '../../scripts/servers.ts';
import { commandLine } from '../support/command-line.ts';
import { transfersRun } from './run.ts';

const USAGE = `npm run transfers -- [--transfers N] [--accounts N] [--workers N] [--concurrency N] [--kills N] [--freezes N] [--restarts N] [--seed N]
  100,000 transfers among 100 accounts, 4 workers of 64 jobs, 3 kills, 2 freezes and 1 restart, unless it is said otherwise`;

const flags = commandLine(USAGE, {
  transfers: { type: 'string', default: '100000' },
  accounts: { type: 'string', default: '100' },
  workers: { type: 'string', default: '4' },
  concurrency: { type: 'string', default: '64' },
  kills: { type: 'string', default: '3' },
  freezes: { type: 'string', default: '2' },
  restarts: { type: 'string', default: '1' },
  seed: { type: 'string', default: '1' },
});
const { seed, ...rest } = flags;
const counts = Object.fromEntries(Object.entries(rest).map(([name, text]) => [name, Number(text)]));
const { transfers, accounts, workers, concurrency, kills, freezes, restarts } = counts as Record<
  keyof typeof rest,
  number
>;
const memcached = [await startMemcached(), await startMemcached()];
try {
  const end = await transfersRun({
    ...{ redis: process.env['TORIL_REDIS'] ?? '', memcached, transfers, accounts, workers },
    ...{ concurrency, kills, freezes, restarts, deadlineMs: 900_000 },
    ...{ fraction: seededFraction(seed), say: (line) => console.log(line) },
  });
  const perSecond = Math.round((transfers * 1_000) / end.elapsedMs);
  console.log(
    `${transfers} transfers among ${accounts} accounts in ${(end.elapsedMs / 1_000).toFixed(1)} s (${perSecond} per second), with ${end.faults.join(', ') || 'no fault'}: right in ${end.snapshots} snapshots and in the end`,
  );
} catch (thrown) {
  console.error(String(thrown));
  process.exitCode = 1;
} finally {
  for (const server of memcached) await server.stop();
}
