/** The flags of `toril worker` that say what is recorded. */
import type { Command } from 'commander';
import { WORKER_DEFAULTS, type TorilWorkerOptions } from '../../options.ts';
import { wholeNumber } from './flags.ts';

export interface HistoryFlags {
  /** True: without names. */
  readonly history?: true | string;
  readonly historyLengthMax: number;
  readonly historyAgeMs: number;
  readonly historyValueMax: number;
  readonly checkpointEvery: number;
}

export function addHistoryFlags(command: Command): Command {
  return command
    .option(
      '--history [names]',
      'record what is committed, for toril record: all of it, or what has jobs of these updates (a,b,c)',
    )
    .option(
      '--history-length-max <n>',
      'commits that the history keeps, about',
      wholeNumber(1, 1_000_000_000),
      WORKER_DEFAULTS.historyLengthMax,
    )
    .option(
      '--history-age-ms <ms>',
      'how long it keeps them, about; 0: for ever',
      wholeNumber(0, 1_000_000_000_000),
      WORKER_DEFAULTS.historyAgeMs,
    )
    .option(
      '--history-value-max <n>',
      'characters up to which a value is recorded in full with every commit',
      wholeNumber(0, 1_000_000),
      WORKER_DEFAULTS.historyValueMax,
    )
    .option(
      '--checkpoint-every <n>',
      'commits of a key after which its value is recorded in full',
      wholeNumber(1, 1_000_000),
      WORKER_DEFAULTS.checkpointEvery,
    );
}

export function historyOptions(flags: HistoryFlags): Pick<TorilWorkerOptions, keyof HistoryFlags> {
  const { history, historyLengthMax, historyAgeMs, historyValueMax, checkpointEvery } = flags;
  return {
    history: history === undefined ? 'off' : namesOf(history),
    historyLengthMax,
    historyAgeMs,
    historyValueMax,
    checkpointEvery,
  };
}

function namesOf(flag: true | string): TorilWorkerOptions['history'] {
  return flag === true ? 'on' : flag.split(',').map((name) => name.trim());
}
