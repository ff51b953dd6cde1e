/** `npm run chaos`, a minute of it. That its auditor sees is shown by test/unit/chaos/auditor.test.ts. */
import { expect, test } from 'vitest';
import { violationsText } from './report.ts';
import { runChaos } from './run.ts';
import { FAULT_KINDS } from './schedule.ts';

const MINUTES = 1;
/** Faults, the drain and its limit, and a machine that has other things to do. */
const DEADLINE_MS = 300_000;

test(
  'every promise is kept through a minute of chaos',
  async () => {
    const seed = 1;
    const run = await runChaos({
      minutes: MINUTES,
      seed,
      protocol: 'mixed',
      faults: FAULT_KINDS,
      say: () => undefined,
    });
    const { violations, figures, history, artefacts } = run;
    const told = `${violationsText(violations, history)}\nhistory and logs: ${artefacts}`;
    expect(violations, told).toEqual([]);
    // It was chaos, and there was something to lose.
    expect(figures.faultsPerMinute).toBeGreaterThanOrEqual(50);
    expect(figures.completed).toBeGreaterThan(300);
    expect(figures.transfers).toBeGreaterThan(20);
    expect(figures.restores).toBeGreaterThan(0);
    expect(figures.takeovers + figures.recoveredCommits + figures.lostLeases).toBeGreaterThan(0);
  },
  DEADLINE_MS,
);
