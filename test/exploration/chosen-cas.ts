/**
 * Locks by CAS: their writer chooses a CAS, mostly by chance (src/lock/lock-item.ts). Here the chance is the worker and the
 * number of the owner id that the lock would have by value, so that such a CAS is renamed as an owner id, and never counted
 * among those that the server gives.
 */
import { assert } from '../../src/base/assert.ts';
import { newLock } from '../../src/lock/lock-item.ts';
import type { Cas, NewItem } from '../../src/memcached/server.ts';
import { LEASE_MS } from './worker-plan.ts';

export interface OwnerId {
  readonly worker: string;
  readonly id: number;
}

/** Those who take a crashed worker's place have an x behind the name. */
const NAMES = ['A', 'Ax', 'B', 'Bx', 'C', 'Cx', 'D', 'Dx'];

/** 39 bits of chance, above 24 of the duration. The highest one is set: pauses are drawn from the same fractions. */
const CHANCES = 2 ** 39;
const HALF = CHANCES / 2;
const IDS = 2 ** 20;
const CHOSEN_MIN = 1n << 63n;
const DURATION_BITS = 24n;

/** What chance gives to whoever writes this owner into a lock: at least 0.5, and hardly more. */
export function fractionOf({ worker, id }: OwnerId): number {
  const name = NAMES.indexOf(worker);
  assert(name !== -1 && id > 0 && id < IDS, `an owner id that no CAS can carry: ${worker}-${id}`);
  return (HALF + name * IDS + id) / CHANCES;
}

export function lockByCas(owner: OwnerId): NewItem & { readonly chosenCas: Cas } {
  const random = { fraction: () => fractionOf(owner), id: () => '' };
  const { item } = newLock(random, LEASE_MS, { casByUs: true }, undefined);
  assert(item.chosenCas !== undefined, 'a lock that is not by CAS');
  return { ...item, chosenCas: item.chosenCas };
}

/** Undefined: the server has given it. */
export function ownerByCas(cas: Cas): OwnerId | undefined {
  if (cas < CHOSEN_MIN) return undefined;
  const chance = Number((cas - CHOSEN_MIN) >> DURATION_BITS) - HALF;
  const worker = NAMES[Math.floor(chance / IDS)];
  assert(worker !== undefined, `a CAS that no worker has chosen: ${cas}`);
  return { worker, id: chance % IDS };
}

export function casText(cas: Cas): string {
  const owner = ownerByCas(cas);
  return owner === undefined ? String(cas) : `${owner.worker}-${owner.id}`;
}
