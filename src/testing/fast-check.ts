/**
 * `toril/testing/fast-check`: random commands and faults against a test bed, and the fewest that still show what is wrong.
 * Needs the package fast-check (3 or 4).
 * @module toril/testing/fast-check
 */
import type { Arbitrary, AsyncCommand, IAsyncPropertyWithHooks } from 'fast-check';
import type { AnyUpdate } from '../updates/update.ts';
import { createTestBed, type TestBed } from './bed.ts';
import type { TestBedOptions } from './bed-options.ts';
import {
  type BedCommand,
  commandsOf,
  FAULT_NAMES,
  type FaultName,
  type JobArbitraries,
  type JobArbitrary,
} from './property/commands.ts';
import { commandLists } from './property/command-list.ts';
import { BedModel } from './property/model.ts';
import { fc } from './property/peer.ts';
import { expectSettled, settle } from './property/settle.ts';

export { type CrashedRun, everyCrash } from './every-crash.ts';
export type { BedCommand, FaultName, JobArbitraries, JobArbitrary } from './property/commands.ts';
export type { BedModel, ModelJob } from './property/model.ts';

export interface BedCommandsOptions<Updates extends readonly AnyUpdate[] = readonly AnyUpdate[]> {
  /** What may be enqueued. */
  readonly jobs: JobArbitraries<Updates>;
  /** Faults that may happen; default: all. An empty list: none. */
  readonly faults?: readonly FaultName[];
}

export interface BedPropertyOptions<Updates extends readonly AnyUpdate[] = readonly AnyUpdate[]>
  extends BedCommandsOptions<Updates> {
  /** Options of the beds, or what makes one: a new one for each run. */
  readonly bed: TestBedOptions | (() => TestBed);
  /** Commands of your own beside those of the bed. */
  readonly commands?: readonly Arbitrary<BedCommand>[];
  /** Commands per run, at most; default 30. */
  readonly maxCommands?: number;
  /** Whatever else must be so when the bed is settled. */
  readonly check?: (bed: TestBed, model: BedModel) => void | Promise<void>;
}

const COMMANDS_MAX = 30;

/**
 * Enqueueing, waiting and faults, for `fc.commands`: run them by `runBedCommands`.
 * @throws RangeError no jobs, or a fault that there is not
 */
export function bedCommands<const Updates extends readonly AnyUpdate[]>({
  jobs,
  faults = FAULT_NAMES,
}: BedCommandsOptions<Updates>): Arbitrary<BedCommand>[] {
  if (jobs.length === 0)
    throw new RangeError('bedCommands: jobs is empty, so nothing would happen.');
  const unknown = faults.find((name) => !FAULT_NAMES.includes(name));
  if (unknown !== undefined) {
    throw new RangeError(`bedCommands: there is no fault "${unknown}": ${FAULT_NAMES.join(', ')}.`);
  }
  return commandsOf(jobs as readonly JobArbitrary[], faults);
}

/**
 * Runs the commands on the bed, lets everything come to its end, and looks at it: jobs in order and exactly once, no job failed
 * that had no reason to, each value the sequential fold of its jobs, invariants.
 * @throws ExpectationError; whatever a command throws
 */
export async function runBedCommands(
  bed: TestBed,
  commands: Iterable<AsyncCommand<BedModel, TestBed>>,
): Promise<BedModel> {
  const model = new BedModel(bed.keepsCopies);
  await fc.asyncModelRun(() => ({ model, real: bed }), commands);
  await settle(model, bed);
  await expectSettled(model, bed);
  return model;
}

/**
 * The property that no commands and faults make a bed wrong: `await fc.assert(bedProperty({ ... }))`.
 * @throws RangeError as bedCommands
 */
export function bedProperty<const Updates extends readonly AnyUpdate[]>(
  options: BedPropertyOptions<Updates>,
): IAsyncPropertyWithHooks<[Iterable<BedCommand>]> {
  const { bed: making, commands: own = [], maxCommands = COMMANDS_MAX, check } = options;
  const all = [...bedCommands(options), ...own];
  return fc.asyncProperty(commandLists(all, maxCommands), async (commands) => {
    const bed = typeof making === 'function' ? making() : createTestBed(making);
    const model = await runBedCommands(bed, commands);
    await check?.(bed, model);
  });
}
