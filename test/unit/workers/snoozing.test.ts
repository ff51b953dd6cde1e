import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WORKER_DEFAULTS } from '../../../src/options.ts';
import {
  awayAtStandstillMs,
  awayUntilTurnMs,
  delayMs,
  expectedPaceMs,
  SLOW_PACE_MS,
  untilTurnMs,
  type Waiting,
} from '../../../src/workers/waiting/snoozing.ts';

const waiting = (rank: number, more: Partial<Waiting> = {}): Waiting => ({
  rank,
  paceMs: 0,
  deliveries: 1,
  ...more,
});

describe('a job that waits for its turn', () => {
  it('is away until about then: its rank times the pace of its key', () => {
    expect(untilTurnMs(waiting(10, { paceMs: 100 }))).toBe(1_000);
    expect(awayUntilTurnMs(waiting(10, { paceMs: 100 }), WORKER_DEFAULTS)).toBe(1_000);
    expect(untilTurnMs(waiting(10))).toBeGreaterThan(0);
  });

  it('is away longer each time, but back before a dead holder can be succeeded', () => {
    const away = [1, 2, 3, 10, 1_000].map((deliveries) =>
      awayUntilTurnMs(waiting(0, { deliveries }), WORKER_DEFAULTS),
    );
    expect(away.toSorted((a, b) => a - b)).toEqual(away);
    expect(away[0]).toBe(WORKER_DEFAULTS.patienceMs);
    expect(away.at(-1)).toBeLessThan(WORKER_DEFAULTS.leaseMs);
  });
});

describe('the pace to reckon with', () => {
  it.each([
    ['is what was measured', 20, 0, 20],
    ['is longer while an update takes longer than usual', 20, 30, 30],
    ['is not guessed at for a hitch of a fast key', 1, 2 * SLOW_PACE_MS, 2 * SLOW_PACE_MS],
    ['is unknown at first', 0, 0, 0],
    ['is unknown while the first update may still be fast', 0, SLOW_PACE_MS - 1, SLOW_PACE_MS - 1],
    [
      'is a whole patience at least once the first one is slow',
      0,
      SLOW_PACE_MS,
      WORKER_DEFAULTS.patienceMs,
    ],
    ['is what the first one has taken so far', 0, 1_000, 1_000],
  ])('%s', (_, measuredMs, awaitedMs, wanted) => {
    expect(expectedPaceMs(measuredMs, awaitedMs, WORKER_DEFAULTS)).toBe(wanted);
  });
});

it('a job without patience does not look every millisecond', () => {
  const options = { ...WORKER_DEFAULTS, patienceMs: 0 };
  const away = [1, 2, 3, 12, 50].map((deliveries) =>
    awayUntilTurnMs(waiting(0, { deliveries }), options),
  );
  expect(away).toEqual([1, 2, 4, 2_048, 2_500]);
});

describe('a job of a lane that stands still', () => {
  it('looks again soon if it is the first', () => {
    expect(awayAtStandstillMs(waiting(0, { deliveries: 50 }), 250)).toBe(250);
  });

  it('is away longer each time if it is not, so that it is not in the way of the one that is missing', () => {
    const away = [1, 2, 3, 4].map((deliveries) =>
      awayAtStandstillMs(waiting(1, { deliveries }), 250),
    );
    expect(away).toEqual([250, 500, 1_000, 2_000]);
    expect(awayAtStandstillMs(waiting(5_000), 250)).toBeGreaterThan(10_000);
  });
});

describe('the delay that BullMQ is asked for', () => {
  it('is whole milliseconds within the limit, a little early, never at once', () => {
    const ms = fc.double({ min: 0, max: 1e9, noNaN: true });
    const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(ms, fraction, (awayMs, chance) => {
        const delay = delayMs(awayMs, WORKER_DEFAULTS, chance);
        expect(Number.isInteger(delay)).toBe(true);
        expect(delay).toBeGreaterThanOrEqual(1);
        expect(delay).toBeLessThanOrEqual(
          Math.min(WORKER_DEFAULTS.snoozeMsMax, Math.ceil(awayMs) + 1),
        );
      }),
    );
  });
});
