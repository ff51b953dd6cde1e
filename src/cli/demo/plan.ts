/** The demo's jobs: the same for the same seed. Pure. */
import { seededFraction } from '../../base/random.ts';
import type { DemoJob } from './demo-updates.ts';

/** The first key is the hot one. */
const HOT_SHARE = 0.2;
const AMOUNT_MAX = 1_000_000;

export interface PlanOptions {
  readonly jobs: number;
  readonly keys: number;
  readonly seed: string;
  /** Of all keys: names of this run. */
  readonly prefix: string;
}

export interface Plan {
  readonly keys: readonly string[];
  /** In the order in which they are added. The last ones are one for each key. */
  readonly jobs: readonly DemoJob[];
}

/** @param options `jobs` >= `keys` */
export function makePlan(options: PlanOptions): Plan {
  const { seed, prefix } = options;
  const fraction = seededFraction(seed);
  const keys = Array.from({ length: options.keys }, (_, index) => `${prefix}${index}`);
  const random = options.jobs - keys.length;
  const jobs = Array.from({ length: options.jobs }, (_, number): DemoJob => {
    const index = number < random ? pick(fraction, keys.length) : number - random;
    return {
      key: keys[index] as string,
      number,
      amount: Math.floor(fraction() * AMOUNT_MAX),
    };
  });
  return { keys, jobs };
}

function pick(fraction: () => number, keys: number): number {
  if (keys === 1 || fraction() < HOT_SHARE) return 0;
  return 1 + Math.floor(fraction() * (keys - 1));
}
