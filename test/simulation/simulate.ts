/** Runs in Node, as fast as it can. */
import { runDraining } from './draining.ts';
import { Run, type RunReport, type RunSettings } from './run.ts';
import { lineOf, type Note } from './trace.ts';

export interface SimulationReport extends RunReport {
  /** What happened, if it is to be told. */
  readonly lines: readonly string[];
}

export interface SimulationSettings extends Omit<RunSettings, 'onNote'> {
  readonly traced?: boolean;
}

export async function runSimulation({
  traced = false,
  ...settings
}: SimulationSettings): Promise<SimulationReport> {
  const lines: string[] = [];
  const onNote = traced ? (note: Note): void => void lines.push(lineOf(note)) : undefined;
  const run = new Run({ ...settings, onNote });
  const unhandled: unknown[] = [];
  const listener = (reason: unknown): void => void unhandled.push(reason);
  process.on('unhandledRejection', listener);
  const { stackTraceLimit } = Error;
  // Stacks are for people, and cost as much as an update.
  if (!traced) Error.stackTraceLimit = 0;
  try {
    await inMacrotask(() => runDraining(run.steps()));
    await nextTurn(); // promises that were rejected and dropped are reported now
  } finally {
    process.off('unhandledRejection', listener);
    Error.stackTraceLimit = stackTraceLimit;
  }
  return { ...run.report(unhandled), lines };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

function inMacrotask(work: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        work();
        resolve();
      } catch (thrown) {
        reject(thrown as Error);
      }
    });
  });
}
