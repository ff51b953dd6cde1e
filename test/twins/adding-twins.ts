/** Guards of what comes in: each call once, each job in one lane, at its end, and none removed that was applied. */
import type { Twin } from './twin.ts';

const NOT_SIMULATED = "it is a script's, or BullMQ's part, which the simulation plays";

export const ADDING_TWINS: readonly Twin[] = [
  {
    name: 'resent-call',
    guard: 'a call that comes again is answered, not carried out again',
    hunt: { by: 'test', file: 'test/integration/adding-once.test.ts', why: NOT_SIMULATED },
    edits: [
      {
        file: 'src/jobs/bullmq/state/add.ts',
        find: '  if past == number then return answer end\n',
        replace: '',
      },
    ],
  },
  {
    name: 'overtaken-call',
    guard: 'a call that was overtaken does nothing',
    hunt: { by: 'test', file: 'test/integration/adding-once.test.ts', why: NOT_SIMULATED },
    edits: [
      {
        file: 'src/jobs/bullmq/state/add.ts',
        find: "if tonumber(number) < newest then return 'old' end\n",
        replace: '',
      },
    ],
  },
  {
    name: 'late-call',
    guard: 'a call does nothing any more once it was given up',
    hunt: { by: 'test', file: 'test/integration/adding-once.test.ts', why: NOT_SIMULATED },
    edits: [
      {
        file: 'src/jobs/bullmq/state/add.ts',
        find: 'if leftMs < 0 or leftMs',
        replace: 'if leftMs',
      },
    ],
  },
  {
    name: 'old-place',
    guard: 'a job whose id was in the lane before enters at its end',
    hunt: { by: 'test', file: 'test/integration/adding.test.ts', why: NOT_SIMULATED },
    edits: [
      {
        file: 'src/jobs/bullmq/state/add.ts',
        find: "call('ZADD', own .. 'lane:' .. lane, sequence, jobId)",
        replace: "call('ZADD', own .. 'lane:' .. lane, 'NX', sequence, jobId)",
      },
    ],
  },
  {
    name: 'two-lanes',
    guard: 'a job that has entered a lane enters no other one',
    hunt: { by: 'test', file: 'test/conformance/lanes.test.ts', why: NOT_SIMULATED },
    edits: [
      {
        file: 'src/jobs/redis/scripts/take.ts',
        find: 'not isElsewhere and ',
        replace: '',
      },
    ],
  },
  {
    name: 'key-of-today',
    guard: 'a delivered job goes to the lane that it has entered, not to that of its key',
    hunt: { by: 'test', file: 'test/integration/kept-lanes.test.ts', why: NOT_SIMULATED },
    edits: [
      {
        file: 'src/workers/deliveries/intake.ts',
        find: "if (lane !== '') return this.#arrive(",
        replace: "if (lane === '?') return this.#arrive(",
      },
    ],
  },
  {
    name: 'removed-in-hand',
    guard: 'a job that a batch has in hand is not removed',
    hunt: { by: 'test', file: 'test/integration/kept-lanes.test.ts', why: NOT_SIMULATED },
    edits: [
      {
        file: 'src/jobs/bullmq/state/remove.ts',
        find: '  return nowMicros - tonumber(at)',
        replace: '  return tonumber(at)',
      },
    ],
  },
  {
    name: 'former-outcome',
    guard: 'a new job is not told the outcome of the former one of its id',
    hunt: { by: 'test', file: 'test/conformance/lanes.test.ts', why: NOT_SIMULATED },
    edits: [
      {
        file: 'src/jobs/redis/scripts/acknowledge.ts',
        find: 'job[1] and (not job[3] or job[3] == key)',
        replace: 'job[1]',
      },
    ],
  },
  {
    name: 'former-settlement',
    guard: 'a delivered job is not settled with the outcome of the former one of its id',
    hunt: { by: 'test', file: 'test/conformance/lanes.test.ts', why: NOT_SIMULATED },
    edits: [
      {
        file: 'src/jobs/redis/scripts/acknowledge.ts',
        find: "return #jobIds == decided and '1' or '2'",
        replace: "return jobIds and '1'",
      },
    ],
  },
];
