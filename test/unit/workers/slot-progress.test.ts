import { beforeEach, describe, expect, it } from 'vitest';
import { SlotProgress } from '../../../src/workers/health/slot-progress.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

describe('how long the same jobs have had all slots', () => {
  let clock: VirtualClock;
  let [taken, ended] = [0, 0];
  let slots: SlotProgress;
  beforeEach(() => {
    clock = new VirtualClock();
    [taken, ended] = [2, 0];
    slots = new SlotProgress({ clock, count: () => 2, taken: () => taken, ended: () => ended });
  });

  it('grows from the first look on', async () => {
    await clock.advance(500);
    expect(slots.takenMs()).toBe(0);
    await clock.advance(500);
    expect(slots.takenMs()).toBe(500);
    await clock.advance(500);
    expect(slots.takenMs()).toBe(1_000);
  });

  it('begins anew when a delivery has ended, though all slots are taken whenever one looks', async () => {
    slots.takenMs();
    await clock.advance(500);
    ended++;
    expect(slots.takenMs()).toBe(0);
    await clock.advance(300);
    expect(slots.takenMs()).toBe(300);
  });

  it('is nothing while a slot is free', async () => {
    slots.takenMs();
    taken = 1;
    await clock.advance(500);
    expect(slots.takenMs()).toBe(0);
    await clock.advance(500);
    expect(slots.takenMs()).toBe(0);
    taken = 2;
    expect(slots.takenMs()).toBe(0);
    await clock.advance(500);
    expect(slots.takenMs()).toBe(500);
  });
});
