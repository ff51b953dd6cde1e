/** What can be chosen on the page, and the part of an address that names it. */
import type { FaultKind } from '../../test/simulation/faults.ts';
import { FAULTS, GUARDS } from './words.ts';

export const FAULT_KINDS = Object.keys(FAULTS) as FaultKind[];

export interface Setup {
  readonly seed: number;
  /** The guard that is switched off; undefined: all are on. */
  readonly guard?: string | undefined;
  /** The kinds of faults that strike; none: those that the seed draws. */
  readonly faults: readonly FaultKind[];
  /** With jobs of several keys. */
  readonly severalKeys: boolean;
}

/** As the part of an address behind the `#`. */
export function linkOf({ seed, guard, faults, severalKeys }: Setup): string {
  const fields = new URLSearchParams({ seed: String(seed) });
  if (guard !== undefined) fields.set('off', guard);
  if (faults.length > 0) fields.set('faults', faults.join(','));
  if (severalKeys) fields.set('keys', 'several');
  return fields.toString();
}

/** Undefined: it names no run. What it names that is not there any more is left out. */
export function setupOf(link: string): Setup | undefined {
  const fields = new URLSearchParams(link);
  const seed = Number(fields.get('seed') ?? Number.NaN);
  if (!Number.isSafeInteger(seed) || seed < 0) return undefined;
  const guard = fields.get('off') ?? '';
  const named = new Set(fields.get('faults')?.split(','));
  return {
    seed,
    guard: Object.hasOwn(GUARDS, guard) ? guard : undefined,
    faults: FAULT_KINDS.filter((kind) => named.has(kind)),
    severalKeys: fields.get('keys') === 'several',
  };
}

/** Undefined: faults were picked, which the command line cannot. */
export function commandOf({ seed, guard, faults, severalKeys }: Setup): string | undefined {
  if (faults.length > 0) return undefined;
  const off = guard === undefined ? '' : ` --canary "${guard}"`;
  return `npm run sim -- --seed ${seed} --trace${off}${severalKeys ? ' --transactions' : ''}`;
}
