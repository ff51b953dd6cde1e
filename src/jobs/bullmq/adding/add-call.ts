/** One call that adds jobs: what the script is told, and what its answer says of each job. */
import type { IRedisTransaction, JobJson, ParentKeyOpts, RedisQueueBackend } from 'bullmq';
import { TorilError } from '../../../errors.ts';
import type { LaneKeys } from '../../../updates/job-data.ts';
import { bullScript } from '../state/bullmq-text.ts';
import { isKnownBullMQ } from '../state/known-bullmq.ts';
import { type BullScriptName, CODE } from '../state/layout.ts';
import type { AddArguments, AddFacts, AddForm, AddMessage, AddReply } from '../state/add.ts';

export interface Add {
  readonly job: JobJson;
  /** Undefined: BullMQ numbers it. */
  readonly jobId: string | undefined;
  readonly parentKeyOpts: ParentKeyOpts;
}

/** A job, the keys of the lanes that it enters ('' if it enters none now), and what it is added together with. */
export interface Entering {
  readonly add: Add;
  readonly lane: LaneKeys;
  readonly bulk: number;
}

export type AddingBackend = Pick<
  RedisQueueBackend,
  'keys' | 'addJobToTransaction' | 'finishedErrors'
>;

/** For the script, behind what tells calls apart. */
export function addArguments(backend: AddingBackend, jobs: readonly Entering[]): unknown[] {
  const forms: AddForm[] = [];
  const adds: AddArguments[] = [];
  const behind: unknown[] = [];
  for (const { add, lane, bulk } of jobs) {
    const [script, args] = recorded(backend, add);
    const { numberOfKeys } = bullScript(script);
    const facts = factsOf(backend, add);
    const form = formOf(forms, script, args, numberOfKeys);
    adds.push(facts === undefined ? [form, bulk, lane] : [form, bulk, lane, facts]);
    for (let at = numberOfKeys; at < args.length; at++) behind.push(args[at]);
  }
  const message: AddMessage = [forms, adds];
  return [JSON.stringify(message), ...behind];
}

/** Each job's id, or why it was not added. */
export function addResults(
  backend: AddingBackend,
  jobs: readonly Entering[],
  answer: string,
): (string | Error)[] {
  const replies = JSON.parse(answer) as AddReply[];
  return jobs.map(({ add }, at) => {
    const reply = replies[at] as AddReply;
    if (typeof reply === 'string') return reply;
    return typeof reply === 'number' ? notAdded(backend, add, reply) : failed(reply[0]);
  });
}

/** Which script BullMQ adds the job with, and its arguments: it is handed somebody who only listens. */
function recorded(
  backend: AddingBackend,
  add: Add,
): readonly [script: BullScriptName, args: unknown[]] {
  let call: readonly [BullScriptName, unknown[]] | undefined;
  const listener = {
    runCommand(name: string, args: unknown[]) {
      call = [name.slice(0, name.indexOf(':')) as BullScriptName, args];
      return listener;
    },
  };
  // It speaks before its first await, as BullMQ's own addJobs relies on.
  void backend.addJobToTransaction(
    listener as unknown as IRedisTransaction,
    add.job,
    add.jobId as string,
    add.parentKeyOpts,
  );
  if (call === undefined) throw new Error('BullMQ added nothing');
  return call;
}

function formOf(
  forms: AddForm[],
  script: BullScriptName,
  args: readonly unknown[],
  numberOfKeys: number,
): number {
  const known = forms.findIndex(([name]) => name === script);
  if (known !== -1) return known;
  const keys = args.slice(0, numberOfKeys) as string[];
  return forms.push([script, keys, args.length - numberOfKeys]) - 1;
}

/** Undefined for an ordinary job. */
function factsOf(backend: AddingBackend, { job, jobId, parentKeyOpts }: Add): AddFacts | undefined {
  const { parentKey } = parentKeyOpts;
  const { deduplicationId } = job;
  const isNamed = jobId !== undefined && jobId !== '';
  const isChild = parentKey !== undefined && parentKey !== '';
  const { delay = 0, timestamp } = job.opts as { delay?: number; timestamp?: number };
  const isFromNow = delay > 0 && timestamp === undefined && isKnownBullMQ();
  if (!isNamed && !isChild && !isFromNow && deduplicationId === undefined) return undefined;
  const { replace, reschedule } = (job.opts.deduplication ?? {}) as Record<string, unknown>;
  return {
    ...(isNamed && { id: jobId }),
    ...(isChild && { parent: parentKey }),
    ...(deduplicationId !== undefined && {
      dedup: `${backend.keys['de'] as string}:${deduplicationId}`,
    }),
    ...(isFromNow && { fromNow: 1 as const }),
    ...((replace === true || reschedule === true) && isKnownBullMQ() && { replaces: 1 as const }),
  };
}

function notAdded(backend: AddingBackend, { parentKeyOpts }: Add, code: number): Error {
  const { parentKey = '' } = parentKeyOpts;
  if (code === 0)
    return new TorilError(
      'JOB_REFUSED',
      'another job of the same bulk was refused; none was added.',
    );
  const cause = backend.finishedErrors({ code, command: 'addJob', parentKey });
  if (code !== CODE.parentMissing)
    return new TorilError('JOB_REFUSED', `BullMQ refused to add the job: ${cause.message}`, {
      cause,
    });
  return new TorilError(
    'PARENT_MISSING',
    `there is no parent job ${parentKey}, so its child was not added, nor was anything of the same bulk. Add the parent first, and keep it until its children are added.`,
    { cause },
  );
}

function failed(message: string): TorilError {
  return new TorilError('REDIS_FAILED', `Redis did not add the job: ${message}`);
}

/** Adds that are due later, or wait for their children, enter their lane when they are first delivered. */
export function entersLater({ job, parentKeyOpts }: Add): boolean {
  const { delay } = job.opts;
  return (
    parentKeyOpts.addToWaitingChildren === true ||
    (typeof delay === 'number' && delay > 0) ||
    job.repeatJobKey !== undefined
  );
}
