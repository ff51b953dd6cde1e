/** One scenario with a crash at every moment that it goes through. */
import type { TestBed } from './bed.ts';
import { VacuousExpectationError } from './assertions/expectation-error.ts';
import { WORKER_MOMENTS, type WorkerMoment } from './faults/tripwires.ts';

export interface CrashedRun {
  readonly moment: WorkerMoment;
  /** How often the moment had come by then, that time included. */
  readonly nth: number;
}

/**
 * Runs the scenario without a crash, and then once for each time that a worker comes to one of WORKER_MOMENTS in it: there
 * it is killed. A scenario enqueues, runs the bed, and says what must be so then. It must do the same each time.
 * @param makeBed makes a new one, always alike
 * @returns the runs with a crash
 * @throws VacuousExpectationError no worker ever came to one of the moments, or the scenario goes another way each time
 * @throws whatever the scenario throws; the message begins with the moment
 */
export async function everyCrash(
  makeBed: () => TestBed,
  scenario: (bed: TestBed) => void | Promise<void>,
): Promise<CrashedRun[]> {
  const calm = makeBed();
  await told('without a crash', () => scenario(calm));
  const { reached } = calm.fault;
  const runs = WORKER_MOMENTS.flatMap((moment) =>
    Array.from(
      { length: reached[moment] },
      (_, before): CrashedRun => ({ moment, nth: before + 1 }),
    ),
  );
  if (runs.length === 0) {
    throw new VacuousExpectationError(
      'this would show nothing: in this scenario no worker takes a job. It must enqueue and run the bed (await bed.drain()).',
    );
  }
  for (const { moment, nth } of runs) {
    const bed = makeBed();
    bed.fault.crashWorker(undefined, moment, nth);
    const when = `with a crash ${moment}${nth === 1 ? '' : `, the ${nth}th time`}`;
    await told(when, () => scenario(bed));
    if (bed.fault.armed.length === 0) continue;
    throw new VacuousExpectationError(
      `${when}: this would show nothing, since that moment did not come again. The scenario must do the same each time, and run the bed to its end.`,
    );
  }
  return runs;
}

async function told(when: string, run: () => void | Promise<void>): Promise<void> {
  try {
    await run();
  } catch (thrown) {
    if (thrown instanceof Error) thrown.message = `${when}: ${thrown.message}`;
    throw thrown;
  }
}
