/** P1 as a reader sees it: values never go backwards or away, unless memcached lost them. */
import type { Evidence, KeyEvidence, Loss, Read, Report } from './evidence.ts';
import { lifetimeOf, type Value } from './history.ts';

/** For so long after a loss a write that was under way may bring a value back that never was acknowledged. */
const LATE_MAX_US = 15_000_000;

export function auditReads(
  evidence: KeyEvidence,
  { losses: allLosses, strange }: Evidence,
  report: Report,
): void {
  const { key, reads, calls, places, chain } = evidence;
  const holders = new Set(
    reads.filter(({ value }) => value !== undefined).map(({ server }) => server),
  );
  if (holders.size > 1) report('P1', key, `the cell was on servers ${[...holders].join(' and ')}`);
  const losses = allLosses.filter(({ server }) => holders.has(server));
  const made = new Set(calls.map((call) => call.made?.h));
  let before: Read | undefined;
  let ours: Read | undefined;
  for (const read of reads) {
    if (!holders.has(read.server)) continue;
    const { value } = read;
    if (strange.has(value?.h ?? '')) {
      // Where there was no cell anybody may begin one; where there was one, nobody else.
      const isGone = lifetimeOf(key) === 'brief' || ours?.value === undefined;
      if (!isGone && !lostBetween(losses, ours?.sinceUs ?? 0, read.us)) {
        report('P9', key, `another data set wrote ${shown(read)} over ${shown(ours)}`);
      }
      ours = undefined;
      before = undefined;
      continue;
    }
    ours = read;
    if (before?.value !== undefined && wentBack(evidence, before.value, value)) {
      const lateUs = wasNeverTaken(evidence, before) ? LATE_MAX_US : 0;
      if (!lostBetween(losses, before.sinceUs - lateUs, read.us)) {
        report(
          'P1',
          key,
          `a reader saw ${shown(before)}, then ${shown(read)}, and nothing was lost`,
        );
      }
    }
    before = read;
    if (value === undefined || value.n === 0) continue;
    if (!made.has(value.h)) report('P1', key, `a reader saw ${shown(read)}, which no update made`);
    else if (places.has(value.h)) continue;
    // It has expired before Redis took its acknowledgement.
    else if (
      lifetimeOf(key) !== 'brief' &&
      !lostBetween(losses, read.sinceUs - LATE_MAX_US, read.us)
    ) {
      report('P1', key, `a reader saw ${shown(read)}, which is not on the chain`);
    }
  }
  const last = chain.at(-1)?.made;
  const isGone = before?.value === undefined && (last?.n === 0 || lifetimeOf(key) === 'brief');
  if (last !== undefined && before?.value?.h !== last.h && !isGone) {
    report(
      'P4',
      key,
      `in the end a reader sees ${shown(before)}; the chain ends in ${last.n} ${last.h}`,
    );
  }
}

/**
 * Whether Redis has taken the value only from a later holder than the one whose commit was seen: that one began beside a cell
 * that was lost, with a commit of somebody else's under way. What it made is the same, since the jobs are.
 */
function wasNeverTaken({ chain, places }: KeyEvidence, { value, token }: Read): boolean {
  const step = chain[places.get(value?.h ?? '') ?? -1];
  return step?.calls.some((call) => call.token > token) ?? false;
}

/** By places in the chain, since a value that was deleted begins anew. */
function wentBack({ key, places }: KeyEvidence, before: Value, after: Value | undefined): boolean {
  if (after === undefined) return lifetimeOf(key) === 'lasting';
  const from = places.get(before.h) ?? 0;
  const to = places.get(after.h) ?? from;
  return lifetimeOf(key) === 'lasting' ? after.n < before.n : to < from;
}

function lostBetween(losses: readonly Loss[], fromUs: number, untilUs: number): boolean {
  return losses.some((loss) => loss.fromUs <= untilUs && loss.us >= fromUs);
}

function shown(read: Read | undefined): string {
  const { value, token } = read ?? {};
  return value === undefined ? 'no value' : `${value.n} ${value.h} of token ${token}`;
}
