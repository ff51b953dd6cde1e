/** Which faults strike when: drawn from the seed alone. Pure. */
import { Dice } from '../simulation/dice.ts';

/** Of `share` in all faults, and for how many milliseconds (least, most; short ones as often as long ones). */
interface FaultSetting {
  readonly share: number;
  readonly ms: readonly [number, number];
}

/** Leases last 1,000 ms here, and requests to memcached 400 ms. */
const FAULTS = {
  'kill worker': { share: 10, ms: [1, 1_500] },
  'freeze worker': { share: 9, ms: [400, 4_000] },
  'replace worker': { share: 2, ms: [1, 500] },
  'kill producer': { share: 3, ms: [1, 1_000] },
  'freeze producer': { share: 2, ms: [200, 2_000] },
  'stock client': { share: 6, ms: [200, 4_000] },
  'second data set': { share: 2, ms: [500, 4_000] },
  'jump worker clock': { share: 4, ms: [50, 5_000] },
  'jump producer clock': { share: 2, ms: [50, 5_000] },
  'restart memcached': { share: 5, ms: [1, 1_500] },
  'flush memcached': { share: 5, ms: [1, 1] },
  'freeze memcached': { share: 4, ms: [100, 1_500] },
  'fill memcached': { share: 3, ms: [300, 2_000] },
  'late memcached': { share: 2, ms: [200, 2_500] },
  'restart redis': { share: 2, ms: [1, 1_000] },
  'freeze redis': { share: 2, ms: [100, 1_000] },
  'promote replica': { share: 1, ms: [1, 600] },
  'flush scripts': { share: 4, ms: [1, 1] },
  'refuse NOREPLICAS': { share: 3, ms: [1, 1_500] },
  'refuse READONLY': { share: 2, ms: [1, 1_500] },
  'refuse MASTERDOWN': { share: 1, ms: [1, 1_000] },
  'refuse OOM': { share: 3, ms: [1, 1_500] },
  'refuse MISCONF': { share: 2, ms: [1, 1_500] },
  'refuse BUSY': { share: 3, ms: [10, 1_000] },
  'cut connections': { share: 7, ms: [1, 1] },
  'cut at a byte': { share: 12, ms: [300, 600] },
  'cut late': { share: 9, ms: [150, 3_000] },
  'half-open': { share: 6, ms: [200, 2_500] },
  'lose replies': { share: 6, ms: [200, 2_500] },
  delay: { share: 6, ms: [300, 3_000] },
  split: { share: 6, ms: [300, 3_000] },
  'partition worker': { share: 6, ms: [200, 3_000] },
  'partition producer': { share: 2, ms: [200, 2_000] },
} as const satisfies Record<string, FaultSetting>;

export type FaultKind = keyof typeof FAULTS;

export const FAULT_KINDS: readonly FaultKind[] = Object.keys(FAULTS) as FaultKind[];

export interface Fault {
  /** After the beginning of its round. */
  readonly atMs: number;
  readonly kind: FaultKind;
  readonly ms: number;
  /** Chooses the target, and what else there is to choose. In [0, 1). */
  readonly target: number;
  readonly whose: number;
  readonly size: number;
}

/** Milliseconds between two faults: 92 a minute. Some find their target under another one, and are left out. */
const GAP_MS = [100, 1_200] as const;

/** @param among only these kinds */
export function drawSchedule(
  seed: number,
  round: number,
  lengthMs: number,
  among: readonly FaultKind[],
): Fault[] {
  const dice = new Dice(seed, `faults of round ${round}`);
  const kinds = among.flatMap((kind) => Array.from({ length: FAULTS[kind].share }, () => kind));
  const faults: Fault[] = [];
  if (kinds.length === 0) return faults;
  for (let atMs = dice.between(...GAP_MS); atMs < lengthMs; atMs += dice.between(...GAP_MS)) {
    const kind = dice.pick(kinds);
    const [least, most] = FAULTS[kind].ms;
    faults.push({
      atMs,
      kind,
      ms: dice.magnitude(least, most),
      target: dice.fraction(),
      whose: dice.fraction(),
      size: dice.fraction(),
    });
  }
  return faults;
}
