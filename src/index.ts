/** What users of Toril import: queues and workers, updates and cells, readers and locks. @module toril */
export type { Cells, CellState } from './cells/cells.ts';
export { ERROR_CODES, type ErrorCode, TorilError } from './errors.ts';
export type {
  Act,
  ActEnd,
  AuditedAct,
  AuditPage,
  AuditRequest,
  AuditTrail,
} from './jobs/audit-trail.ts';
export { LaneHandle } from './jobs/lane-handle.ts';
export type {
  LaneCommit,
  LaneCounts,
  LaneHead,
  LaneJobReport,
  LanePage,
  LanePast,
  LaneReport,
  LanesRequest,
  LaneState,
  LaneSummary,
  RefusedCommit,
  RefusedCommits,
} from './jobs/reports/lane-report.ts';
export type { LaneFirst } from './jobs/reports/lane-report.ts';
export { type JobAction, type LaneAction, type Why, why } from './jobs/reports/why.ts';
export {
  type CheckedCall,
  checkDeterminism,
  type DeterminismFinding,
} from './updates/calling/check-determinism.ts';
export type {
  History,
  HistoryEntry,
  HistoryJob,
  HistoryPage,
  HistoryRequest,
  Origin,
} from './history/history.ts';
export { Queue } from './jobs/queue.ts';
export { type Enqueue, type EnqueuedBulk, type QueueOptions } from './jobs/queue-options.ts';
export type { SnapshotValue } from './jobs/snapshot.ts';
export { record, type Recordable, type RecordOptions } from './history/record.ts';
export type {
  RecordedCommit,
  RecordedJob,
  RecordedOutcome,
  RecordingEnd,
  RecordingHeader,
} from './history/recording/recording.ts';
export { writeRecording } from './history/recording/file.ts';
export type { Mask, MaskedJob } from './history/recording/mask.ts';
export type { FieldDifference } from './history/compare/fields.ts';
export { compare, type CompareOptions, type CompareReport } from './history/compare/compare.ts';
export type { FieldReport, JobPlace, UpdateReport } from './history/compare/tally.ts';
export { shrink, type ShrinkOptions, type Shrunk } from './history/cutting/shrink.ts';
export { slice, type SliceOptions } from './history/cutting/slice.ts';
export type { RecordedLines, RecordingInput } from './history/recording/input.ts';
export {
  type AnyInvariant,
  defineInvariant,
  type Invariant,
  type InvariantAnswer,
  type InvariantJob,
  type InvariantStep,
  type InvariantTotal,
  type TotalFacts,
} from './history/invariants/invariant.ts';
export type {
  BrokenInvariant,
  InvariantPlace,
  InvariantReport,
} from './history/invariants/report.ts';
export { replay } from './history/replay/replay.ts';
export { type ReplayOptions } from './history/replay/replay-options.ts';
export type { Obstacle } from './history/replay/commit.ts';
export type { ReadCell } from './history/replay/live.ts';
export type { OnJob, ReplayedJob } from './history/replay/jobs/replayed-job.ts';
export type {
  CommitPlace,
  CommittedValue,
  Difference,
  FailureExample,
  FailuresReport,
  Gap,
  JointBefore,
  KeyReport,
  KnownValue,
  LiveVerdict,
  NotLookedAt,
  ReplayReport,
  ResultExample,
  ResultsReport,
  UncheckedCounts,
  UncheckedReason,
  UntriedReason,
} from './history/replay/report.ts';
export type { JsonProblem } from './updates/values/json-type.ts';
export type { JobOutcome } from './updates/outcome.ts';
export type { JointLines } from './history/recording/joint-lines.ts';
export type { JointValues } from './updates/calling/joint-updates.ts';
export type { ApplyFacts } from './updates/calling/update-context.ts';
export type { Updates } from './updates/updates-of.ts';
export {
  type CellDefinition,
  type CellSettings,
  type CellTransactionSettings,
  type CellUpdateSettings,
  defineCell,
  type InJson,
} from './updates/cell-definition.ts';
export {
  defineTransaction,
  type Transaction,
  type TransactionContext,
  type TransactionSettings,
} from './updates/transaction.ts';
export {
  type AnyUpdate,
  DELETE_CELL,
  defineUpdate,
  type InputOf,
  type OnBlocked,
  type OnExhausted,
  type OnFailure,
  type ResultOf,
  type Update,
  type UpdateContext,
  type UpdateSettings,
} from './updates/update.ts';
export { UncommittedError, type WriteFate } from './lock/strict/lease-session.ts';
export type { HeldKey, HeldKeys } from './lock/strict/held-keys.ts';
export type { ForMany, ForOne, Locks, WithLeaseOptions } from './lock/strict/with-lease.ts';
export type { MemjsClient } from './memcached/memjs-settings.ts';
export type { MemcachedSetting, MemcachedSettings } from './memcached/options.ts';
export {
  type CopiesOptions,
  type OpenCells,
  openCells,
  type OpenCellsOptions,
  openLocks,
  type OpenLocksOptions,
} from './open.ts';
export { type FastPath, WORKER_DEFAULTS, type TorilWorkerOptions } from './options.ts';
export type { KeyEvents, WorkerEventName, WorkerEvents } from './workers/worker-events.ts';
export { noProcessor, type UncalledProcessor } from './workers/uncalled-processor.ts';
export type { FastPathOff, Peculiarity } from './jobs/bullmq/fast-path/peculiarities.ts';
export type { RedisRefusal, SettlingStep } from './jobs/bullmq/backend/repeating.ts';
export { Worker, type TorilListener } from './workers/worker.ts';
export type { WorkerOptions } from './workers/worker-options.ts';
export type { HealthOptions, HealthProblem, WorkerHealth } from './workers/health/health.ts';
export type { CellStanding } from './workers/inspecting/cell-standing.ts';
export {
  type InspectedLane,
  LaneInspector,
  openInspector,
} from './workers/inspecting/inspector.ts';
export type { LockSight } from './workers/inspecting/lock-sight.ts';
export type { WorkerStatus } from './workers/worker-status.ts';
export type { ServerStatus } from './workers/starting/server-state.ts';
