import { beforeEach, describe, expect, it } from 'vitest';
import { HeldLanes } from '../../../src/workers/watching/held-lanes.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

describe('a held lane', () => {
  const snoozeMsMax = 1_000;
  let clock: VirtualClock;
  let lanes: HeldLanes;
  beforeEach(() => {
    clock = new VirtualClock();
    lanes = new HeldLanes(clock, { snoozeMsMax });
  });

  const held = (key: string, jobId: string | undefined = 'job', code = 'JOB_FAILED'): boolean =>
    lanes.isNews('laneHeld', { key, jobId, reason: 'why', code });
  const committed = (key: string): boolean => lanes.isNews('committed', { key, token: 1, jobs: 1 });

  it('is news once, however often it is met', async () => {
    expect([held('a'), held('a')]).toEqual([true, false]);
    for (let look = 0; look < 5; look++) {
      await clock.advance(2 * snoozeMsMax);
      expect(held('a')).toBe(false);
    }
    expect(held('b')).toBe(true);
  });

  it('counts by why it stands, until its key goes on or nobody meets it any more', async () => {
    held('a');
    held('b', undefined, 'FOREIGN_VALUE');
    expect(lanes.standing).toEqual(
      new Map([
        ['JOB_FAILED', 1],
        ['FOREIGN_VALUE', 1],
      ]),
    );
    committed('a');
    expect([...lanes.standing.keys()]).toEqual(['FOREIGN_VALUE']);
    await clock.advance(2 * snoozeMsMax + 1);
    expect(lanes.standing.size).toBe(0);
  });

  it('is news again for another job, or for another reason', () => {
    expect(held('a', 'one')).toBe(true);
    expect(held('a', 'two')).toBe(true);
    expect(held('a', undefined, 'FOREIGN_VALUE')).toBe(true);
    expect(held('a', undefined, 'REDIS_WENT_BACK')).toBe(true);
    expect(held('a', undefined, 'REDIS_WENT_BACK')).toBe(false);
  });

  it('is news again once the key has gone on, which others do not change', () => {
    held('a');
    expect(committed('b')).toBe(true);
    expect(held('a')).toBe(false);
    expect(committed('a')).toBe(true);
    expect(held('a')).toBe(true);
  });

  it('is news again if nobody has met it for longer than its jobs are away', async () => {
    held('a');
    await clock.advance(2 * snoozeMsMax + 1);
    expect(held('a')).toBe(true);
  });
});
