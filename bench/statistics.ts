/** Numbers about numbers. */

export interface Spread {
  readonly min: number;
  readonly max: number;
}

/** @param samples not empty */
export function median(samples: readonly number[]): number {
  const sorted = ascending(samples);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

/** @param samples not empty */
export function spread(samples: readonly number[]): Spread {
  if (samples.length === 0) throw new RangeError('no samples');
  return { min: Math.min(...samples), max: Math.max(...samples) };
}

/**
 * The smallest sample that at least `percent` of all samples do not exceed (nearest rank).
 * @param samples not empty
 */
export function percentile(samples: readonly number[], percent: number): number {
  const sorted = ascending(samples);
  const rank = Math.max(1, Math.ceil((percent / 100) * sorted.length));
  return sorted[rank - 1] as number;
}

function ascending(samples: readonly number[]): number[] {
  if (samples.length === 0) throw new RangeError('no samples');
  return samples.toSorted((a, b) => a - b);
}
