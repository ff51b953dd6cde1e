/**
 * P3, P4, P7: what became of each job. An operation without an id of its own may have been enqueued
 * more often than anybody heard of (its producer died, or its connection did, and a client library
 * sends again): such an echo is a job like any other, and only its order and its being there are open.
 */
import type { FinalJob } from './end-state.ts';
import type { Asked, Evidence, KeyEvidence, Report, Step } from './evidence.ts';
import { failureText, type Value } from './history.ts';

export function auditJobs({ keys, ends, end }: Evidence, report: Report): void {
  const keyOf = new Map<string, string>();
  for (const evidence of keys) {
    const steps = new Map(evidence.chain.map((step) => [step.jobId, step]));
    const byOp = new Map(evidence.asked.map((operation) => [operation.op, operation]));
    const known = new Map<string, Asked>();
    for (const { op, jobId } of evidence.calls) {
      const operation = byOp.get(op);
      if (operation === undefined) report('P3', evidence.key, `nobody has asked for ${op}`);
      else known.set(jobId, operation);
    }
    for (const operation of evidence.asked) {
      const { jobId, enqueuedUs } = operation;
      // A named job that nobody heard of is known by its id if it is there.
      const isThere = enqueuedUs !== undefined || end.jobs.has(jobId ?? '');
      if (jobId !== undefined && isThere) known.set(jobId, operation);
    }
    for (const [jobId, operation] of known) {
      keyOf.set(jobId, evidence.key);
      const tell = (promise: string, what: string): void =>
        report(promise, evidence.key, `job ${jobId} (${operation.op}): ${what}`);
      auditJob(operation, end.jobs.get(jobId), steps.get(jobId), evidence, tell);
    }
  }
  for (const event of ends) {
    const job = end.jobs.get(event.jobId);
    const key = keyOf.get(event.jobId) ?? '';
    if (event.e === 'completed' && !isSame(event.result, job?.result)) {
      report(
        'P3',
        key,
        `${event.by} completed job ${event.jobId} with ${shown(event.result)}, in the end it is ${job?.state} with ${shown(job?.result)}`,
      );
    }
    if (event.e === 'failed' && !/^attempt \d+ of \S+ fails$/.test(event.reason)) {
      report(
        'P7',
        key,
        `${event.by} failed job ${event.jobId} for what it has not done: ${event.reason}`,
      );
    }
  }
}

function auditJob(
  { op, failures, attempts }: Asked,
  job: FinalJob | undefined,
  step: Step | undefined,
  { chain, places }: KeyEvidence,
  tell: (promise: string, what: string) => void,
): void {
  if (job === undefined) return tell('P4', 'enqueued, but BullMQ does not know it');
  if (job.state === 'waiting') {
    return tell(
      step === undefined ? 'P6' : 'P3',
      `still waits; ${step === undefined ? 'not' : 'yet'} in the chain`,
    );
  }
  const isExhausted = failures >= attempts;
  const used = Math.min(failures + 1, attempts);
  if (job.attempts !== used) tell('P7', `has used ${job.attempts} attempts, not ${used}`);
  if (isExhausted) {
    if (step !== undefined) tell('P3', `failed for good, but is in the chain at ${step.made.n}`);
    if (job.state !== 'failed') tell('P3', `must fail ${failures} times, but is completed`);
    else if (job.reason !== failureText(op, attempts)) tell('P7', `failed as: ${job.reason}`);
    return;
  }
  if (job.state === 'failed') return tell('P7', `failed, though it could succeed: ${job.reason}`);
  if (step === undefined) tell('P4', 'completed, but is not in the chain');
  const place = places.get(job.result?.h ?? '');
  if (place === undefined || chain[place] !== step || chain[place]?.made.n !== job.result?.n) {
    tell('P3', `has the result ${shown(job.result)}, its step made ${shown(step?.made)}`);
  }
}

function isSame(a: Value | undefined, b: Value | undefined): boolean {
  return a?.n === b?.n && a?.h === b?.h;
}

function shown(value: Value | undefined): string {
  return value === undefined ? 'nothing' : `${value.n} ${value.h}`;
}
