import { describe, expect, it } from 'vitest';
import { Sampling } from '../../../src/telemetry/sampling.ts';

/** Of `turns` in `seconds`, evenly, from `fromMs` on: how many are recorded. */
function recorded(sampling: Sampling, fromMs: number, seconds: number, turns: number): number {
  let count = 0;
  for (let turn = 0; turn < turns; turn++)
    if (sampling.next(fromMs + (turn * seconds * 1_000) / turns)) count++;
  return count;
}

describe('which turns are recorded', () => {
  it('all, up to 100 in a second', () => {
    expect(recorded(new Sampling(), 0, 3, 280)).toBe(280);
  });

  it('every nth, if there are more, from the second second on', () => {
    const sampling = new Sampling();
    recorded(sampling, 0, 1, 10_000);
    const later = recorded(sampling, 1_000, 4, 40_000);
    expect(later).toBeGreaterThan(4 * 90);
    expect(later).toBeLessThanOrEqual(4 * 100 + 4);
  });

  it('fewer and fewer within the first second of a burst', () => {
    expect(recorded(new Sampling(), 0, 0.5, 20_000)).toBeLessThan(700);
  });

  it('all again once there are few, also after a long rest', () => {
    const sampling = new Sampling();
    recorded(sampling, 0, 2, 20_000);
    recorded(sampling, 2_000, 1, 90);
    expect(recorded(sampling, 3_000, 1, 90)).toBe(90);
    const rested = new Sampling();
    recorded(rested, 0, 2, 20_000);
    expect(recorded(rested, 600_000, 1, 80)).toBe(80);
  });
});
