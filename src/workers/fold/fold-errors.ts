/** Why a job fails though its update did not throw, and what no further attempt could change. */
import { TorilError } from '../../errors.ts';
import type { LaneEntry } from '../../jobs/lane.ts';
import { controlOf } from '../../updates/calling/thrown.ts';
import type { AnyUpdate } from '../../updates/update.ts';

/** Errors after which another attempt could not end otherwise. */
const FINAL_CODES = new Set([
  'UPDATE_CANNOT_MOVE_JOB',
  'RESULT_TOO_LARGE',
  'VALUE_TOO_LARGE',
  'JOB_STALLED_TOO_OFTEN',
  'JOB_DROPPED',
  'JOB_CASCADED',
]);

export function isFinal(thrown: Error): boolean {
  return thrown instanceof TorilError
    ? FINAL_CODES.has(thrown.code)
    : controlOf(thrown) === 'unrecoverable';
}

export function dropped(): TorilError {
  return new TorilError(
    'JOB_DROPPED',
    'an operator dropped this job from its lane; it was not applied.',
  );
}

export function cascaded(): TorilError {
  return new TorilError(
    'JOB_CASCADED',
    'an earlier job of the same key failed for good, and its update cascades; this job was not applied.',
  );
}

export function blockedTooLong({ name }: AnyUpdate, tookMs: number, leaseMs: number): TorilError {
  return new TorilError(
    'UPDATE_TIMED_OUT',
    `the update "${name}" blocked its process for ${Math.round(tookMs)} ms, and nothing that takes longer than the lease (${leaseMs} ms) can be committed. Make it faster, or let the process run in between (an await that waits for something), or raise leaseMs.`,
  );
}

export function stalledTooOften(entry: LaneEntry, times: number): TorilError {
  return new TorilError(
    'JOB_STALLED_TOO_OFTEN',
    `the process died or froze ${times} times while it applied only this job (${entry.name}). Find out what it does to the process; then retry it.`,
  );
}

/** A job that has entered one lane, of an update that is a transaction by now, or the other way round. */
export function otherKind({ jobId, keys }: LaneEntry, { name }: AnyUpdate): TorilError {
  const was = keys === undefined ? 'one key' : `${keys.length} keys (${keys.join(', ')})`;
  return new TorilError(
    'KEY_CHANGED',
    `job ${jobId} has entered the lanes of ${was}, and "${name}" is ${keys === undefined ? 'a transaction' : 'an update of one key'} by now. Let the old jobs drain before you deploy the other.`,
  );
}
