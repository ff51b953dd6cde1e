import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeOutcome,
  encodeDecision,
  failureOf,
  type JobOutcome,
} from '../../../src/updates/outcome.ts';

const outcomes: fc.Arbitrary<JobOutcome> = fc.oneof(
  fc.record({
    kind: fc.constant('applied' as const),
    result: fc.oneof(
      fc.constant(''),
      fc.jsonValue().map((value) => JSON.stringify(value)),
    ),
  }),
  fc.record({
    kind: fc.constant('failed' as const),
    code: fc.string(),
    message: fc.string({ unit: 'binary' }),
    cascades: fc.boolean(),
  }),
);

describe('an outcome', () => {
  it('comes back as it was written', () => {
    fc.assert(
      fc.property(outcomes, (outcome) => {
        expect(decodeOutcome(encodeDecision(outcome))).toEqual(outcome);
      }),
    );
  });

  it('is not what only moves a job', () => {
    expect(decodeOutcome(encodeDecision({ kind: 'moved' }))).toBeUndefined();
    expect(decodeOutcome(encodeDecision({ kind: 'withdrawn' }))).toBeUndefined();
    expect(decodeOutcome('')).toBeUndefined();
  });

  it('that is a failure is an error with the same code', () => {
    const failure = failureOf({
      kind: 'failed',
      code: 'JOB_DROPPED',
      message: 'why',
      cascades: false,
    });
    expect(failure).toMatchObject({ code: 'JOB_DROPPED', message: 'why' });
  });
});
