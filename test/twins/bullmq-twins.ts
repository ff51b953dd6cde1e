/** Guards of what BullMQ's own calls, and clients that know nothing of Toril, do to jobs and are told of them. */
import type { Twin } from './twin.ts';

const WHY = 'the simulation has no client that knows nothing of lanes';
const SNOOZED = { by: 'test', file: 'test/integration/snoozed-jobs.test.ts', why: WHY } as const;
const PLAIN = { by: 'test', file: 'test/integration/plain-worker.test.ts', why: WHY } as const;
const LATE_COPIES = {
  by: 'test',
  file: 'test/integration/late-copies.test.ts',
  why: 'the simulation plays these scripts, and uses no id twice',
} as const;
const MISSING = { by: 'test', file: 'test/integration/missing-jobs.test.ts', why: WHY } as const;

export const BULLMQ_TWINS: readonly Twin[] = [
  {
    name: 'charged-by-a-late-copy',
    guard:
      'what ends a delivery names it: a late copy of it does nothing to the job’s next one in the same slot, which has the same lock token',
    hunt: { by: 'simulation', from: 29_757, seeds: 1, transactions: true },
    edits: [
      {
        file: 'src/testing/bullmq/delivered-jobs.ts',
        find: '    return delivery === undefined || delivery === this.#records.get(jobId)?.delivery;\n',
        replace:
          '    return delivery === undefined || delivery >= 0 || this.#duplicates.has(jobId);\n',
      },
    ],
  },
  {
    name: 'ended-by-a-late-copy',
    guard: 'the same in BullMQ’s scripts that charge an attempt, fail a job or complete it',
    hunt: LATE_COPIES,
    edits: [
      {
        file: 'src/jobs/bullmq/state/timed.ts',
        find: 'if latest and latest ~= delivery then return ${CODE.lockMissing} end\n',
        replace: '',
      },
    ],
  },
  {
    name: 'completed-by-a-late-copy',
    guard: 'the same in the script that completes many: a new job of the same id is not completed',
    hunt: LATE_COPIES,
    edits: [
      {
        file: 'src/jobs/bullmq/fast-path/finish.ts',
        find: " and (delivery == '' or delivery == job[6])",
        replace: '',
      },
    ],
  },
  {
    name: 'snoozed-unnoted',
    guard: 'the note that a job in the delayed set waits for its turn',
    hunt: SNOOZED,
    edits: [
      {
        file: 'src/jobs/bullmq/state/snoozing/snooze.ts',
        find: "  noteSnoozed(stateOfPriority(job[3]), { redis.call('ZSCORE', delayedSet, jobId), jobId })\n",
        replace: '',
      },
    ],
  },
  {
    name: 'woken-before-it-sleeps',
    guard: 'a job whose lane may go on since it was delivered is not snoozed',
    hunt: {
      by: 'test',
      file: 'test/integration/failing.test.ts',
      why: 'in the simulation a job that is snoozed for nothing is only late',
    },
    edits: [
      {
        file: 'src/jobs/bullmq/state/snoozing/snooze.ts',
        find: "  if job[2] or (job[1] and job[1] ~= '') then return false end\n",
        replace: "  if job[1] and job[1] ~= '' then return false end\n",
      },
    ],
  },
  {
    name: 'snoozed-for-ever',
    guard: 'a job is snoozed only while its score in the delayed set is the one that was noted',
    hunt: SNOOZED,
    edits: [
      {
        file: 'src/jobs/bullmq/state/snoozing/snoozed.ts',
        find: "  if redis.call('ZSCORE', own .. 'snoozed:wait', jobId) == due then return 'wait' end\n",
        replace: "  if redis.call('ZSCORE', own .. 'snoozed:wait', jobId) then return 'wait' end\n",
      },
    ],
  },
  {
    name: 'completed-is-applied',
    guard: 'a lane entry that is completed without an outcome was never applied',
    hunt: PLAIN,
    edits: [
      {
        file: 'src/jobs/redis/scripts/take.ts',
        find: "    local isApplied = result[2] and result[2] ~= ''\n",
        replace: '    local isApplied = true\n',
      },
    ],
  },
  {
    name: 'nobody-looks',
    guard: 'the look at all lanes of a worker that starts',
    hunt: PLAIN,
    edits: [
      {
        file: 'src/workers/worker.ts',
        find: '      this.#core.lookout.begin();\n',
        replace: '',
      },
    ],
  },
  {
    name: 'gone-in-silence',
    guard: 'a lane entry whose job is gone is told',
    hunt: MISSING,
    edits: [
      {
        file: 'src/workers/turn/take.ts',
        find: "  if (gone.length > 0) context.report('jobsMissing', { key, jobIds: gone });\n",
        replace: "  if (gone.length < 0) context.report('jobsMissing', { key, jobIds: gone });\n",
      },
    ],
  },
  {
    name: 'nameless-is-unknown',
    guard: 'a job that is delivered without a name is dropped',
    hunt: MISSING,
    edits: [
      {
        file: 'src/workers/deliveries/intake.ts',
        find: '    if (known === undefined && name === undefined)\n',
        replace: "    if (known === undefined && name === 'none')\n",
      },
    ],
  },
  {
    name: 'standing-for-a-minute',
    guard: 'the look whether the job that a lane waits for is still there',
    hunt: { by: 'test', file: 'test/unit/workers/standing-lanes.test.ts', why: WHY },
    edits: [
      {
        file: 'src/workers/watching/standing-lanes.ts',
        find: "        if (sight === 'released' && !this.#closed) this.#options.visit(key);\n",
        replace: "        if (sight === 'released' && this.#closed) this.#options.visit(key);\n",
      },
    ],
  },
];
