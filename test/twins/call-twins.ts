/** Guards around the calls of users' code: whose context, whose fault, whose failure. */
import type { Hunt, Twin } from './twin.ts';

const byTest = (file: string, why: string): Hunt => ({ by: 'test', file, why });
const FOLD = 'test/unit/workers/fold.test.ts';
const CALLING = 'test/integration/calling-updates.test.ts';
const THROWING = 'test/integration/throwing.test.ts';
const BLOCKING = 'in virtual time no update keeps its process from running';
const NO_BULLMQ = 'BullMQ itself is in neither';

export const CALL_TWINS: readonly Twin[] = [
  {
    name: 'asynchronous-blocking-unseen',
    guard: 'an asynchronous update that blocks its process behind an await is noted',
    hunt: byTest(FOLD, BLOCKING),
    edits: [
      {
        file: 'src/workers/fold/update-calls.ts',
        find: '    this.#blockedMs = Math.max(this.#blockedMs, nowMs - sinceMs);\n',
        replace: '    this.#blockedMs = Math.max(this.#blockedMs, Math.min(0, nowMs - sinceMs));\n',
      },
    ],
  },
  {
    name: 'suspects-together',
    guard: 'of several updates that may have blocked the process, one is called at a time',
    hunt: byTest(FOLD, BLOCKING),
    edits: [
      {
        file: 'src/workers/fold/update-calls.ts',
        find: '    this.#isSuspect = this.#pulse.enterAlone(this);\n',
        replace: '    this.#isSuspect = this.#pulse.enterAlone(this) || true;\n',
      },
    ],
  },
  {
    name: 'others-under-suspicion',
    guard: 'an update that was seen to block the process clears all others',
    hunt: byTest(FOLD, BLOCKING),
    edits: [
      {
        file: 'src/workers/fold/pulse.ts',
        find: '    this.explainedMs = untilMs;\n',
        replace: '    this.explainedMs = Math.min(this.explainedMs, untilMs);\n',
      },
    ],
  },
  {
    name: 'no-fresh-batch',
    guard: 'a job before which no value can be made again begins a batch',
    hunt: byTest(FOLD, 'their updates do the same each time'),
    edits: [
      {
        file: 'src/workers/fold/fold.ts',
        find: '    if (isFirst === true && batch.decided > 0) return COMMIT;\n',
        replace: '    if (isFirst === true && batch.decided < 0) return COMMIT;\n',
      },
    ],
  },
  {
    name: 'context-of-a-neighbour',
    guard: "an update is called in its own job's asynchronous context",
    hunt: byTest(CALLING, NO_BULLMQ),
    edits: [
      {
        file: 'src/workers/fold/update-calls.ts',
        find: '    if (scope !== undefined) return scope.runInAsyncScope(call);\n',
        replace: '    if (scope === null) return call();\n',
      },
    ],
  },
  {
    name: 'combiner-in-a-jobs-context',
    guard: 'what outlasts a job does not run in its asynchronous context',
    hunt: byTest(CALLING, NO_BULLMQ),
    edits: [
      {
        file: 'src/workers/gate/gate.ts',
        find: '    else this.#root.runInAsyncScope(() => this.#arrive(key, arrival));\n',
        replace: '    else this.#arrive(key, arrival);\n    void this.#root;\n',
      },
    ],
  },
  {
    name: 'cancelled-is-called',
    guard: 'the update of a job that was cancelled while it waited is not called',
    hunt: byTest(CALLING, NO_BULLMQ),
    edits: [
      {
        file: 'src/workers/fold/fold.ts',
        find: '    const refused = tooLarge ?? memory.worker.cancellations.errorFor(entry.jobId);\n',
        replace: '    const refused = tooLarge;\n',
      },
    ],
  },
  {
    name: 'limit-is-a-failure',
    guard: 'an update that meets a rate limit uses up no attempt',
    hunt: byTest(THROWING, NO_BULLMQ),
    edits: [
      {
        file: 'src/workers/fold/fold.ts',
        find: "    if (control === 'rate-limit') {\n",
        replace: "    if (control === 'rate-limit' && this.#batch.decided < 0) {\n",
      },
    ],
  },
  {
    name: 'telemetry-throws',
    guard: 'telemetry that throws has no job fail that is in its value',
    hunt: byTest(CALLING, NO_BULLMQ),
    edits: [
      {
        file: 'src/workers/worker.ts',
        find: '    const telemetry = bull.telemetry && tolerantTelemetry(bull.telemetry, tellError);\n',
        replace: '    const telemetry = bull.telemetry;\n    void tolerantTelemetry;\n',
      },
    ],
  },
];
