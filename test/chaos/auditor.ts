/**
 * Checks the promises on what the clients saw and on what is left in the end. Shares no code with the
 * product. Every value names all that went into it, in order (workload.ts); so the last value of a
 * key leads back to its chain, and whatever anybody ever saw or was told must be on that chain.
 */
import type { EndState } from './end-state.ts';
import { auditJobs } from './audit-jobs.ts';
import { auditReads } from './audit-reads.ts';
import { auditTransfers } from './audit-transfers.ts';
import { auditWays } from './audit-ways.ts';
import {
  type Evidence,
  type KeyEvidence,
  type Report,
  sortEvidence,
  type Step,
  type Violation,
} from './evidence.ts';
import type { Happened } from './history.ts';
import type { Rollbacks } from './rollbacks.ts';

/** Whatever makes another job of one, or lets it enter its lane once more. */
const MOVED = ['removed', 'retried', 'failures retried'] as const;

export function audit(history: readonly Happened[], end: EndState): Violation[] {
  const violations: Violation[] = [];
  const report: Report = (promise, key, what) => violations.push({ promise, key, what });
  const evidence = sortEvidence(history, end);
  for (const key of evidence.keys) {
    auditChain(key, evidence, report);
    auditOrder(key, evidence, report);
    auditWays(key, evidence, report);
    auditTokens(key, evidence, report);
    auditCommits(key, evidence, report);
    auditReads(key, evidence, report);
  }
  auditJobs(evidence, report);
  auditTransfers(evidence, report);
  auditGate(evidence, report);
  auditStrangers(evidence, report);
  return violations;
}

/** P1: one chain, from the first value to the last. */
function auditChain(
  { key, chain, gap, removed }: KeyEvidence,
  { operations }: Evidence,
  report: Report,
): void {
  if (gap !== undefined) report('P1', key, gap);
  const seen = new Set<string>();
  for (const { made, op, jobId } of chain) {
    // Then the second one is another job, which has got the id of the first.
    const mayBeTwo = removed.has(jobId) && (operations.get(op)?.times ?? 0) > 1;
    // Jobs without an id of their own may get one that Redis has forgotten.
    const name = `${jobId} ${op}`;
    if (seen.has(name) && !mayBeTwo)
      report('P3', key, `job ${jobId} (${op}) is in the chain again at ${made.n}`);
    seen.add(name);
  }
}

/**
 * P2: along the chain, sequences grow; and what was known to be enqueued before another one was asked
 * for comes before it.
 */
function auditOrder(
  { key, chain, asked }: KeyEvidence,
  { meddling, rollbacks }: Evidence,
  report: Report,
): void {
  const byOp = new Map(asked.map((operation) => [operation.op, operation]));
  let lastSequence = 0;
  let latest: { readonly op: string; readonly askedUs: number } = { op: '', askedUs: 0 };
  for (const { op, jobId, calls } of chain) {
    const sequence = Math.min(
      ...calls.map((call) => call.sequence).filter((one) => one > lastSequence),
    );
    if (sequence === Number.POSITIVE_INFINITY) {
      report(
        'P2',
        key,
        `job ${jobId} (${op}) has no sequence above ${lastSequence}, the one before`,
      );
    } else lastSequence = sequence;
    const operation = byOp.get(op);
    if (operation === undefined || operation.jobId !== jobId) continue; // an echo (audit-jobs.ts)
    // It entered its lane when it was first delivered, or not in the moment in which it was asked for.
    if (operation.way !== undefined) continue;
    if (rollbacks.mayHaveUndone(operation, jobId)) continue;
    if (MOVED.some((effect) => meddling.mayHave(effect, operation))) continue;
    // It left its place by failing.
    if (operation.update === 'skip' && operation.failures > 0) continue;
    if ((operation.enqueuedUs ?? Number.POSITIVE_INFINITY) < latest.askedUs) {
      report('P2', key, `${op} was enqueued before ${latest.op} was asked for, but comes after it`);
    }
    if (operation.askedUs > latest.askedUs) latest = operation;
  }
}

