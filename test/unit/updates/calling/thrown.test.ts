import { runInNewContext } from 'node:vm';
import {
  DelayedError,
  RateLimitError,
  UnrecoverableError,
  WaitingChildrenError,
  WaitingError,
} from 'bullmq';
import { describe, expect, it } from 'vitest';
import { isError, messageOf, nameOf, stackOf, TorilError } from '../../../../src/errors.ts';
import { codeOf, controlOf, errorOf } from '../../../../src/updates/calling/thrown.ts';
import { isFinal } from '../../../../src/workers/fold/fold-errors.ts';
import { forGood, forThisAttempt, thrownOf } from '../../../../src/jobs/bullmq/told-failures.ts';
import { hostileThings } from '../../../support/hostile.ts';

describe('whatever is thrown', () => {
  it.each(Object.entries(hostileThings))('%s: can be described, and told to BullMQ', (_, make) => {
    const thrown = make();
    expect(typeof messageOf(thrown)).toBe('string');
    const error = errorOf(thrown, 'u');
    expect(error).toBeInstanceOf(Error);
    expect(typeof error.message).toBe('string');
    expect(controlOf(error)).toBeUndefined();
    expect(isFinal(error)).toBe(false);
    expect(codeOf(error).length).toBeLessThanOrEqual(100);
    for (const told of [forGood(error), forThisAttempt(error)]) {
      expect(thrownOf(told)).toBe(error);
      expect(JSON.stringify([told.message, told.name, told.stack]).length).toBeLessThan(600_000);
    }
  });

  it('stays the very error if it can be read', () => {
    class ShopError extends Error {
      override readonly name = 'ShopError';
      readonly code = 'SOLD_OUT';
    }
    const circle: Error & { self?: Error } = new Error('circle');
    circle.self = circle;
    circle.cause = circle;
    const foreign = runInNewContext('new RangeError("of another realm")') as Error;
    const frozen = Object.freeze(new Error('frozen'));
    const aborted = new DOMException('by the user', 'AbortError');
    for (const error of [new ShopError('no'), circle, foreign, frozen, aborted])
      expect(errorOf(error, 'u')).toBe(error);
  });

  it('is known elsewhere by its code, or else by its name', () => {
    expect(codeOf(new TorilError('UPDATE_TIMED_OUT', 'late'))).toBe('UPDATE_TIMED_OUT');
    expect(codeOf(Object.assign(new Error('no'), { code: 'SOLD_OUT' }))).toBe('SOLD_OUT');
    expect(codeOf(Object.assign(new RangeError('no'), { code: 7 }))).toBe('RangeError');
  });

  it('has a cause if it had to become another one', () => {
    const odd = Object.defineProperty(new Error(), 'stack', { value: { not: 'a text' } });
    expect(errorOf(odd, 'u')).toMatchObject({ code: 'UPDATE_THREW', cause: odd });
    expect(errorOf(undefined, 'u').message).toContain('threw undefined');
    expect(stackOf(odd)).toBeUndefined();
    expect(nameOf(Object.defineProperty(new Error(), 'name', { value: 7 }))).toBe('Error');
    expect(isError('words')).toBe(false);
  });
});

describe("BullMQ's own errors", () => {
  /** As they come from another copy of BullMQ. */
  const named = (name: string): Error => Object.assign(new Error('of another copy'), { name });
  class Exhausted extends UnrecoverableError {}

  it.each([
    [new RateLimitError(), 'rate-limit'],
    [new Error('bullmq:rateLimitExceeded'), 'rate-limit'],
    [named('RateLimitError'), 'rate-limit'],
    [new UnrecoverableError('no'), 'unrecoverable'],
    [named('UnrecoverableError'), 'unrecoverable'],
    [new Exhausted('no'), 'unrecoverable'],
    [new DelayedError(), 'moved'],
    [new WaitingError(), 'moved'],
    [new WaitingChildrenError(), 'moved'],
    [named('WaitingChildrenError'), 'moved'],
    [new Error('an ordinary one'), undefined],
    [named('toString'), undefined],
    [new TorilError('UPDATE_TIMED_OUT', 'late'), undefined],
  ])('%s means %s', (error, control) => {
    expect(controlOf(error)).toBe(control);
    expect(isFinal(error)).toBe(control === 'unrecoverable');
  });
});
