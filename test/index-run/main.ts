/**
 * `npm run index-run`: many jobs over many keys with kills, and the index of lanes held against a full scan every few
 * hundred milliseconds and in the end. Exit code 1 if it was wrong once.
 */
import { commandLine } from '../support/command-line.ts';
import { indexRun } from './run.ts';

const USAGE = `npm run index-run -- [--jobs N] [--keys N] [--kills N] [--workers N]
  100,000 jobs over 10,000 keys, 20 kills and 3 workers, unless it is said otherwise`;

const flags = commandLine(USAGE, {
  jobs: { type: 'string' },
  keys: { type: 'string' },
  kills: { type: 'string' },
  workers: { type: 'string' },
});
const { jobs = '100000', keys = '10000', kills = '20', workers = '3' } = flags;
const { TORIL_REDIS: redis = '', TORIL_MEMCACHED: memcached = '' } = process.env;
try {
  const end = await indexRun({
    ...{ redis, memcached: memcached.split(',') },
    ...{ jobs: Number(jobs), keys: Number(keys), kills: Number(kills), workers: Number(workers) },
    ...{ lookEveryMs: 1_000, deadlineMs: 900_000, say: (line) => console.log(line) },
  });
  console.log(
    `right in ${end.looks} looks, with ${end.kills} kills, up to ${end.keysMost} keys and ${end.heldMost} held ones`,
  );
} catch (thrown) {
  console.error(String(thrown));
  process.exitCode = 1;
}
