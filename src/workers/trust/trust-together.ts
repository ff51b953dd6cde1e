/**
 * Settling all keys together that a forgotten commit of several keys has changed: if one of them alone were settled from its
 * cell, it would have half a transaction.
 */
import { decodeItem, type Envelope } from '../../cells/envelope.ts';
import type { TorilError } from '../../errors.ts';
import { checkKey } from '../../key.ts';
import { cellName } from '../../memcached/item-names.ts';
import { type TrustContext, trustCells, trustCopy } from './trust.ts';
import { type TrustEnd, trustEndText } from './trust-end.ts';
import { unseen } from './trust-errors.ts';

/**
 * The key, and all others whose cells hold a commit of several keys that Redis has forgotten together with its own. Read
 * without leases: for an operator, who is told before anything is done.
 * @throws TorilError MEMCACHED_..., REDIS_FAILED
 */
export async function keysToTrust(
  context: TrustContext,
  key: string,
): Promise<readonly [string, ...string[]]> {
  checkKey(key);
  const together = new Set<string>();
  const next = [key];
  for (let one = next.pop(); one !== undefined; one = next.pop()) {
    if (together.has(one)) continue;
    const envelope = await forgotten(context, one);
    if (envelope === undefined && one !== key) continue; // it has gone on, or its copy is all there is
    together.add(one);
    next.push(...(envelope?.keys ?? []));
  }
  together.delete(key);
  return [key, ...together];
}

/** The cell, if its commit is one that Redis does not know. */
async function forgotten(
  { servers, lanes }: TrustContext,
  key: string,
): Promise<Envelope | undefined> {
  const read = await servers
    .serverFor(key)
    .connection()
    .then(
      (connection) => connection.get(cellName(key)),
      (cause: TorilError) => ({ kind: 'unknown', cause }) as const,
    );
  if (read.kind === 'unknown') throw unseen(key, read.cause);
  const content = read.kind === 'done' ? decodeItem(read.value) : undefined;
  if (content?.kind !== 'envelope') return undefined;
  const { copy } = await lanes.inspect(key, 1);
  return content.envelope.token > copy.token ? content.envelope : undefined;
}

/** @param keys as `keysToTrust` has named them. Returns how it ended for each of them */
export async function trustTogether(
  context: TrustContext,
  which: 'cell' | 'copy',
  keys: readonly string[],
): Promise<readonly TrustEnd[]> {
  if (which === 'cell') {
    // In one order everywhere, so that two operators do not wait in a circle.
    const sorted = keys.toSorted();
    const told = await trustCells(context, sorted);
    return keys.map((key) => told[sorted.indexOf(key)] as TrustEnd);
  }
  // Each by itself: their copies agree, so that one may go on before the others are settled.
  const ends: TrustEnd[] = [];
  for (const key of keys) ends.push(await trustCopy(context, key));
  return ends;
}

/** @throws TorilError the cause, if a cell was unusable */
export function trustedText(keys: readonly string[], ends: readonly TrustEnd[]): string {
  const all = ends.map(trustEndText);
  if (keys.length === 1) return all[0] as string;
  return keys.map((key, at) => `"${key}": ${all[at]}`).join('; ');
}
