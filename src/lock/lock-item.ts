/**
 * What the lock's item holds: `<owner> <duration>`, in ASCII. The owner is an id made for one
 * attempt; the duration, in milliseconds, tells contenders how long to watch before they take over.
 *
 * There is a second form, which this version reads and does not write: an item without a value, whose CAS its writer
 * has chosen (the meta flag E, memcached from 1.6.27 on). It needs no memory to be renewed or taken over. A version
 * that writes it may come once all that run understand it.
 */
import { assert } from '../base/assert.ts';
import { TorilError } from '../errors.ts';
import type { Cas, Item, NewItem } from '../memcached/server.ts';
import { isLeaseMs, itemTtlSeconds } from './lease.ts';

/** Marks the item as a lock of Toril, in its first format: "TL", 0, 1. */
export const LOCK_FLAGS = 0x544c_0001;

const PATTERN = /^([0-9a-zA-Z_-]{1,64}) ([1-9][0-9]{0,9})$/;
const OWNER_LENGTH_MAX = 64;
const VALUE_BYTES_MAX = 80;

/** Of a CAS that was chosen: the highest bit, which no counter reaches; 39 bits of chance; the duration. */
const CHOSEN_MIN = 1n << 63n;
const DURATION_MASK = (1n << 24n) - 1n;

export interface LockContent {
  readonly owner: string;
  readonly durationMs: number;
}

export function encodeLock(owner: string, durationMs: number): NewItem {
  const text = `${owner} ${durationMs}`;
  // Stored all the same, it would be a foreign value to everybody, for good.
  if (!isOwner(owner) || !isLeaseMs(durationMs)) assert(false, `a lock that says "${text}"`);
  return {
    value: Buffer.from(text, 'latin1'),
    flags: LOCK_FLAGS,
    ttlSeconds: itemTtlSeconds(durationMs),
  };
}

/** As PATTERN has it: the regular expression took 0.5 µs of every attempt. */
function isOwner(owner: string): boolean {
  for (let index = 0; index < owner.length; index++) {
    if (!isOwnerCode(owner.charCodeAt(index))) return false;
  }
  return owner.length > 0 && owner.length <= OWNER_LENGTH_MAX;
}

/** One of 0-9, A-Z, _, a-z and -. */
function isOwnerCode(code: number): boolean {
  if (code >= 0x61) return code <= 0x7a;
  if (code >= 0x41) return code <= 0x5a || code === 0x5f;
  return code === 0x2d || (code >= 0x30 && code <= 0x39);
}

/** Undefined: somebody else stored this. */
export function parseLock(item: Item): LockContent | undefined {
  if (item.flags === 0 && item.value.length === 0) return parseChosen(item.cas);
  if (item.flags !== LOCK_FLAGS || item.value.length > VALUE_BYTES_MAX) return undefined;
  const match = PATTERN.exec(item.value.toString('latin1'));
  const [, owner, digits] = match ?? [];
  if (owner === undefined || digits === undefined) return undefined;
  const durationMs = Number(digits);
  return isLeaseMs(durationMs) ? { owner, durationMs } : undefined;
}

/** Renewed, it has another CAS: to those who watch it, that is another owner, too. */
function parseChosen(cas: Cas): LockContent | undefined {
  const durationMs = Number(cas & DURATION_MASK);
  if (cas < CHOSEN_MIN || !isLeaseMs(durationMs)) return undefined;
  return { owner: `cas-${cas}`, durationMs };
}

export function foreignLock(lockName: string): TorilError {
  return new TorilError(
    'FOREIGN_VALUE',
    `the item "${lockName}" is not a lock that this version of Toril wrote. Nobody can lock its key until it is deleted.`,
  );
}
