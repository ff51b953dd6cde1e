/** Guards of the fast path: nothing that was fetched for a slot is left to nobody. */
import type { Twin } from './twin.ts';

export const FAST_PATH_TWINS: readonly Twin[] = [
  {
    name: 'kept-ahead',
    guard: 'jobs that were fetched ahead, and that no slot asks for, go back',
    hunt: { by: 'simulation', from: 90, seeds: 20_000 },
    edits: [
      {
        file: 'src/jobs/bullmq/fast-path/slot-filler.ts',
        find: 'this.#options.giveBack(String(job?.[1]), token).catch(() => undefined);',
        replace: 'Promise.resolve(job?.[1]).catch(() => undefined);',
      },
    ],
  },
  {
    name: 'closed-before-given-back',
    guard: 'a worker that closes waits for what is on its way back',
    hunt: { by: 'simulation', from: 2_000, seeds: 20_000 },
    edits: [
      {
        file: 'src/jobs/bullmq/fast-path/slot-filler.ts',
        find: '    await Promise.allSettled(this.#goingBack);\n',
        replace: '',
      },
    ],
  },
  {
    name: 'unasked-for',
    guard:
      'what came into a slot with a commit, and was not asked for, goes back when the worker closes',
    hunt: { by: 'simulation', from: 31_500, seeds: 20_000 },
    edits: [
      {
        file: 'src/jobs/bullmq/fast-path/slots.ts',
        find: '    return this.#filler.settled(this.#finisher?.takeUnasked());\n',
        replace: '    return this.#filler.settled();\n',
      },
    ],
  },
];
