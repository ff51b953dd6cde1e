/**
 * Whether the history is what was acknowledged, and enough to make every value again. It shares no code with the product: what
 * a replay needs (docs/replay.md) is written down here once more.
 */
import { hash } from 'node:crypto';
import type { HistoryEntry, HistoryJob } from '../../src/history/history.ts';

/** What was acknowledged of one key, in the order of the acknowledgements. */
export interface Link {
  readonly key: string;
  readonly token: number;
  readonly base: number;
  /** JSON, or `deleted`. */
  readonly value: string;
}

export interface HistoryRules {
  readonly checkpointEvery: number;
  readonly durableCopies: boolean;
  /** No replay runs the update again. */
  readonly isStrict: (update: string) => boolean;
}

/** @param entries all that are left of it, in order @returns what is wrong */
export function wrongHistory(
  entries: readonly HistoryEntry[],
  acknowledged: readonly Link[],
  rules: HistoryRules,
): string[] {
  const links = acknowledged.slice(acknowledged.length - entries.length);
  if (entries.length > acknowledged.length) return ['the history has commits that never were'];
  const wrong = entries.flatMap((entry, at) => otherwise(entry, links[at] as Link));
  return wrong.length > 0 ? wrong : unknownValues(entries, rules);
}

function otherwise(entry: HistoryEntry, { key, token, base, value }: Link): string[] {
  const wanted = { key, token, base, hash: hashOf(value) };
  const found = { key: entry.key, token: entry.token, base: entry.base, hash: entry.hash };
  if (JSON.stringify(found) !== JSON.stringify(wanted))
    return [`the history has ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`];
  if (entry.value === undefined || entry.value === value) return [];
  return [`the history has ${entry.value} behind ${token} of ${key}, not ${value}`];
}

function hashOf(value: string): string {
  return value === 'deleted' ? '-' : hash('sha256', value, 'hex').slice(0, 32);
}

/** Goes through it as a replay does. A value may be unknown only where what it follows from was trimmed, and not for long. */
function unknownValues(entries: readonly HistoryEntry[], rules: HistoryRules): string[] {
  /** By key, the token behind which its value is known. */
  const known = new Map<string, number>();
  const unknown = new Map<string, number>();
  // A commit without a value, of a job that is gone: nobody has what to write down where there are no copies.
  const most = rules.durableCopies ? rules.checkpointEvery - 1 : rules.checkpointEvery;
  for (let at = 0; at < entries.length; ) {
    const size = sizeAt(entries, at);
    const parts = entries.slice(at, at + size);
    const canFold = parts.every((part) => isStart(part, known)) && isFoldable(parts, rules);
    for (const { key, token, value, hash: its } of parts) {
      if (canFold || value !== undefined || its === '-') {
        known.set(key, token);
        unknown.delete(key);
        continue;
      }
      known.delete(key);
      const count = (unknown.get(key) ?? 0) + 1;
      unknown.set(key, count);
      if (count > most)
        return [
          `no replay knows the value of ${key} behind ${token}, nor behind ${count - 1} before it`,
        ];
    }
    at += size;
  }
  return [];
}

/** Entries of the commit that begins there, as far as they are left. */
function sizeAt(entries: readonly HistoryEntry[], at: number): number {
  const { id, head = id } = entries[at] as HistoryEntry;
  const next = entries.findIndex((entry, place) => place > at && entry.head !== head);
  return (next === -1 ? entries.length : next) - at;
}

function isStart({ key, base, origin }: HistoryEntry, known: ReadonlyMap<string, number>): boolean {
  return origin === 'base' ? known.get(key) === base : origin !== 'unknown';
}

function isFoldable(parts: readonly HistoryEntry[], { isStrict }: HistoryRules): boolean {
  const [{ keys, head, jobs }] = parts as [HistoryEntry];
  const isWhole = keys === undefined ? head === undefined : keys.length === parts.length;
  const canRun = ({ name, decision }: HistoryJob): boolean =>
    !decision.startsWith('a') || (name !== undefined && !isStrict(name));
  return isWhole && jobs.every(canRun);
}
