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
    name: 'no-given-back-mark',
    guard: 'the mark of a job that was given back by the process that applied it alone',
    hunt: SIMULATED,
    edits: [
      {
        file: 'src/workers/gate/combiner.ts',
        find: '      survivedStart: this.#memory.isolatedStarts.takeOut(jobId),\n',
        replace: '      survivedStart: false,\n',
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
        find: '      this.#turn.memory.note(entry.jobId, { isSuspect: true }); // only its own delivery may be charged\n      return needsDelivery(entry);',
        replace: '      return this.#exhaust(entry, update, thrown);',
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
