import { expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { RedisTime } from '../../../src/redis/redis-time.ts';

const HOUR_MS = 3_600_000;

function stage() {
  const now = { wallMs: 0, monotonicMs: 0 };
  const time = new RedisTime({
    ...systemClock,
    wallMs: () => now.wallMs,
    monotonicMs: () => now.monotonicMs,
  });
  return { now, time };
}

test('before anything is known of it, it is taken for the time here', () => {
  const { time } = stage();
  expect(time.wallOf(1_000)).toBe(1_000);
});

test.each([HOUR_MS, -HOUR_MS, 0])(
  'a wall clock that is %d ms ahead shows another time then',
  (aheadMs) => {
    const { now, time } = stage();
    now.wallMs = 10_000_000 + aheadMs;
    time.learn(10_000_000);
    expect(time.wallOf(10_000_500)).toBe(10_000_500 + aheadMs);
  },
);

test('it goes on by the monotonic clock, wherever the wall clock jumps', () => {
  const { now, time } = stage();
  now.wallMs = 10_000_000;
  time.learn(10_000_000);
  now.monotonicMs = 300;
  now.wallMs = 10_000_300 - HOUR_MS;
  expect(time.wallOf(10_000_500)).toBe(now.wallMs + 200);
});

test('an answer that tells no time teaches nothing', () => {
  const { now, time } = stage();
  now.wallMs = 5_000;
  time.learn(7_000);
  time.learn(Number.NaN);
  time.learn(0);
  expect(time.wallOf(7_000)).toBe(5_000);
});
