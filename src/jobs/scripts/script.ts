/** One transition of the lanes as a Lua script. KEYS[1] is always the sequence. */
export interface Script {
  /** The command under which it is registered with the client. */
  readonly name: string;
  /** How many KEYS; everything else that a script touches shares the queue's prefix and hash tag. */
  readonly numberOfKeys: number;
  readonly lua: string;
}

/** Fields that Toril keeps in BullMQ's job hash. */
export const OUTCOME_FIELD = 'toril';
export const ALONE_FIELD = 'torilAlone';
export const GIVEN_BACK_FIELD = 'torilGivenBack';
/** Attempts made when the job was last parked: it waits for its turn since, not for its backoff. */
export const PARKED_FIELD = 'torilParked';
export const DIRECTIVE_FIELD = 'torilDirective';
