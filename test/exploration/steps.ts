/** What can happen, as one number: its kind, and whom it concerns. */
import type { Manner } from './memcached-states.ts';

const KINDS = [
  // Without faults
  'executes',
  'hears the answer',
  'hears of the closing',
  'calls',
  'hears the reply',
  'ends its pause',
  'ends its work',
  'restarts at last',
  // Faults
  'is cut off',
  'lands late',
  'lease passes',
  'all leases pass',
  'renewal is due',
  'times out',
  'crashes',
  'finds no room',
  'cell is evicted',
  'lock is evicted',
  'restarts',
  'executes by an old CAS',
] as const;
export type Kind = (typeof KINDS)[number];
const NUMBER = Object.fromEntries(KINDS.map((kind, index) => [kind, index])) as Record<
  Kind,
  number
>;
const WHO_MAX = 16;

export function transition(kind: Kind, who: number): number {
  return NUMBER[kind] * WHO_MAX + who;
}

/** It happens by itself, sooner or later. All others may happen or not. */
export function isDue(step: number): boolean {
  const kind = kindOf(step);
  return KINDS.indexOf(kind) < KINDS.indexOf('is cut off') || kind === 'all leases pass';
}

export function kindOf(step: number): Kind {
  return KINDS[Math.floor(step / WHO_MAX)] as Kind;
}

export function whoOf(step: number): number {
  return step % WHO_MAX;
}

/** How memcached executes a request. */
export function mannerOf(kind: Kind): Manner {
  if (kind === 'finds no room') return 'without room';
  return kind === 'executes by an old CAS' ? 'by an old CAS' : 'as it is';
}
