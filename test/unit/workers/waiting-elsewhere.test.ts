/** Jobs whose key is held by another worker, while nobody knows yet how fast its updates are. */
import { expect, it } from 'vitest';
import { defineUpdate } from '../../../src/updates/update.ts';
import { WORKER_DEFAULTS } from '../../../src/options.ts';
import { createTestBed } from '../../../src/testing.ts';

const SLOTS = 16;
const { patienceMs } = WORKER_DEFAULTS;

it('keep their slots until the holder has had the time for a first commit, then give them back', async () => {
  const endless = defineUpdate({
    name: 'endless',
    key: (key: string) => key,
    initial: () => 0,
    apply: () => new Promise<number>(() => {}),
  });
  const bed = createTestBed({
    ...{ updates: [endless], workers: 2, concurrency: SLOTS, realWaitMs: 5 },
  });
  for (let n = 0; n < 2 * SLOTS; n++) await bed.enqueue(endless, 'key');
  await bed.advance(2 * patienceMs);
  const firstSnoozedMs = new Map<number, number>();
  for (const { type, worker, atMs } of bed.events) {
    if (type === 'jobSnoozed' && !firstSnoozedMs.has(worker)) firstSnoozedMs.set(worker, atMs);
  }
  const [holder = Number.NaN, other = Number.NaN] = [...firstSnoozedMs.values()].toSorted(
    (a, b) => a - b,
  );
  expect(holder).toBeLessThan(10);
  expect(other).toBeGreaterThanOrEqual(20);
  expect(other).toBeLessThan(patienceMs);
});
