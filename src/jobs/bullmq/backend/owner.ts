/**
 * What the backend asks of the queue or worker that it serves. Passed to the factory by which BullMQ makes the
 * backend, so each answer is asked for only when it is needed: at that time there is no worker yet.
 */
import type { LaneOf } from '../adding/adding.ts';
import type { FastPath } from '../../../options.ts';
import type { SlotOwner } from '../fast-path/slots.ts';
import type { RedisRefusal } from './repeating.ts';

export interface Owner extends Partial<SlotOwner> {
  /** Whose lane an added job enters; a worker adds nothing. */
  readonly laneOf?: LaneOf;
  /** Milliseconds for which adding is tried. */
  readonly addWithinMs?: number;
  /** `off`: BullMQ's own scripts complete and fetch each job. */
  readonly fastPath?: FastPath;
  /** Redis refuses to be told what became of a job. */
  readonly refused?: (refusal: RedisRefusal) => void;
  /** Work that needs the connection to the last is awaited before it closes. */
  readonly beforeClose?: () => Promise<void> | undefined;
}
