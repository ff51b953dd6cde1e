/** Guards towards BullMQ's side of Redis: what it refuses, whose clock counts, what its limits count. */
import type { Hunt, Twin } from './twin.ts';

const WHY =
  'the simulated BullMQ has neither refusals of single steps nor clocks and limits of its own';

function testedBy(file: string): Hunt {
  return { by: 'test', file, why: WHY };
}

export const REDIS_TWINS: readonly Twin[] = [
  {
    name: 'refusal-is-a-failure',
    guard: 'what is decided of a job is said to Redis until it takes it',
    hunt: testedBy('test/unit/jobs/repeating.test.ts'),
    edits: [
      {
        file: 'src/jobs/bullmq/backend/repeating.ts',
        find: '    if (!isRefusal(thrown)) throw thrown;\n    const { jobId } = held;\n',
        replace: '    if (isRefusal(thrown)) throw thrown;\n    const { jobId } = held;\n',
      },
    ],
  },
  {
    name: 'repeated-blindly',
    guard:
      'before a step is repeated, the job is put back where a script that was stopped half-way found it',
    hunt: testedBy('test/unit/jobs/repeating.test.ts'),
    edits: [
      {
        file: 'src/jobs/bullmq/backend/repeating.ts',
        find: "        if (standing !== 'held') return { instead: standing };\n",
        replace: "        if (standing === 'gone') return { instead: standing };\n",
      },
    ],
  },
  {
    name: 'failed-after-giving-up',
    guard: 'a job whose completion was given up is not said to have failed',
    hunt: testedBy('test/unit/jobs/repeating.test.ts'),
    edits: [
      {
        file: 'src/jobs/bullmq/backend/repeating.ts',
        find: '    this.#givenUp.add(jobId);\n',
        replace: '',
      },
    ],
  },
  {
    name: 'clock-of-the-worker',
    guard: "the time that BullMQ's scripts are told is Redis's",
    hunt: testedBy('test/integration/wrong-clocks.test.ts'),
    edits: [
      {
        file: 'src/jobs/bullmq/state/timed.ts',
        find: '    lua: `${NOW_MS_LUA}ARGV[${at}] = nowMs\n',
        replace: '    lua: `${NOW_MS_LUA}nowMs = ARGV[${at}]\n',
      },
    ],
  },
  {
    name: 'clock-of-the-producer',
    guard: "a delayed job is due by Redis's clock",
    hunt: testedBy('test/integration/wrong-clocks.test.ts'),
    edits: [
      {
        file: 'src/jobs/bullmq/state/add.ts',
        find: '  timeless = facts and facts.fromNow and args[1]\n',
        replace: '',
      },
    ],
  },
  {
    name: 'locks-by-the-wall-clock',
    guard: 'locks are renewed by the monotonic clock',
    hunt: testedBy('test/integration/wrong-clocks.test.ts'),
    edits: [
      {
        file: 'src/jobs/bullmq/state/lock-renewal.ts',
        find: '    const nowMs = systemClock.monotonicMs();\n',
        replace:
          '    const nowMs = systemClock.monotonicMs() + Date.now() - performance.timeOrigin - performance.now();\n',
      },
    ],
  },
  {
    name: 'limit-of-completions',
    guard: "while the queue's rate or concurrency is limited, only delivered jobs are applied",
    hunt: testedBy('test/integration/limits.test.ts'),
    edits: [
      {
        file: 'src/jobs/redis/scripts/take.ts',
        find: '(queue[1] or queue[2] or queue[3])',
        replace: 'queue[1]',
      },
    ],
  },
  {
    name: 'limit-used-up-by-snoozing',
    guard: 'a delivery that ends in snoozing is taken off the rate limit',
    hunt: testedBy('test/integration/limits.test.ts'),
    edits: [
      {
        file: 'src/jobs/bullmq/state/snoozing/snooze.ts',
        find: "  if startedMs + 1 >= beganMs then redis.call('DECR', limiter) end\n",
        replace: '',
      },
    ],
  },
  {
    name: 'fetched-again',
    guard: 'jobs fetched ahead wait for the slots that are about to ask for them',
    hunt: testedBy('test/unit/jobs/slot-filler.test.ts'),
    edits: [
      {
        file: 'src/jobs/bullmq/fast-path/slot-filler.ts',
        find: '      if (!isLate && expects(token)) continue;\n',
        replace: '      if (isLate && expects(token)) continue;\n',
      },
    ],
  },
];
