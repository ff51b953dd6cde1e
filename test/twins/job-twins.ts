/** Guards of single jobs: whose attempt is charged, who may be applied together, what is told to whom. */
import { SIMULATED, type Twin } from './twin.ts';

export const JOB_TWINS: readonly Twin[] = [
  {
    name: 'no-held-mark',
    guard: 'the mark of a job that holds its lane, in the commit that says so',
    hunt: { by: 'simulation', from: 4_100, seeds: 20_000 },
    edits: [
      {
        file: 'src/workers/fold/growing-batch.ts',
        find: "    if (isReported) this.#name(entry, encodeDecision({ kind: 'held', message }));\n",
        replace: "    if (!isReported) encodeDecision({ kind: 'held', message });\n",
      },
    ],
  },
  {
    name: 'survived-in-silence',
    guard: 'however a delivery ends: that its process has lived through beginning the job alone',
    hunt: { by: 'simulation', from: 20_300, seeds: 20_000 },
    edits: [
      {
        file: 'src/workers/deliveries/intake.ts',
        find: "    const survived = ending.kind === 'superseded' ? [] : isolatedStarts.survivedOf(job.jobId);\n",
        replace: '    const survived: number[] = [];\n',
      },
    ],
  },
  {
    name: 'retried-in-silence',
    guard:
      'the same where the attempt failed: BullMQ may have taken the job for stalled, and charges nothing',
    hunt: { by: 'simulation', from: 34_600, seeds: 20_000 },
    edits: [
      {
        file: 'src/workers/deliveries/tell.ts',
        find: '      return deliveries.retry(job, thrown, survived);\n',
        replace: '      return deliveries.retry(job, thrown, survived.slice(1e9));\n',
      },
    ],
  },
  {
    name: 'survived-said-once',
    guard:
      'what a process has lived through is said again until Redis has heard it: it may refuse what is told at the end of a delivery',
    hunt: {
      by: 'test',
      file: 'test/unit/workers/isolated-starts.test.ts',
      why: 'Redis would have to refuse it for more than a lease',
    },
    edits: [
      {
        file: 'src/workers/deliveries/intake.ts',
        find: "    if (ending.kind === 'decided') isolatedStarts.forget(job.jobId);\n",
        replace: "    if (ending.kind !== 'superseded') isolatedStarts.forget(job.jobId);\n",
      },
    ],
  },
  {
    name: 'dead-at-once',
    guard:
      'before a job fails for good because processes died of it, those that live have a lease to say so',
    hunt: { by: 'simulation', from: 23_900, seeds: 20_000 },
    edits: [
      {
        file: 'src/workers/fold/fold.ts',
        find: '    if (starts > 1 && starts > stallsMax) {\n',
        replace: '    if (starts < 0) {\n',
      },
    ],
  },
  {
    name: 'noted-though-not-begun',
    guard:
      'a start is noted only if it is to begin: a process that waits for others’ last word may end without having begun the job',
    hunt: { by: 'simulation', from: 79_403, seeds: 1, transactions: true },
    edits: [
      {
        file: 'src/jobs/memory/memory-job.ts',
        find: '  if (!isLate && deaths.length < deathsMax)\n',
        replace: '  if (!isLate && deathsMax >= 0)\n',
      },
    ],
  },
  {
    name: 'survived-said-late',
    guard:
      'a process says that it has lived through a start alone as soon as its lease is over, not when the delivery ends',
    hunt: {
      by: 'test',
      file: 'test/unit/workers/isolated-starts.test.ts',
      why: 'its delivery would have to last for more than a lease beyond the lease',
    },
    edits: [
      {
        file: 'src/workers/turn/turn.ts',
        find: '    turn.tellSurvived();\n',
        replace: '',
      },
    ],
  },
  {
    name: 'begun-too-late',
    guard: 'a strict update begins only while the lease is trusted',
    hunt: {
      by: 'test',
      file: 'test/unit/workers/fold.test.ts',
      why: 'one seed of 100,000 shows it',
    },
    edits: [
      {
        file: 'src/workers/fold/update-calls.ts',
        find: '    return strict && this.#turn.lease.trustLeftMs() <= 0;\n',
        replace: '    return strict && this.#turn.lease.trustLeftMs() < 0;\n',
      },
    ],
  },
  {
    name: 'begun-again-in-silence',
    guard: 'a process that begins a job alone once more has lived through the first time',
    hunt: {
      by: 'test',
      file: 'test/unit/workers/fold.test.ts',
      why: 'only of use if the job was taken for stalled between two batches of one process',
    },
    edits: [
      {
        file: 'src/workers/fold/fold.ts',
        find: '    let starts = await context.lanes.startAlone(jobId, token, survived, stallsMax);\n',
        replace:
          '    let starts = await context.lanes.startAlone(jobId, token, survived.slice(1e9), stallsMax);\n',
      },
    ],
  },
  {
    name: 'stalled-in-company',
    guard: 'a job that stalled before is applied alone',
    hunt: SIMULATED,
    edits: [
      {
        file: 'src/workers/fold/fold.ts',
        find: '    if (entry.stalls > 0) return this.#applyAlone(entry, update);\n',
        replace: '    if (entry.stalls < 0) return this.#applyAlone(entry, update);\n',
      },
    ],
  },
  {
    name: 'charged-in-absence',
    guard: 'only its own delivery uses up an attempt of a job',
    hunt: SIMULATED,
    edits: [
      {
        file: 'src/workers/fold/fold.ts',
        find: "      this.#turn.context.lanes.direct(entry.jobId, 'deliver').catch(() => undefined);\n      return needsDelivery(entry);",
        replace: '      return this.#exhaust(entry, update, thrown);',
      },
    ],
  },
  {
    name: 'called-in-absence',
    guard:
      'a job that has failed where it was not delivered is called by its own delivery only, whoever meets it',
    hunt: {
      by: 'test',
      file: 'test/unit/workers/failing-transactions.test.ts',
      why: 'it costs calls, and breaks no promise',
    },
    edits: [
      {
        file: 'src/workers/fold/fold.ts',
        find: "      this.#turn.context.lanes.direct(entry.jobId, 'deliver').catch(() => undefined);\n",
        replace: '',
      },
    ],
  },
  {
    name: 'charged-twice',
    guard: 'a failure in an attempt that Redis has counted by now is not counted again',
    hunt: {
      by: 'test',
      file: 'test/unit/workers/fold.test.ts',
      why: 'it takes a failure that Redis hears of only after the next take, and a redelivery while that batch is folded',
    },
    edits: [
      {
        file: 'src/workers/fold/fold.ts',
        find: '    if ((arrival.attemptsMade ?? 0) <= attemptsMade) return false;\n',
        replace: '    if ((arrival.attemptsMade ?? 0) >= attemptsMade) return false;\n',
      },
    ],
  },
  {
    name: 'half-changed-value',
    guard: 'the value is made again after an update that changed it and failed',
    hunt: SIMULATED,
    edits: [
      {
        file: 'src/workers/fold/fold.ts',
        find: '    if (isUnchangeable(this.#work.value)) return;\n',
        replace: '    if (isUnchangeable(this.#work.value) || this.#batch.decided >= 0) return;\n',
      },
    ],
  },
  {
    name: 'strict-called-again',
    guard: 'a strict update is not called again only to make a value',
    hunt: SIMULATED,
    edits: [
      {
        file: 'src/workers/fold/fold.ts',
        find: '    this.#work.become(applied.value, entry, !update.strict);\n',
        replace: '    this.#work.become(applied.value, entry, true);\n',
      },
    ],
  },
  {
    name: 'no-cascade',
    guard: 'jobs behind one that cascades fail with it',
    hunt: SIMULATED,
    edits: [
      {
        file: 'src/workers/fold/fold.ts',
        find: '    if (entry.sequence <= this.#start.cascadeTo) return',
        replace: '    if (entry.sequence < 0) return',
      },
    ],
  },
  {
    name: 'closing-goes-on',
    guard: 'a worker that closes begins no further update',
    hunt: {
      by: 'test',
      file: 'test/unit/workers/fold.test.ts',
      why: 'what is begun while a worker closes is right, only late',
    },
    edits: [
      {
        file: 'src/workers/fold/fold.ts',
        find: '    if (from < entries.length && turn.closing()) return this.#ended(CLOSING);\n',
        replace: '',
      },
    ],
  },
];
