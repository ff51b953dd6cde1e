/** A key whose jobs hold most of a worker's slots gives them back before its patience is over. */
import { describe, expect, it } from 'vitest';
import { defineUpdate } from '../../../src/updates/update.ts';
import { WORKER_DEFAULTS } from '../../../src/options.ts';
import { createTestBed } from '../../../src/testing.ts';
import { SlotPressure, type SlotHolder } from '../../../src/workers/waiting/slot-pressure.ts';
import { SLOW_PACE_MS } from '../../../src/workers/waiting/snoozing.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

const SLOTS = 8;
const { patienceMs } = WORKER_DEFAULTS;

/** One that holds slots, and whose update is waited for since `awaitingSinceMs`. */
class Key implements SlotHolder {
  slotsHeld: number;
  awaitingSinceMs: number | undefined;
  lookedAtMs: number[] = [];
  readonly #clock: VirtualClock;

  constructor(clock: VirtualClock, slotsHeld: number, awaitingSinceMs: number | undefined) {
    this.#clock = clock;
    this.slotsHeld = slotsHeld;
    this.awaitingSinceMs = awaitingSinceMs;
  }

  awaitedMs(): number {
    const sinceMs = this.awaitingSinceMs;
    return sinceMs === undefined ? 0 : this.#clock.monotonicMs() - sinceMs;
  }

  lookSoon(): void {
    this.lookedAtMs.push(this.#clock.monotonicMs());
  }
}

describe('a crowd', () => {
  function arrived(slotsHeld: number, awaitingSinceMs: number | undefined) {
    const clock = new VirtualClock();
    const slotPressure = new SlotPressure(clock, () => SLOTS);
    const key = new Key(clock, slotsHeld, awaitingSinceMs);
    slotPressure.grew(key);
    return { clock, slotPressure, key };
  }

  it('is looked at as soon as its update shows to be slow, and once', async () => {
    const { clock, slotPressure, key } = arrived(5, 0);
    slotPressure.grew(key);
    await clock.advance(SLOW_PACE_MS - 1);
    expect(key.lookedAtMs).toEqual([]);
    await clock.advance(100);
    expect(key.lookedAtMs).toEqual([SLOW_PACE_MS]);
  });

  it('is looked at in the same moment if that is known when one more comes', async () => {
    const { clock, slotPressure, key } = arrived(5, 0);
    await clock.advance(20);
    slotPressure.grew(key);
    expect(key.lookedAtMs).toEqual([SLOW_PACE_MS, 20]);
  });

  it('is no crowd with half of the slots', async () => {
    const { clock, key } = arrived(SLOTS / 2, 0);
    await clock.advance(100);
    expect(key.lookedAtMs).toEqual([]);
  });

  it('is left alone while each of its updates is fast', async () => {
    const { clock, key } = arrived(SLOTS, undefined);
    for (let ms = 0; ms < 100; ms++) {
      key.awaitingSinceMs = ms;
      await clock.advance(1);
    }
    expect(key.lookedAtMs).toEqual([]);
    await clock.advance(SLOW_PACE_MS);
    expect(key.lookedAtMs).toHaveLength(1);
  });

  it('is left alone once it has given its slots back', async () => {
    const { clock, key } = arrived(5, undefined);
    key.slotsHeld = 1;
    await clock.advance(SLOW_PACE_MS);
    key.slotsHeld = 5;
    key.awaitingSinceMs = 0;
    await clock.advance(100);
    expect(key.lookedAtMs).toEqual([]);
  });

  it('makes room for the next one, which is watched instead', async () => {
    const { clock, slotPressure, key } = arrived(5, undefined);
    await clock.advance(2);
    key.slotsHeld = 3;
    const other = new Key(clock, 5, 2);
    slotPressure.grew(other);
    await clock.advance(100);
    expect(key.lookedAtMs).toEqual([]);
    expect(other.lookedAtMs).toEqual([2 + SLOW_PACE_MS]);
  });
});

describe('jobs whose first update takes long', () => {
  const endless = defineUpdate({
    name: 'endless',
    key: (key: string) => key,
    initial: () => 0,
    apply: () => new Promise<number>(() => {}),
  });

  /** Milliseconds after which each job gave its slot back the first time, in the order of its lane. */
  async function snoozedMs(jobs: number): Promise<(number | undefined)[]> {
    const bed = createTestBed({
      updates: [endless],
      workers: 1,
      concurrency: SLOTS,
      realWaitMs: 5,
    });
    const ids = [];
    for (let n = 0; n < jobs; n++) ids.push((await bed.enqueue(endless, 'key')).id);
    await bed.advance(2 * patienceMs);
    const snoozed = new Map<string, number>();
    for (const event of bed.events) {
      if (event.type === 'jobSnoozed' && !snoozed.has(event.jobId))
        snoozed.set(event.jobId, event.atMs);
    }
    return ids.map((id) => snoozed.get(id));
  }

  it('give their slots back at once where they hold most of them, all but the next two', async () => {
    const [first, second, ...others] = await snoozedMs(SLOTS);
    expect(first).toBeUndefined();
    expect(second).toBeGreaterThanOrEqual(patienceMs);
    for (const ms of others) expect(ms).toBeLessThan(2 * SLOW_PACE_MS);
  });

  it('keep them for the whole of their patience where others have enough', async () => {
    const [first, ...others] = await snoozedMs(SLOTS / 2);
    expect(first).toBeUndefined();
    for (const ms of others) expect(ms).toBeGreaterThanOrEqual(patienceMs);
  });
});
