/** `toril replay --step` and `--page`: one key, job by job. */
import { TorilError } from '../../../errors.ts';
import { WholeFile } from '../../../history/recording/whole-file.ts';
import { type KeySteps, stepsOf } from '../../../history/stepping/key-steps.ts';
import { loadUpdates } from '../../flags/load-updates.ts';
import { EXIT } from '../../terminal/exit-codes.ts';
import { interruptible } from '../../terminal/signals.ts';
import { grouped, print } from '../../terminal/terminal.ts';
import { inputOf, STANDARD_INPUT } from '../recording-input.ts';
import { stepPage } from './step-page.ts';
import { stepThrough } from './stepper.ts';

export interface StepFlags {
  readonly updates: string;
  readonly key?: string;
  readonly step?: boolean;
  readonly page?: string;
}

/** Options of `toril replay` that mean nothing here. */
const FOREIGN = [
  ...['former', 'live', 'values', 'json', 'complete', 'allowUnchecked', 'verifyUpdates'],
  'invariants',
];

/** @throws TorilError INVALID_OPTIONS, FILE_NOT_WRITTEN, as `stepsOf` */
export async function stepFile(file: string, flags: StepFlags): Promise<number> {
  const { key, step, page } = flags;
  if (key === undefined) refuse('--step and --page need --key: they show one key');
  const foreign = FOREIGN.find((name) => (flags as unknown as Record<string, unknown>)[name]);
  if (foreign !== undefined) {
    refuse(
      `--step and --page take no --${foreign.replaceAll(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`,
    );
  }
  if (step === true && file === STANDARD_INPUT) {
    refuse('--step takes its commands from standard input, so the recording must be a file');
  }
  const steps = await stepsOf(inputOf(file), await loadUpdates(flags.updates), key);
  if (page !== undefined) {
    const code = await interruptible(async (signal) => {
      await writePage(page, steps);
      signal.throwIfAborted();
      return EXIT.done;
    });
    if (code !== EXIT.done) return code;
  }
  return step === true
    ? stepThrough(steps, { input: process.stdin, output: process.stdout })
    : EXIT.done;
}

async function writePage(file: string, steps: KeySteps): Promise<void> {
  const whole = await WholeFile.begin(file);
  try {
    await whole.write(stepPage(steps));
    await whole.put();
  } catch (thrown) {
    await whole.abandon();
    throw thrown;
  }
  print(`${file}: ${grouped(steps.steps.length)} jobs of ${steps.key}; open it in a browser`);
}

function refuse(what: string): never {
  throw new TorilError('INVALID_OPTIONS', `${what}.`);
}
