/** What became of an invariant, in a line. */
import { grouped } from '../../base/grouped.ts';
import { brokenText, type InvariantReport } from '../invariants/report.ts';
import type { Colours } from './style.ts';

const UNASKED: Readonly<Record<NonNullable<InvariantReport['unchecked']>, string>> = {
  'never-asked': 'there is no value, job or key that it is about',
  'values-unknown': 'the value of a key was not known, so the total was not either',
  'not-all-keys': 'only a part of the keys, or of their commits, is replayed or was recorded',
};

export function invariantLine(report: InvariantReport, { red, yellow }: Colours): string {
  const { name, verdict: found, asked, breaks, broken, unchecked, times } = report;
  const ofAll = unchecked === 'values-unknown' ? ` ${grouped(times)} times` : '';
  const left = unchecked === undefined ? '' : `; not asked${ofAll}: ${UNASKED[unchecked]}`;
  if (broken !== undefined) {
    const counts = `${grouped(breaks)} of ${grouped(asked)} times${left}`;
    return red(`BROKEN (${counts}), first: ${brokenText(name, broken)}`);
  }
  const held = `Invariant "${name}" held ${grouped(asked)} times${left}`;
  return found === 'holds' ? held : yellow(held);
}
