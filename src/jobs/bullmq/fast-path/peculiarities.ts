/** Why a worker's jobs are completed and fetched one by one, by BullMQ's own scripts. */
import type { WorkerOptions } from 'bullmq';
import type { FastPath } from '../../../options.ts';
import { installedBullMQ, isKnownBullMQ } from '../state/known-bullmq.ts';
import { TRIED_VERSIONS } from '../state/layout.ts';

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

const ONE_BY_ONE =
  'jobs are completed and fetched one by one, by the scripts of BullMQ: for each job these cost Redis three times, and the worker twice as much';

/** What it costs that a worker's fast path is off. */
export function fastPathOff(reasons: readonly Peculiarity[]): FastPathOff {
  const { version: bullmq, changed } = installedBullMQ();
  if (!reasons.includes('bullmq-version')) return { reasons, bullmq, costs: `${ONE_BY_ONE}.` };
  const unknown = `BullMQ ${bullmq} has other scripts (${changed.join(', ')}) than ${TRIED_VERSIONS.join(' or ')}, with which Toril was tried, so nothing that it keeps is written but by its own`;
  return {
    ...{ reasons, bullmq },
    costs: `${unknown}: ${ONE_BY_ONE}; jobs of a slow key are delivered, and snoozed, one by one; delays go by the clocks of workers and producers, not of Redis; deliveries that end in snoozing count for rate limits. What is applied stays exact.`,
  };
}
