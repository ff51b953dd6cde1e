/** What `toril` exits with. Scripts may rely on it: docs/cli.md has the same table. */
import type { ErrorCode } from '../../errors.ts';

export const EXIT = {
  /** Done; a worker: stopped when it was told to. */
  done: 0,
  /** A check failed: a value is wrong, a job failed. */
  checkFailed: 1,
  /** Wrong usage or bad input. */
  usage: 2,
  /** A server is missing, out of reach, or not the one it should be. */
  server: 3,
  /** What was asked for is not there: no value, no held lane, no copy. */
  nothing: 4,
  /** The stored value cannot be used until somebody decides about it. */
  unusable: 5,
  /** The lease was not to be had, or an answer did not come: look, then try again. */
  undecided: 6,
  /** A replay could not look at everything; what it looked at is as it was. */
  notChecked: 7,
  /** A fault of Toril, or of the code in --updates. */
  internal: 70,
  /** Whoever read the output has gone (128 + SIGPIPE). */
  pipe: 141,
} as const;

/** How a command tells what it ends with. */
export type ExitWith = (code: number) => void;

/** Codes that are none of these are a user's own mistake. */
const BY_CODE: Partial<Record<ErrorCode, number>> = {
  LANE_NOT_HELD: EXIT.nothing,
  QUEUE_MISSING: EXIT.nothing,
  NOTHING_RECORDED: EXIT.nothing,
  FOREIGN_VALUE: EXIT.unusable,
  ENVELOPE_NEWER: EXIT.unusable,
  ENVELOPE_DAMAGED: EXIT.unusable,
  CELL_OF_ANOTHER_QUEUE: EXIT.unusable,
  CELL_OF_ANOTHER_REDIS: EXIT.unusable,
  REDIS_WENT_BACK: EXIT.unusable,
  LANES_APART: EXIT.unusable,
  MEMCACHED_UNREACHABLE: EXIT.server,
  MEMCACHED_TIMED_OUT: EXIT.server,
  MEMCACHED_CLOSED: EXIT.server,
  MEMCACHED_PROTOCOL: EXIT.server,
  MEMCACHED_AUTH: EXIT.server,
  MEMCACHED_TLS: EXIT.server,
  MEMCACHED_CAS_DISABLED: EXIT.server,
  MEMCACHED_REFUSED: EXIT.server,
  REDIS_FAILED: EXIT.server,
  SERVER_LIST_CHANGED: EXIT.server,
  SERVER_MISSING: EXIT.server,
  LEASE_LOST: EXIT.undecided,
  LEASE_TIMED_OUT: EXIT.undecided,
  OUTCOME_UNKNOWN: EXIT.undecided,
  INTERNAL: EXIT.internal,
};

export function exitCodeFor(code: ErrorCode): number {
  return BY_CODE[code] ?? EXIT.usage;
}
