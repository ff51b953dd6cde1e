/**
 * What the simulation has found. Each seed failed before the change, and is run in every test run. A
 * seed means something only as long as options.ts draws what it drew: whoever changes the draws
 * looks for new ones, by taking the change back: most of these are broken twins (docs/twins.md).
 * 20,900 and 1,309 failed before producers were simulated, and have not been found anew.
 */
export interface Found {
  readonly seed: number;
  readonly promise: string;
  readonly cause: string;
  readonly change: string;
}

export const FOUND: readonly Found[] = [
  {
    seed: 20_900,
    promise: 'P5',
    cause:
      'a holder whose lock was evicted drew a newer token than its successor for its next batch, and ran a strict update with it',
    change: 'turn.ts closes the cell to others for each strict batch, not once per lease',
  },
  {
    seed: 1_498,
    promise: 'P3',
    cause:
      'a job that holds its lane was reported as failed without a commit; another holder, who had taken the lane before, applied it',
    change: 'turn.ts commits first, even if the value stays as it is',
  },
  {
    seed: 4_194,
    promise: 'P3',
    cause:
      'the next holder applied it before BullMQ had noted the failure: what depends on the outside world may succeed there',
    change: 'fold.ts and acknowledge.ts mark the job as held in the same commit',
  },
  {
    seed: 1_309,
    promise: 'P7',
    cause:
      'a process gave a job back that it had applied alone; another one died of something else, and the job was told that it kills its processes',
    change: 'settling-backend.ts notes in the same script that a job was given back',
  },
  {
    seed: 3_602,
    promise: 'P7',
    cause:
      'a process that had lived through applying a job alone gave it back only once its combiner had ended, and so without saying that; its next death was put down to the job',
    change:
      'isolated-starts.ts remembers such jobs for the whole process, until they are given back',
  },
  {
    seed: 8,
    promise: 'P3',
    cause:
      'a strict update was called again, only to make the value anew that a later job of its batch had spoilt',
    change: 'fold.ts keeps the value behind each strict update',
  },
  {
    seed: 18_223,
    promise: 'P7',
    cause:
      'a process had lived through applying a job alone, but could not say so when it gave the job back: BullMQ had taken that for stalled, and its lock was gone',
    change: 'settling-backend.ts says it by a script of its own, whoever has the job by now',
  },
  {
    seed: 22_344,
    promise: 'P7',
    cause: 'the same, with two processes',
    change: 'the same',
  },
  {
    seed: 28_748,
    promise: 'P7',
    cause:
      'a job that was begun alone, and failed, was taken for stalled each time before its process could say so, which then said nothing: five starts counted as five deaths',
    change:
      'isolated-starts.ts and intake.ts: whoever begins a job once more, or says how its delivery ended, says which starts it has lived through',
  },
  {
    seed: 31_512,
    promise: 'P6',
    cause:
      'a worker closed, and gave a job back, while its commit was acknowledged: the job that came into its slot in the same step lay there until its lock ran out',
    change: 'slots.ts gives back what nobody has asked for, also what came with a commit',
  },
  {
    seed: 10_610,
    promise: 'P7',
    cause:
      'Redis refused what a process said at the end of a delivery, that it had lived through beginning the job alone. The job was back before that was said again, and the process began it without a word',
    change: 'isolated-starts.ts says it each time, until Redis has heard it',
  },
  ...[23_962, 24_704, 50_732, 94_460].map((seed) => ({
    seed,
    promise: 'P7',
    cause:
      "stallsMax 1: a living process lost the lease and a job's lock at one moment, and another one took the job for its killer before it could speak",
    change:
      'last-word.ts waits a lease before that is said for good; turn-state.ts speaks as soon as the lease is over',
  })),
  {
    seed: 65_956,
    promise: 'P1',
    cause:
      "the auditor's: memcached lost a cell between its being closed for a strict update and the update's begin",
    change: 'cell-watch.ts takes such a cell for open',
  },
];
