/**
 * P3, P4, P7: what became of each job. What was asked for once is one job, whether anybody heard of it or not;
 * only a scheduler makes many of one.
 */
import type { FinalJob } from './end-state.ts';
import type { Asked, Evidence, KeyEvidence, Report, Step } from './evidence.ts';
import { failureText, type Value } from './history.ts';

type Tell = (promise: string, what: string) => void;

/** One job of what was asked for: a scheduler makes many, each with an id of its own. */
type AskedJob = Asked & { readonly jobId: string };

export function auditJobs(evidence: Evidence, report: Report): void {
  const { keys, ends, end, meddling, rollbacks } = evidence;
  const known = new Map<
    string,
    { readonly operation: AskedJob; readonly steps: readonly Step[] }
  >();
  for (const ofKey of keys) {
    for (const [jobId, operation] of jobsOf(ofKey, evidence, report)) {
      const steps = ofKey.chain.filter((step) => step.jobId === jobId);
      // A transfer has a step in each of its accounts.
      const others = known.get(jobId)?.steps ?? [];
      known.set(jobId, { operation, steps: [...others, ...steps] });
      const tell: Tell = (promise, what) =>
        report(promise, ofKey.key, `job ${jobId} (${operation.op}): ${what}`);
      if (rollbacks.mayHaveLost(operation)) continue;
      auditJob(operation, end.jobs.get(jobId), steps, evidence, tell);
    }
  }
  for (const event of ends) {
    const job = end.jobs.get(event.jobId);
    const { operation, steps = [] } = known.get(event.jobId) ?? {};
    const tell: Tell = (promise, what) => report(promise, operation?.key ?? '', what);
    if (event.e === 'completed') {
      // Redis may have forgotten it since, and even have given the job's id to another one.
      if (rollbacks.isUnsure(event.us)) continue;
      if (operation !== undefined && rollbacks.mayHaveLost(operation)) continue;
      const mayBeGone = operation !== undefined && meddling.mayHave('removed', operation);
      const isRight = mayBeGone
        ? steps.some(({ made }) => isSame(made, event.result))
        : isSame(event.result, job?.result);
      if (!isRight) {
        tell(
          'P3',
          `${event.by} completed job ${event.jobId} with ${shown(event.result)}, in the end it is ${job?.state} with ${shown(job?.result)}, in the chain it made ${steps.map(({ made }) => shown(made)).join(', ') || 'nothing'}`,
        );
      }
    }
    if (event.e === 'failed' && !/^attempt \d+ of \S+ fails$/.test(event.reason)) {
      tell('P7', `${event.by} failed job ${event.jobId} for what it has not done: ${event.reason}`);
    }
  }
}

/** All jobs of a key that anybody knows of. */
function jobsOf(
  { key, asked, calls }: KeyEvidence,
  { end, rollbacks }: Evidence,
  report: Report,
): Map<string, AskedJob> {
  const byOp = new Map(asked.map((operation) => [operation.op, operation]));
  const jobs = new Map<string, AskedJob>();
  const idsOf = new Map<string, Set<string>>();
  const note = (jobId: string, operation: Asked): void => {
    jobs.set(jobId, { ...operation, jobId });
    const ids = idsOf.get(operation.op) ?? new Set();
    idsOf.set(operation.op, ids.add(jobId));
  };
  for (const { op, jobId } of calls) {
    const operation = byOp.get(op);
    if (operation === undefined) report('P3', key, `nobody has asked for ${op}`);
    else note(jobId, operation);
  }
  for (const operation of asked) {
    const { jobId, enqueuedUs } = operation;
    // A named job that nobody heard of is known by its id if it is there.
    const isThere = enqueuedUs !== undefined || end.jobs.has(jobId ?? '');
    if (jobId !== undefined && isThere) note(jobId, operation);
  }
  for (const [op, ids] of idsOf) {
    const operation = byOp.get(op);
    if (ids.size === 1 || operation === undefined || operation.way === 'scheduled') continue;
    if (rollbacks.mayHaveLost(operation)) continue;
    report('P3', key, `${op} was asked for once, and became the jobs ${[...ids].join(' and ')}`);
  }
  return jobs;
}

function auditJob(
  operation: AskedJob,
  job: FinalJob | undefined,
  steps: readonly Step[],
  { meddling, rollbacks }: Evidence,
  tell: Tell,
): void {
  const { op, failures, attempts } = operation;
  const isStepped = steps.length > 0;
  if (job === undefined) {
    // It may have been applied before, or not.
    if (meddling.mayHave('removed', operation)) return;
    return tell('P4', 'enqueued, but BullMQ does not know it');
  }
  if (job.state === 'waiting') {
    return tell(isStepped ? 'P3' : 'P6', `still waits; ${isStepped ? 'yet' : 'not'} in the chain`);
  }
  const mustFail = failures >= attempts;
  const isRetried =
    meddling.mayHave('retried', operation) ||
    (mustFail && meddling.mayHave('failures retried', operation));
  const used = Math.min(failures + 1, attempts);
  const isCounted = !isRetried && !rollbacks.mayHaveUndone(operation, operation.jobId);
  if (job.attempts !== used && isCounted)
    tell('P7', `has used ${job.attempts} attempts, not ${used}`);
  if (job.state === 'failed') {
    if (!mustFail) tell('P7', `failed, though it could succeed: ${job.reason}`);
    else if (job.reason !== failureText(op, attempts) && !isRetried)
      tell('P7', `failed as: ${job.reason}`);
    if (isStepped && !meddling.mayHave('removed', operation))
      tell('P3', `failed for good, but is in the chain at ${steps[0]?.made.n}`);
    return;
  }
  if (mustFail && !isRetried) tell('P3', `must fail ${failures} times, but is completed`);
  if (!isStepped) tell('P4', 'completed, but is not in the chain');
  // Of a transfer, the result is what it made of the account that it went from.
  if (operation.to !== undefined && operation.to === steps[0]?.calls[0]?.key) return;
  if (!steps.some(({ made }) => isSame(made, job.result))) {
    tell('P3', `has the result ${shown(job.result)}, its step made ${shown(steps[0]?.made)}`);
  }
}

function isSame(a: Value | undefined, b: Value | undefined): boolean {
  return a?.n === b?.n && a?.h === b?.h;
}

function shown(value: Value | undefined): string {
  return value === undefined ? 'nothing' : `${value.n} ${value.h}`;
}