/** P5: tokens along the chain never go down, and nobody else has the same. */
function auditTokens(
  { key, chain, calls }: KeyEvidence,
  { rollbacks }: Evidence,
  report: Report,
): void {
  let last = 0;
  for (const step of chain) {
    const next = Math.min(...step.calls.map(({ token }) => token).filter((token) => token >= last));
    if (next === Number.POSITIVE_INFINITY) {
      report(
        'P5',
        key,
        `job ${step.jobId} (${step.op}) has no token from ${last} on, the one before`,
      );
    } else last = next;
  }
  const owners = new Map<string, string>();
  for (const { token, by, jobId, us } of calls) {
    // A number that Redis has forgotten may be drawn again.
    const name = `${token} ${rollbacks.epochAt(us)}`;
    const owner = rollbacks.isUnsure(us) ? by : (owners.get(name) ?? by);
    if (!rollbacks.isUnsure(us)) owners.set(name, owner);
    if (!Number.isSafeInteger(token) || token <= 0)
      report('P5', key, `job ${jobId} was given the token ${token}`);
    if (owner !== by) report('P5', key, `token ${token} was given to ${owner} and to ${by}`);
  }
}

/** P1, P5: the queue's own history tells the same chain, commit by commit. */
function auditCommits(evidence: KeyEvidence, { end, rollbacks }: Evidence, report: Report): void {
  const { key, chain, removed } = evidence;
  const commits = end.commits.filter((commit) => commit.key === key);
  const fenced = fencedCalls(evidence, rollbacks);
  let token = 0;
  let at = 0;
  for (const commit of commits) {
    if (commit.base !== token) {
      report('P1', key, `commit ${commit.token} was built on ${commit.base}, not on ${token}`);
    }
    if (commit.token <= token) report('P5', key, `commit ${commit.token} comes after ${token}`);
    token = commit.token;
    for (const jobId of commit.applied) {
      // The history does not tell of jobs that were gone when their commit was acknowledged.
      while (!isOf(chain[at], jobId, token) && removed.has(chain[at]?.jobId ?? '')) at++;
      const step = chain[at++];
      if (step?.jobId !== jobId) {
        report('P1', key, `commit ${token} applied ${jobId} where the chain has ${step?.jobId}`);
        return;
      }
      auditStep(step, commit.token, fenced, (promise, what) => report(promise, key, what));
    }
  }
  while (removed.has(chain[at]?.jobId ?? '')) at++;
  if (at !== chain.length) {
    report('P1', key, `the chain has ${chain.length} steps, its commits ${at}`);
  }
}

/** Ids alone do not tell: one that Redis has forgotten may be given again. */
function isOf(step: Step | undefined, jobId: string, token: number): boolean {
  return step?.jobId === jobId && step.calls.some((call) => call.token === token);
}

function auditStep(
  { jobId, calls }: Step,
  token: number,
  fenced: ReadonlySet<object>,
  report: (promise: string, what: string) => void,
): void {
  const under = calls.filter((call) => call.token === token);
  if (under.length === 0) {
    report('P5', `job ${jobId} was committed under ${token}, but never called with it`);
  } else if (under.every((call) => fenced.has(call))) {
    report('P5', `strict job ${jobId} counts, but a fenced store would have refused ${token}`);
  }
}

/** Strict calls that a store outside would have refused: a later holder's had begun before. */
function fencedCalls({ calls }: KeyEvidence, rollbacks: Rollbacks): Set<object> {
  const fenced = new Set<object>();
  let highest = 0;
  let epoch = 0;
  for (const call of calls) {
    if (call.update !== 'strict' || rollbacks.isUnsure(call.us)) continue;
    if (rollbacks.epochAt(call.us) > epoch) highest = 0;
    epoch = rollbacks.epochAt(call.us);
    if (call.token < highest) fenced.add(call);
    highest = Math.max(highest, call.token);
  }
  return fenced;
}

/** P9: another data set on the same memcached has seen nothing of ours. */
function auditStrangers({ strangers, strange }: Evidence, report: Report): void {
  for (const { key, saw } of strangers) {
    if (saw.n > 0 && !strange.has(saw.h))
      report('P9', key, `another data set went on from ${saw.n} ${saw.h}`);
  }
}

/** What the workers themselves cried out about. */
function auditGate({ gate, rollbacks, strangers }: Evidence, report: Report): void {
  for (const { name, key, more, by } of gate) {
    if (name === 'cellLost') report('P4', key, `${by} began anew in spite of durable copies`);
    // Loud is what it should be; operator.ts settles it, and what is not settled does not drain.
    const isExpected =
      (rollbacks.happened && more.includes('REDIS_WENT_BACK')) ||
      (strangers.length > 0 && /REDIS_WENT_BACK|CELL_OF_ANOTHER_REDIS/.test(more));
    if (name === 'laneHeld' && !isExpected) report('P6', key, `${by} holds the lane: ${more}`);
  }
}
