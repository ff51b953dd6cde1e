/**
 * How a job left its lane, as it is written into the job's hash (so that a worker that gets the
 * job later knows), into the cell's envelope (so that a commit can be acknowledged by somebody
 * else) and into the history. One letter, then JSON.
 */
import { TorilError, type ErrorCode } from '../errors.ts';

export type JobOutcome =
  /** The update is in the key's chain. `result`: JSON, or empty for none. */
  | { readonly kind: 'applied'; readonly result: string; readonly joint?: number }
  /** It failed for good and is not in the chain. `joint`: as above. */
  | {
      readonly kind: 'failed';
      readonly code: string;
      readonly message: string;
      readonly cascades: boolean;
      /**
       * The token of the joint commit that decided it: it is final, but nobody is told before that commit's cells
       * are known to be written. Undefined: a commit of one key.
       */
      readonly joint?: number;
    };

/** What becomes of a lane entry at or below the watermark: an outcome, or one of two ways to leave without one. */
export type LaneDecision =
  | JobOutcome
  /** Goes to the lane's end under a new sequence (`skip`). */
  | { readonly kind: 'moved' }
  /** Leaves its lane without an outcome: it enters one when it is delivered again, or BullMQ has finished it already. */
  | { readonly kind: 'withdrawn' }
  /** Stays where it is and holds its lane: nobody may try it until an operator has decided about it. */
  | { readonly kind: 'held'; readonly message: string };

/** The decision that need not be written down: applied, without a result. */
export const PLAIN_APPLIED = 'a';
export const MOVED = 'm';
export const WITHDRAWN = 's';
export const HELD = 'h';

export function encodeDecision(decision: LaneDecision): string {
  switch (decision.kind) {
    case 'applied':
      return PLAIN_APPLIED + decision.result;
    case 'failed': {
      const { code, message, cascades } = decision;
      return (cascades ? 'c' : 'f') + JSON.stringify({ code, message });
    }
    case 'moved':
      return MOVED;
    case 'withdrawn':
      return WITHDRAWN;
    case 'held':
      return HELD + decision.message;
  }
}

/** What stands before an outcome that a joint commit decided: this, its token, and a colon. */
export const JOINT_MARK = 'j';

/** Undefined for what is no outcome of a job (moved, withdrawn, held, or nothing Toril wrote). */
export function decodeOutcome(text: string): JobOutcome | undefined {
  const kind = text[0];
  if (kind === JOINT_MARK) {
    const end = text.indexOf(':');
    const outcome = decodeOutcome(text.slice(end + 1));
    return outcome && { ...outcome, joint: Number(text.slice(1, end)) };
  }
  if (kind === PLAIN_APPLIED) return { kind: 'applied', result: text.slice(1) };
  if (kind !== 'f' && kind !== 'c') return undefined;
  const { code, message } = JSON.parse(text.slice(1)) as { code: string; message: string };
  return { kind: 'failed', code, message, cascades: kind === 'c' };
}

/** The error with which a job's processor reports an outcome that is a failure. */
export function failureOf(outcome: Extract<JobOutcome, { kind: 'failed' }>): TorilError {
  return new TorilError(outcome.code as ErrorCode, outcome.message);
}
