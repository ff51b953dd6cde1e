/** What the tests of Toril's users import: nothing of it needs a server, BullMQ or ioredis. @module toril/testing */
export { type BedEnqueue, createTestBed, type TestBed } from './testing/bed.ts';
export { type CrashedRun, everyCrash } from './testing/every-crash.ts';
export type { BedFaults, FaultTarget } from './testing/faults/bed-faults.ts';
export type { Recordable } from './history/record.ts';
export type { MemoryJobState } from './jobs/memory/memory-job.ts';
export type { RecordingSource } from './testing/bed-start.ts';
export type { DelayReason } from './testing/bullmq/job-record.ts';
export type { TestBedOptions } from './testing/bed-options.ts';
export {
  ExpectationError,
  VacuousExpectationError,
} from './testing/assertions/expectation-error.ts';
export {
  expectExactlyOnce,
  expectInOrder,
  expectInvariants,
  expectSequentialFold,
  expectValue,
} from './testing/assertions/expectations.ts';
export { expectAgrees } from './testing/assertions/expect-agrees.ts';
export { type ExpectedJob, expectEnqueued } from './testing/assertions/expect-enqueued.ts';
export type {
  Backoff,
  BackoffStrategy,
  BedDeduplication,
  BedJobOptions,
} from './testing/bullmq/job-options.ts';
export {
  type MatcherResult,
  type TorilMatchers,
  torilMatchers,
} from './testing/assertions/matchers.ts';
export { WORKER_MOMENTS, type WorkerMoment } from './testing/faults/tripwires.ts';
export type { BedEvent, JobHandle, JobRef, JobView } from './testing/views.ts';
