/** Why a worker's jobs are completed and fetched one by one, by BullMQ's own scripts. */
import type { WorkerOptions } from 'bullmq';
import type { FastPath } from '../../../options.ts';
import {
  costsOfUnknown,
  installedBullMQ,
  isKnownBullMQ,
  ONE_BY_ONE,
} from '../state/known-bullmq.ts';

/** `option`: its user wants it so; `no-worker`: it is a queue's backend. */
export type Peculiarity = 'option' | 'limiter' | 'metrics' | 'bullmq-version' | 'no-worker';

/** What keeps the scripts here from doing what BullMQ's do. */
export function peculiaritiesOf(
  { limiter, metrics, lockDuration }: Partial<WorkerOptions>,
  fastPath: FastPath,
): Peculiarity[] {
  const reasons: Peculiarity[] = [];
  if (fastPath === 'off') reasons.push('option');
  if (limiter !== undefined) reasons.push('limiter');
  if (metrics !== undefined) reasons.push('metrics');
  if (!isKnownBullMQ()) reasons.push('bullmq-version');
  if (lockDuration === undefined) reasons.push('no-worker');
  return reasons;
}

export interface FastPathOff {
  readonly reasons: readonly Peculiarity[];
  /** The version of BullMQ; '' if it does not say. */
  readonly bullmq: string;
  /** For people. */
  readonly costs: string;
}

/** What it costs that a worker's fast path is off. */
export function fastPathOff(reasons: readonly Peculiarity[]): FastPathOff {
  const { version: bullmq } = installedBullMQ();
  const isUnknown = reasons.includes('bullmq-version');
  return { reasons, bullmq, costs: isUnknown ? costsOfUnknown() : `${ONE_BY_ONE}.` };
}
