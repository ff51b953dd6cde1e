/**
 * Names that a job must not have. BullMQ keeps all of a queue below one prefix, its jobs and its lists alike: a
 * job with the id `meta` would be the queue's settings, and one with the id `de:mail:7` what another job is
 * deduplicated by. BullMQ itself refuses integers, and colons unless there are exactly two.
 */
import { messageOf, TorilError } from '../../../errors.ts';
import { JOB_KEYS, KEYS } from '../state/layout.ts';

const RESERVED: ReadonlySet<string> = new Set(KEYS);
/** Below these, and a colon, it keeps what is named by its users: deduplication, schedulers and their jobs. */
const ROOMS: ReadonlySet<string> = new Set(['de', 'dn', 'repeat', 'metrics']);
/** A job that a scheduler made is called by the scheduler's id and the time in milliseconds. */
const OF_A_SCHEDULER = /^repeat:.+:\d+$/s;
/** Such a job without `repeat:`, or a part of it. */
const LIKE_A_JOB = new RegExp(String.raw`:\d{12,}(:(${JOB_KEYS.join('|')}))?$`);
/** What BullMQ says of an id that it refuses. */
const REFUSED_BY_BULLMQ = /^(Custom Id|JobId) cannot /;

/** @throws TorilError INVALID_JOB_ID */
export function checkJobId(jobId: string): void {
  refuseIf(problemOf(jobId), `the job id ${JSON.stringify(jobId)}`);
}

/** @throws TorilError INVALID_JOB_ID */
export function checkParentId(parentId: string): void {
  if (OF_A_SCHEDULER.test(parentId)) return;
  refuseIf(problemOf(parentId), `the id ${JSON.stringify(parentId)} of the parent`);
}

/** @throws TorilError INVALID_JOB_ID */
export function checkSchedulerId(schedulerId: string): void {
  const problem = LIKE_A_JOB.test(schedulerId)
    ? 'is what BullMQ calls a job of another scheduler'
    : halfCharacter(schedulerId);
  refuseIf(problem, `the id ${JSON.stringify(schedulerId)} of the job scheduler`);
}

/** What was thrown, with a code if it is BullMQ's word on a job's id. */
export function explained(thrown: unknown): unknown {
  const message = messageOf(thrown);
  if (thrown instanceof TorilError || !REFUSED_BY_BULLMQ.test(message)) return thrown;
  return new TorilError('INVALID_JOB_ID', `BullMQ refuses this job id: ${message}.`, {
    cause: thrown,
  });
}

function problemOf(jobId: string): string | undefined {
  const [first = ''] = jobId.split(':', 1);
  // Between its jobs, BullMQ has had markers called so.
  if (first === '0') return 'is what BullMQ calls its markers';
  if (RESERVED.has(jobId) || ROOMS.has(first)) return 'is a name that BullMQ needs for itself';
  return halfCharacter(jobId);
}

function halfCharacter(id: string): string | undefined {
  return id.isWellFormed() ? undefined : 'holds half a surrogate pair, which has no UTF-8 form';
}

function refuseIf(problem: string | undefined, what: string): void {
  if (problem === undefined) return;
  throw new TorilError('INVALID_JOB_ID', `${what} ${problem}. Choose another one.`);
}
