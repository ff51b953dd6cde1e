/** How the cells in memcached stand to the last recorded values. */
import { TorilError } from '../../errors.ts';
import { differenceBetween } from './difference.ts';
import type { CommittedValue, KeyReport, LiveVerdict } from './report.ts';

/** What is wrong with a cell, not with its server. */
const UNREADABLE: ReadonlySet<string> = new Set([
  'FOREIGN_VALUE',
  'ENVELOPE_NEWER',
  'ENVELOPE_DAMAGED',
]);
/** Cells that are read at the same time. */
const LIVE_AT_ONCE = 100;

/** Reads a cell as it is now; undefined: memcached has none. */
export type ReadCell = (key: string) => Promise<CommittedValue | undefined>;

/** @throws whatever `read` throws, unless it is about the cell's own value */
export async function comparedLive(
  keys: readonly KeyReport[],
  read: ReadCell,
): Promise<KeyReport[]> {
  const compared: KeyReport[] = [];
  for (let from = 0; from < keys.length; from += LIVE_AT_ONCE) {
    const some = keys.slice(from, from + LIVE_AT_ONCE);
    const verdicts = await Promise.all(some.map((report) => liveVerdict(report, read)));
    compared.push(...some.map((report, at) => ({ ...report, live: verdicts[at] as LiveVerdict })));
  }
  return compared;
}

async function liveVerdict({ key, last }: KeyReport, read: ReadCell): Promise<LiveVerdict> {
  if (last === undefined) return { kind: 'unknown' };
  let live: CommittedValue | undefined;
  try {
    live = await read(key);
  } catch (cause) {
    if (!(cause instanceof TorilError) || !UNREADABLE.has(cause.code)) throw cause;
    return { kind: 'unreadable', message: cause.message };
  }
  if (live === undefined) return last.json === undefined ? { kind: 'same' } : { kind: 'missing' };
  if (live.token > last.token) return { kind: 'newer' };
  if (live.token < last.token) return { kind: 'older' };
  if (live.json === last.json) return { kind: 'same' };
  return { kind: 'differs', diff: differenceBetween(last.json, live.json) };
}
