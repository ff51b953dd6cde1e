/**
 * What the lock's item holds: an owner, which is an id made for one attempt, and the length of the lease in milliseconds,
 * which tells contenders how long to watch before they take over. There are two forms:
 *
 * - by value: `<owner> <duration>`, in ASCII;
 * - by CAS: an item without value and flags. Both are in its CAS, which its writer has chosen (memcached from 1.6.27 on).
 *   It needs no memory to be renewed or taken over, and who is refused it is told whose it is. But memcached makes it by a
 *   get, and keeps what was made so with the items that may be evicted, however short their life (`temporary_ttl`).
 *
 * Everybody reads both, also by a protocol in which no CAS can be chosen. A lock is taken over in the form that it has: with
 * a new CAS alone, a value would go on naming its old owner.
 */
import { assert } from '../base/assert.ts';
import type { Random } from '../base/random.ts';
import { TorilError } from '../errors.ts';
import type { Cas, Connection, Item, NewItem } from '../memcached/server.ts';
import { isLeaseMs, itemTtlSeconds } from './lease.ts';

/** Marks the item as a lock of Toril, in its first format: "TL", 0, 1. */
export const LOCK_FLAGS = 0x544c_0001;

const PATTERN = /^([0-9a-zA-Z_-]{1,64}) ([1-9][0-9]{0,9})$/;
const OWNER_LENGTH_MAX = 64;
const VALUE_BYTES_MAX = 80;

/** Of a CAS that was chosen: the highest bit, which no counter reaches; 39 bits of chance; the duration. */
const CHOSEN_MIN = 1n << 63n;
const CHANCES = 2 ** 39;
const DURATION_BITS = 24n;
const DURATION_MASK = (1n << DURATION_BITS) - 1n;
const NOTHING = Buffer.alloc(0);

export interface LockContent {
  readonly owner: string;
  readonly durationMs: number;
}

/** A lock as its owner writes it. */
export interface OwnLock {
  readonly item: NewItem;
  /** By value only: by CAS, the CAS says it. */
  readonly id?: string;
}

/** @param takeoverCas that of the lock which it is to replace; undefined: there is none, as far as is known */
export function newLock(
  random: Random,
  durationMs: number,
  { casByUs }: Pick<Connection, 'casByUs'>,
  takeoverCas: Cas | undefined,
): OwnLock {
  if (casByUs && (takeoverCas === undefined || takeoverCas >= CHOSEN_MIN))
    return { item: chosenLock(random, durationMs) };
  const id = random.id();
  return { item: encodeLock(id, durationMs), id };
}

/** What a renewal writes. By CAS another one: one that stays as it is would be taken over under its owner's hands. */
export function renewedLock(lock: OwnLock, random: Random): OwnLock {
  const { chosenCas } = lock.item;
  if (chosenCas === undefined) return lock;
  return { item: chosenLock(random, Number(chosenCas & DURATION_MASK)) };
}

export function ownerOf({ item, id }: OwnLock): string {
  return id ?? ownerByCas(item.chosenCas ?? 0n);
}

/** Whether this very lock is there. */
export function isStanding(lock: OwnLock, item: Item): boolean {
  const { chosenCas } = lock.item;
  if (chosenCas !== undefined) return item.cas === chosenCas;
  return parseLock(item)?.owner === lock.id;
}

function chosenLock(random: Random, durationMs: number): NewItem {
  const chance = BigInt(Math.floor(random.fraction() * CHANCES));
  const chosenCas = CHOSEN_MIN | (chance << DURATION_BITS) | BigInt(durationMs);
  return { value: NOTHING, flags: 0, ttlSeconds: itemTtlSeconds(durationMs), chosenCas };
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

/** Renewed, it has another CAS: to those who watch it, that is another owner. */
function parseChosen(cas: Cas): LockContent | undefined {
  const durationMs = Number(cas & DURATION_MASK);
  if (cas < CHOSEN_MIN || !isLeaseMs(durationMs)) return undefined;
  return { owner: ownerByCas(cas), durationMs };
}

function ownerByCas(cas: Cas): string {
  return `cas-${cas}`;
}

export function foreignLock(lockName: string): TorilError {
  return new TorilError(
    'FOREIGN_VALUE',
    `the item "${lockName}" is not a lock that this version of Toril wrote. Nobody can lock its key until it is deleted.`,
  );
}
