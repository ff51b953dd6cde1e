import { describe, expect, it } from 'vitest';
import { pause } from '../../../src/base/clock.ts';
import { ProcessClock, VirtualClock } from '../../support/virtual-clock.ts';

describe('a virtual clock', () => {
  it('runs timers in the order in which they are due, then in which they were set', async () => {
    const clock = new VirtualClock();
    const order: string[] = [];
    const note = (name: string) => () => void order.push(`${name}@${clock.monotonicMs()}`);
    clock.after(20, note('late'));
    clock.after(10, note('first'));
    clock.after(10, note('second'));
    clock.after(10, note('cancelled')).cancel();
    for (const ms of [7, 3, 9, 1, 8, 2]) clock.after(ms, note('n'));
    await clock.advance(10);
    expect(order.join(' ')).toBe('n@1 n@2 n@3 n@7 n@8 n@9 first@10 second@10');
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(10);
    expect(order.at(-1)).toBe('late@20');
  });

  it('lets everything happen that a timer sets off before the next timer', async () => {
    const clock = new VirtualClock();
    const order: string[] = [];
    clock.after(1, () => {
      clock.soon(() => {
        void pause(clock, 0).then(() => clock.soon(() => void order.push('consequence')));
      });
    });
    clock.after(2, () => void order.push('next'));
    await clock.advance(2);
    expect(order).toEqual(['consequence', 'next']);
  });

  it('moves until a promise settles, and no further', async () => {
    const clock = new VirtualClock();
    clock.after(100, () => {});
    await clock.until(pause(clock, 30));
    expect(clock.monotonicMs()).toBe(30);
    await expect(clock.until(new Promise(() => {}))).rejects.toThrow('pending');
  });

  it('leaps without running anything', async () => {
    const clock = new VirtualClock();
    let ranAt = -1;
    clock.after(10, () => {
      ranAt = clock.monotonicMs();
    });
    clock.leap(50);
    await clock.settle();
    expect(ranAt).toBe(-1);
    await clock.advance(0);
    expect(ranAt).toBe(50);
  });

  it('keeps wall time apart', () => {
    const clock = new VirtualClock();
    const before = clock.wallMs();
    clock.moveWall(-5000);
    expect(clock.wallMs()).toBe(before - 5000);
    expect(clock.monotonicMs()).toBe(0);
  });
});

describe("a process's clock", () => {
  it('runs at its own rate', async () => {
    const base = new VirtualClock();
    const fast = new ProcessClock(base, 2);
    let ran = 0;
    fast.after(10, () => ran++);
    await base.advance(4);
    expect([ran, fast.monotonicMs()]).toEqual([0, 8]);
    await base.advance(1);
    expect(ran).toBe(1);
  });

  it('holds everything back while it is frozen, though its time passes', async () => {
    const base = new VirtualClock();
    const clock = new ProcessClock(base);
    const order: string[] = [];
    clock.after(10, () => void order.push('timer'));
    clock.freeze();
    clock.soon(() => void order.push('moment'));
    await base.advance(20);
    expect(order).toEqual([]);
    expect(clock.monotonicMs()).toBe(20);
    clock.thaw();
    await base.settle();
    expect(order).toEqual(['moment', 'timer']);
  });
});
