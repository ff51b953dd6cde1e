import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import {
  Repeating,
  type RedisRefusal,
  type Standing,
} from '../../../src/jobs/bullmq/backend/repeating.ts';

const HELD = { jobId: '1', token: 'slot', attemptsMade: 0 };
const refused = (): Error => new Error('NOREPLICAS Not enough good replicas to write.');
const missingLock = (): Error => Object.assign(new Error('Missing lock'), { code: -2 });

/** Pauses end at once; `standings`: what is seen of the job, one after the other, `held` at last. */
function stage(...standings: (Standing | Error)[]) {
  const pauses: number[] = [];
  const refusals: RedisRefusal[] = [];
  let nowMs = 0;
  const repeating = new Repeating({
    clock: {
      ...systemClock,
      monotonicMs: () => nowMs,
      after(ms, callback) {
        pauses.push(ms);
        nowMs += ms;
        queueMicrotask(callback);
        return { cancel: () => undefined };
      },
    },
    random: { fraction: () => 1, id: () => 'id' },
    reclaim: async () => {
      const standing = standings.shift() ?? 'held';
      if (standing instanceof Error) throw standing;
      return standing;
    },
    refused: (refusal) => void refusals.push(refusal),
  });
  return { repeating, pauses, refusals };
}

/** Answers so, one after the other. */
function answering(...answers: unknown[]) {
  let calls = 0;
  const act = async (): Promise<unknown> => {
    const answer = answers[Math.min(calls, answers.length - 1)];
    calls += 1;
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return Object.assign(act, { calls: () => calls });
}

describe('a step that Redis refuses', () => {
  it('is repeated until it is done, less and less often, and told once', async () => {
    const { repeating, pauses, refusals } = stage();
    const act = answering(...Array<unknown>(12).fill(refused()), 'done');
    expect(await repeating.untilDone('complete', HELD, act)).toEqual({ done: 'done' });
    expect(act.calls()).toBe(13);
    expect(pauses).toEqual([5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000, 1000]);
    expect(refusals).toMatchObject([
      { jobId: '1', step: 'complete', cause: { code: 'REDIS_FAILED' } },
    ]);
  });

  it('is repeated only once the job is known to be as it was', async () => {
    const { repeating } = stage(refused(), refused(), 'held');
    const act = answering(refused(), 'done');
    expect(await repeating.untilDone('fail', HELD, act)).toEqual({ done: 'done' });
    expect(act.calls()).toBe(2);
  });

  it.each(['finished', 'gone', 'lost'] as const)(
    'is not repeated if the job is %s',
    async (instead) => {
      const { repeating } = stage(instead);
      const act = answering(refused(), 'done twice');
      expect(await repeating.untilDone('snooze', HELD, act)).toEqual({ instead });
      expect(act.calls()).toBe(1);
    },
  );

  it('is given up when the worker closes, and nothing else is done with the job', async () => {
    const { repeating } = stage();
    const act = answering(refused());
    repeating.stop();
    await expect(repeating.untilDone('complete', HELD, act)).rejects.toThrow('not done (complete)');
    const failing = answering('failed');
    await expect(repeating.untilDone('fail', HELD, failing)).rejects.toThrow('not done (fail)');
    expect(failing.calls()).toBe(0);
    expect(await repeating.untilDone('fail', { ...HELD, jobId: '2' }, failing)).toBeDefined();
  });
});

it('what BullMQ itself says against a step is said, not repeated', async () => {
  const { repeating, refusals } = stage();
  const act = answering(missingLock(), 'done');
  await expect(repeating.untilDone('complete', HELD, act)).rejects.toThrow('Missing lock');
  const later = answering(refused(), missingLock());
  await expect(repeating.untilDone('complete', HELD, later)).rejects.toThrow('Missing lock');
  expect(refusals).toHaveLength(1);
});

describe('what is of use only for a while', () => {
  it('is repeated for so long', async () => {
    const { repeating, refusals } = stage();
    const act = answering(refused());
    await expect(repeating.within(30, 'fetch', act)).rejects.toThrow('NOREPLICAS');
    expect(act.calls()).toBe(4); // after 5, 15 and 35 ms
    expect(refusals).toMatchObject([{ jobId: undefined, step: 'fetch' }]);
  });

  it('is not repeated once nobody wants it', async () => {
    const { repeating } = stage();
    const act = answering(refused());
    await expect(repeating.within(30, 'fetch', act, () => false)).rejects.toThrow('NOREPLICAS');
    expect(act.calls()).toBe(1);
  });
});
