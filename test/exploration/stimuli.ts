/** What can happen to a worker, as one number: its kind, and what it is about. */

export const TOLD = {
  /** memcached's answer to its oldest request; with the outcome's number. */
  answer: 0,
  /** Redis's reply to its oldest call; with the reply's number. */
  reply: 1,
  /** The server has closed its connection. */
  closed: 2,
  /** Its request has timed out, and with it its connection. */
  timedOut: 3,
  /** A pause is over. */
  paused: 4,
  /** A renewal is due. */
  renewal: 5,
  /** The length of a lease has passed, and more. */
  lease: 6,
  /** What its update or function waited for has happened. */
  worked: 7,
  /** Only in a story that is made shorter (live-rounds.ts): a key's combiner begins; with the key's place. Behind the last one: its job is delivered. */
  begins: 8,
} as const;
export const TOLD_KINDS = 9;

/** Time passes for the worker, more than a pause. */
export function isTime(stimulus: number): boolean {
  return stimulus === TOLD.lease || stimulus === TOLD.renewal;
}
