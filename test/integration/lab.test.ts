/** `npm run lab`, small: what people saw in 2012, and that Toril does not. */
import { expect, test } from 'vitest';
import { withLab } from '../../bench/lab/lab.ts';
import { runTrial, type TrialSettings } from '../../bench/lab/trial.ts';

const SMALL: Omit<TrialSettings, 'scheme'> = {
  ...{ clients: 10, situation: 'calm', updates: 300, hosts: 2 },
};
/** Every client waits for its own answer, which on a busy machine takes long. */
const DEADLINE_MS = 240_000;
const RIGHT = { lost: 0, doubled: 0, reordered: 0, done: 300, wedged: false };

test(
  'with 10 clients, looking for a lock and then setting it loses updates; Toril loses none',
  async () => {
    await withLab(async (lab) => {
      const naive = await runTrial(lab, { ...SMALL, scheme: 'check-then-set' });
      expect(naive.done).toBe(300); // every client believes that all went well
      expect(naive.lost).toBeGreaterThan(0);

      const ours = await runTrial(lab, { ...SMALL, scheme: 'toril' });
      expect(ours).toMatchObject(RIGHT);
    });
  },
  DEADLINE_MS,
);

test(
  'when holders die, an add lock stands still and Toril goes on without a wrong value',
  async () => {
    await withLab(async (lab) => {
      const crash = { ...SMALL, situation: 'crash' } as const;
      const spinning = await runTrial(lab, { ...crash, scheme: 'add-spin' });
      // The first one is killed at once, holding: nobody gets in before its lock has expired.
      expect(spinning.standstillSeconds).toBeGreaterThan(0.5);

      const ours = await runTrial(lab, { ...crash, scheme: 'toril' });
      expect(ours).toMatchObject(RIGHT);
    });
  },
  DEADLINE_MS,
);
