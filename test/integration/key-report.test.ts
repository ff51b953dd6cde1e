/** What is told of a key's commits: the last ones, and those that were refused. */
import { expect, test } from 'vitest';
import { defineUpdate, type LaneReport } from '../../src/index.ts';
import { cellName } from '../../src/memcached/item-names.ts';
import { itemOf, writeItem } from '../support/items.ts';
import { eventually } from '../support/memcached.ts';
import { memcachedAddresses } from '../support/servers.ts';
import { enqueueLog, entries, quickly, type Stage, stage } from '../support/workers.ts';
import { torilHere } from './cli-runner.ts';

const report = ({ queue }: Stage, key: string): Promise<LaneReport> => queue.lane(key).report();

test('the last commit is known without a history, and five with their jobs by it', async () => {
  const here = stage();
  const key = here.key();
  expect((await report(here, key)).lastCommits).toEqual([]);
  const startedMs = Date.now();
  const worker = await here.worker();
  await here.finished(await enqueueLog(here, entries(key, 3)));
  await worker.close();
  const { token, lastCommits } = await report(here, key);
  expect(lastCommits).toEqual([
    { token, atMs: expect.any(Number), jobs: undefined, recovered: false },
  ]);
  expect(Math.abs((lastCommits[0]?.atMs ?? 0) - startedMs)).toBeLessThan(60_000);

  await here.worker({ history: 'on' });
  for (let n = 3; n < 9; n++) await here.finished(await enqueueLog(here, [{ key, n }]));
  const { lastCommits: recorded, token: last } = await report(here, key);
  expect(recorded.map(({ jobs }) => jobs)).toEqual([1, 1, 1, 1, 1]);
  expect(recorded[0]?.token).toBe(last);
  expect(recorded.map((commit) => commit.token)).toEqual(
    recorded.map((commit) => commit.token).toSorted((a, b) => b - a),
  );
  const { stdout } = await torilHere(['lane', key, '-q', here.name]);
  expect(stdout).toContain(`${last} at 20`);
});

test('a commit that memcached refused is counted, with by whom and when', async () => {
  const meddled = new Set<number>();
  const meddle = defineUpdate({
    name: 'meddle',
    key: ({ key }: { key: string; n: number }) => key,
    initial: () => 0,
    async apply(value: number, { key, n }) {
      if (value > 0 && !meddled.has(n)) {
        meddled.add(n); // somebody stores the cell anew, as it is: its CAS is another one
        const { value: bytes, flags } = await itemOf(cellName(key));
        await writeItem(cellName(key), bytes.toString('latin1'), flags);
      }
      return value + 1;
    },
  });
  const here = stage({ updates: [meddle], memcached: quickly(memcachedAddresses()[0] ?? '') });
  const key = here.key();
  const worker = await here.worker();
  for (let n = 0; n < 3; n++) await here.finished([await here.queue.enqueue(meddle, { key, n })]);
  expect(worker.counts.commitRefused).toBe(2);
  await eventually('Redis knows', async () => {
    const { refusedCommits } = await report(here, key);
    return refusedCommits.count === 2;
  });
  const { refusedCommits, lastCommits } = await report(here, key);
  expect(refusedCommits.last).toEqual({
    ...{ by: 'memcached', token: expect.any(Number), atMs: expect.any(Number) },
  });
  expect(refusedCommits.last?.token).toBeLessThan(lastCommits[0]?.token ?? 0);
  const { stdout } = await torilHere(['why', key, '-q', here.name]);
  expect(stdout).toMatch(
    /2 commits were refused, the last by memcached at 20.*: the cell had changed/,
  );
  expect((await report(here, here.key('other'))).refusedCommits.count).toBe(0);
  await here.queue.obliterate({ force: true });
  expect((await report(here, key)).refusedCommits.count).toBe(0);
});
