/** One transition of the lanes as a Lua script. KEYS[1] is always the sequence. */
export interface Script {
  /** The command under which it is registered with the client. */
  readonly name: string;
  /** How many KEYS; everything else that a script touches shares the queue's prefix and hash tag. */
  readonly numberOfKeys: number;
  readonly lua: string;
}

/**
 * Toril's hash of a queue: per key, the token and the last sequence of the batch that somebody has in hand, the worker's id, and
 * "run" if it is a run of jobs of several keys.
 */
export const IN_HAND_KEY = 'inHand';

/** The copy's field for what its token was when a job was last dropped from the lane because BullMQ no longer had it. */
export const LOST_FIELD = 'r';
/** Milliseconds for which that is remembered of a key without a copy. */
const LOST_MS = 3_600_000;

/**
 * A fragment: notes in a copy that a job is dropped from its lane. Its holder may have frozen before its commit, and a joint
 * commit must close the cell to it (joint-lanes.ts). What has no copy is made to expire as an expired one does: a commit
 * that keeps its value for ever takes the expiry away.
 */
export const LOST_LUA: string = `
local function noteLost(copyKey)
  local token = redis.call('HGET', copyKey, 't')
  redis.call('HSET', copyKey, '${LOST_FIELD}', token or '0')
  if token then return end
  redis.call('HSET', copyKey, 'x', '0')
  redis.call('PEXPIRE', copyKey, ${LOST_MS})
end
`;

/**
 * A fragment, with `call` and `nowMs` (milliseconds since 1970) set: makes a commit the copy of a key. A copy expires with its
 * value and a while after; field x says when the value does.
 */
export const WRITE_COPY_LUA: string = `
local function writeCopy(copyKey, hadExpiry, token, watermark, value, pace, expireMs, copyExpireMs)
  call('HSET', copyKey, 't', token, 'w', watermark, 'p', pace, 'v', value)
  if copyExpireMs > 0 then
    call('HSET', copyKey, 'x', string.format('%.0f', nowMs + expireMs))
    call('PEXPIRE', copyKey, copyExpireMs)
  elseif hadExpiry then
    call('HDEL', copyKey, 'x')
    call('PERSIST', copyKey)
  end
end
`;

/**
 * A fragment: fields of a job's hash. None if somebody keeps something else under its name: a script that
 * fails at one job of one key would stop all keys of its call, for ever.
 */
export const FIELDS_LUA = `
local function fieldsOf(jobKey, ...)
  local fields = redis.pcall('HMGET', jobKey, ...)
  return fields.err and {} or fields
end
`;

/** A fragment: whether BullMQ has the job, more than what Toril wrote of it, and has not finished it. */
export const UNFINISHED_LUA: string = `${FIELDS_LUA}
local function isUnfinished(jobKey)
  local job = fieldsOf(jobKey, 'name', 'finishedOn')
  return job[1] and not job[2]
end
`;

/** Fields that Toril keeps in BullMQ's job hash. */
export const OUTCOME_FIELD = 'toril';
export const ALONE_FIELD = 'torilAlone';
/** Attempts made when the job was last snoozed: it waits for its turn since, not for its backoff. */
export const SNOOZED_FIELD = 'torilSnoozed';
/** Its lane may go on since it was delivered: if it gives its slot back, then not until later. */
export const WOKEN_FIELD = 'torilWoken';
export const DIRECTIVE_FIELD = 'torilDirective';
/**
 * The key of the lane that the job has entered: its worker goes by it. Each job's hash has it: with
 * a longer name, and the sequence, waiting jobs took a tenth more memory.
 */
export const LANE_FIELD = 'tl';
/** A job of several keys: all of them, as JSON, in its user's order. LANE_FIELD is the first; missing while it is in none. */
export const KEYS_FIELD = 'torilKeys';

/** Of a joint job that may not wait for ever: its sequence, since when it waits at a head (ms since 1970), how long it may (ms). */
export const BLOCKED_FIELD = 'torilBlocked';

/** A fragment: the keys of all lanes that a job has entered, by its hash; empty: none. */
export const LANES_OF_LUA: string = `
local function lanesOf(jobKey)
  local lanes = redis.pcall('HMGET', jobKey, '${LANE_FIELD}', '${KEYS_FIELD}')
  if lanes.err then return {} end
  return lanes[2] and cjson.decode(lanes[2]) or { lanes[1] or nil }
end
`;
/** The job was in no lane when it was delivered, and entered when it was taken: a commit names such jobs (lanes.ts). */
export const LATE_FIELD = 'torilLate';
