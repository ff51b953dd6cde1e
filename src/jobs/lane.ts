/**
 * What is read of a lane and told of its commits, whether its jobs have one key (lanes.ts) or several (joint-lanes.ts).
 */

/** The last acknowledged commit of a key, as Redis remembers it. */
export interface Copy {
  /** 0: there has been none. */
  readonly token: number;
  readonly watermark: number;
  /**
   * The value: JSON; `deleted`: none (deleted or expired); `not-kept`: durable copies are off;
   * `not-sent`: the cell that was asked about can be believed, so it was left out.
   */
  readonly value: { readonly json: string } | 'deleted' | 'not-kept' | 'not-sent';
  /** Jobs up to this sequence fail, because an earlier one cascaded; 0: none. */
  readonly cascadeTo: number;
  /**
   * It is of a commit of several keys whose cells are not known to be written: one that is missing, or older, may not be
   * memcached's doing. Told to a combiner that takes the lane, with the value.
   */
  readonly behind?: true;
}

export interface LaneJob {
  readonly jobId: string;
  readonly sequence: number;
  /** All its keys, if it has several. */
  readonly keys?: readonly string[];
}

export interface LaneEntry {
  readonly jobId: string;
  readonly sequence: number;
  /** It was in no lane when it was delivered, and entered when it was taken. */
  readonly late?: true;
  /** The update's name. */
  readonly name: string;
  /** JSON. */
  readonly data: string;
  /** What its producer's telemetry left with it; only if it was asked for. */
  readonly trace?: string | undefined;
  /** Attempts that BullMQ has charged. */
  readonly attemptsMade: number;
  /** Times the process died or froze while it had the job. */
  readonly stalls: number;
  /**
   * BullMQ has finished the job already. `completed`: it was applied in another lane, or is just leaving
   * this one; `unapplied`: somebody else completed it, who is no worker of Toril's.
   */
  readonly finished: 'no' | 'completed' | 'unapplied' | 'failed';
  /** Why BullMQ failed it, or is being told that it did; '' of all others: an earlier attempt's is not told. */
  readonly failedReason: string;
  /**
   * What an operator wants: nothing, to move it to the lane's end, or to fail it. `held`: its attempts
   * are used up, and BullMQ is just being told. `deliver`: it failed where it was not delivered, and waits for its delivery.
   */
  readonly directive: '' | 'skip' | 'drop' | 'held' | 'deliver';
  /** All its keys, in its user's order, if it has several (joint-lanes.ts). */
  readonly keys?: readonly string[];
}

export interface Acknowledged {
  /** False: somebody else went another way; the commit never was. */
  readonly accepted: boolean;
  /** Redis has forgotten the commit's jobs or its token, and has given their numbers to others. */
  readonly wentBack?: true;
  /**
   * Not all of its jobs were found any more: somebody has removed some, or they are new ones of the same id, or Redis
   * has gone back to before they were added.
   */
  readonly missing?: boolean;
}
