/** The assertions as matchers, for `expect.extend` of vitest and jest. */
import type { TestBed } from '../bed.ts';
import { ExpectationError, VacuousExpectationError } from './expectation-error.ts';
import {
  expectExactlyOnce,
  expectInOrder,
  expectInvariants,
  expectSequentialFold,
  expectValue,
} from './expectations.ts';
import type { JobRef } from '../views.ts';

/** For the types: `declare module 'vitest' { interface Matchers<T> extends TorilMatchers<T> {} }`. */
export interface TorilMatchers<R = unknown> {
  /** `expectInOrder(bed, key)`. */
  toBeInOrder(key?: string): R;
  /** `expectExactlyOnce(bed, jobs)`. */
  toBeExactlyOnce(jobs?: readonly JobRef[]): R;
  /** `expectValue(bed, key, expected)`. */
  toHoldValue(key: string, expected: unknown): R;
  /** `expectInvariants(bed)`. */
  toHoldInvariants(): R;
  /** `expectSequentialFold(bed, key)`; to be awaited. */
  toMatchSequentialFold(key?: string): Promise<void>;
}

/** What vitest and jest expect of a matcher. */
export interface MatcherResult {
  readonly pass: boolean;
  readonly message: () => string;
  readonly actual?: unknown;
  readonly expected?: unknown;
}

const PASSED: MatcherResult = {
  pass: true,
  message: () => 'expected this not to hold for the test bed, but it does',
};

/** `expect.extend(torilMatchers)`, then `expect(bed).toBeInOrder('account:ada')`. */
export const torilMatchers: {
  toBeInOrder(bed: TestBed, key?: string): MatcherResult;
  toBeExactlyOnce(bed: TestBed, jobs?: readonly JobRef[]): MatcherResult;
  toHoldValue(bed: TestBed, key: string, expected: unknown): MatcherResult;
  toHoldInvariants(bed: TestBed): MatcherResult;
  toMatchSequentialFold(bed: TestBed, key?: string): Promise<MatcherResult>;
} = {
  toBeInOrder: (bed, key) => verdict(() => expectInOrder(bed, key)),
  toBeExactlyOnce: (bed, jobs) => verdict(() => expectExactlyOnce(bed, jobs)),
  toHoldValue: (bed, key, expected) => verdict(() => expectValue(bed, key, expected)),
  toHoldInvariants: (bed) => verdict(() => expectInvariants(bed)),
  async toMatchSequentialFold(bed, key) {
    try {
      await expectSequentialFold(bed, key);
      return PASSED;
    } catch (thrown) {
      return failed(thrown);
    }
  },
};

function verdict(expectation: () => void): MatcherResult {
  try {
    expectation();
    return PASSED;
  } catch (thrown) {
    return failed(thrown);
  }
}

function failed(thrown: unknown): MatcherResult {
  // `.not` must not pass for it.
  if (!(thrown instanceof ExpectationError) || thrown instanceof VacuousExpectationError)
    throw thrown;
  const { message, actual, expected } = thrown;
  return { pass: false, message: () => message, actual, expected };
}
