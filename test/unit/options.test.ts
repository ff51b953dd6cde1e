import { describe, expect, it } from 'vitest';
import {
  fastPathOf,
  WORKER_DEFAULTS,
  checkedWorkerOptions,
  queueCloseMsOf,
} from '../../src/options.ts';

const DEADLINE_MS = 1_000;

describe('the options of a gate', () => {
  it('have defaults that agree with each other', () => {
    expect(checkedWorkerOptions({}, DEADLINE_MS)).toEqual(WORKER_DEFAULTS);
    expect(checkedWorkerOptions({ leaseMs: undefined as never }, DEADLINE_MS)).toEqual(
      WORKER_DEFAULTS,
    );
  });

  it.each(
    Object.entries(WORKER_DEFAULTS)
      .filter(([, value]) => typeof value === 'number')
      .map(([name]) => [name]),
  )('%s is a whole number within limits', (name) => {
    for (const value of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, '5', null, 1e15]) {
      expect(() => checkedWorkerOptions({ [name]: value }, DEADLINE_MS)).toThrow(
        new RegExp(`^${name} must be a whole number from`),
      );
    }
  });

  it.each([
    [{ leaseMs: 1_000 }, /leaseMs \(1000\) must be longer than .* requestDeadlineMs \(1000\)/],
    [
      { patienceMs: 100, snoozeMsMax: 50 },
      /patienceMs \(100\) must not be longer than snoozeMsMax \(50\)/,
    ],
    [{ durableCopies: 1 as never }, /durableCopies must be true or false, not 1/],
  ])('name both that contradict each other: %j', (options, message) => {
    expect(() => checkedWorkerOptions(options, DEADLINE_MS)).toThrow(message);
  });
});

describe('how long a closing queue waits', () => {
  it('has a default, and limits', () => {
    expect(queueCloseMsOf(undefined)).toBe(5_000);
    expect(queueCloseMsOf(0)).toBe(0);
  });

  it.each([-1, 0.5, Number.NaN, '5', 4_000_000])('is refused if it is %j', (given) => {
    expect(() => queueCloseMsOf(given as number)).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTIONS',
        message: expect.stringContaining('closeMs'),
      }),
    );
  });
});

describe('the fast path', () => {
  it('is on unless it is switched off', () => {
    expect([undefined, 'auto', 'off'].map((given) => fastPathOf(given))).toEqual([
      'auto',
      'auto',
      'off',
    ]);
  });

  it.each(['on', true, null, 1])('is refused if it is %j', (given) => {
    expect(() => fastPathOf(given)).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTIONS',
        message: expect.stringContaining('fastPath'),
      }),
    );
  });
});
