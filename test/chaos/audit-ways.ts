/** P2 for jobs that do not enter their lane in the moment in which they are asked for. */
import type { Evidence, KeyEvidence, Report } from './evidence.ts';

/** Times in Redis are whole milliseconds, and made from several clocks. */
const EARLY_US = 5_000;

/** What is delayed comes no sooner than it is due, and a parent comes after its children. */
export function auditWays(
  { key, asked, chain }: KeyEvidence,
  { operations, stepOf, meddling, rollbacks }: Evidence,
  report: Report,
): void {
  const mine = new Set(chain);
  for (const operation of asked) {
    const step = stepOf.get(operation.op);
    const firstUs = step?.calls[0]?.us;
    if (step === undefined || firstUs === undefined || !mine.has(step)) continue;
    if (rollbacks.mayHaveUndone(operation, operation.jobId)) continue;
    const { op, askedUs, delayMs = 0, children = [] } = operation;
    const earlyUs = askedUs + delayMs * 1_000 - firstUs;
    if (earlyUs > EARLY_US && !meddling.mayHave('promoted', operation)) {
      report('P2', key, `${op} was applied ${Math.round(earlyUs / 1_000)} ms too early`);
    }
    for (const child of children) {
      const childUs = stepOf.get(child)?.calls[0]?.us ?? Number.POSITIVE_INFINITY;
      const known = operations.get(child);
      const isGone = known !== undefined && meddling.mayHave('removed', known);
      if (childUs > firstUs && !isGone) {
        report('P2', key, `${op} was applied before its child ${child}`);
      }
    }
  }
}
