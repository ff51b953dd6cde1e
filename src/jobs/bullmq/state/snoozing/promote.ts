import { OWN_PREFIX_LUA } from '../../../../redis/own-keys.ts';
import { SNOOZED_FIELD, type Script, WOKEN_FIELD } from '../../../redis/scripts/script.ts';
import { isKnownBullMQ } from '../known-bullmq.ts';
import { FIELD, SCORE_PER_PRIORITY } from '../layout.ts';
import { SNOOZED_LUA } from './snoozed.ts';

/**
 * A fragment for scripts whose `prefix` is the queue's: what BullMQ's own `promote` does, for a job
 * that it holds back as delayed though nothing remains to wait for. In the same step as whatever
 * says so, since a process that dies in between would leave the job lying until it is due. With an unknown BullMQ, it is only
 * noted: TAKE_PROMOTED.
 */
export const PROMOTE_LUA: string = isKnownBullMQ() ? promoteLua() : noteLua();

function noteLua(): string {
  return `
local function promote(jobId)
  if redis.call('ZSCORE', prefix .. 'delayed', jobId) then redis.call('SADD', own .. 'promoted', jobId) end
end
`;
}

/**
 * Jobs that are to be promoted by BullMQ's own script, since it is an unknown BullMQ: the worker that takes them sees to it.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] how many at most
 */
export const TAKE_PROMOTED: Script = {
  name: 'torilTakePromoted',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}
return redis.call('SPOP', own .. 'promoted', ARGV[2])
`,
};

function promoteLua(): string {
  return `
local hasWoken = false
-- BullMQ's marker, for workers that sleep until there is something to do.
local function wakeWorkers()
  if hasWoken then return end
  hasWoken = true
  local queue = redis.call('HMGET', prefix .. 'meta', 'paused', 'concurrency')
  if queue[1] then return end
  if queue[2] and redis.call('LLEN', prefix .. 'active') >= tonumber(queue[2]) then return end
  redis.call('ZADD', prefix .. 'marker', 0, '0')
end

local function undelay(jobId)
  return redis.call('ZREM', prefix .. 'delayed', jobId) == 1
end

-- Once it is in its new place: nothing that is only told may come in between.
local function tellUndelayed(jobId)
  redis.call('HSET', prefix .. jobId, 'delay', 0)
  redis.call('XADD', prefix .. 'events', '*', 'event', 'waiting', 'jobId', jobId, 'prev', 'delayed')
end

local function promote(jobId)
  if not undelay(jobId) then return end
  local priority = tonumber(redis.call('HGET', prefix .. jobId, 'priority')) or 0
  if priority == 0 then
    redis.call('LPUSH', prefix .. 'wait', jobId)
  else
    local place = redis.call('INCR', prefix .. 'pc') % ${SCORE_PER_PRIORITY}
    redis.call('ZADD', prefix .. 'prioritized', priority * ${SCORE_PER_PRIORITY} + place, jobId)
  end
  wakeWorkers()
  tellUndelayed(jobId)
end
`;
}

/**
 * A fragment for scripts whose ARGV[1] is BullMQ's prefix, with `own` set: what was before this job in its lane is gone, so it
 * is delivered, if it is snoozed. One that is being worked on may have looked at its lane already, and be about to give its slot
 * back, for up to `snoozeMsMax`: it is noted, and SNOOZE looks at it. One that waits for something else is left alone. Not for
 * DELIVER_NEXT: whoever is asked for again and again, and gives its slot back for a reason of its own (a rate limit that is none),
 * would be delivered without a pause.
 */
export const WAKE_LUA: string = `${SNOOZED_LUA}
local prefix = ARGV[1]
${PROMOTE_LUA}
-- nil: its lane is empty, or has the same first job as before.
local function wake(jobId)
  if not jobId then return end
  if snoozedAs(jobId) then return promote(jobId) end
  local jobKey = prefix .. jobId
  if redis.call('EXISTS', jobKey, jobKey .. ':lock') == 2 then redis.call('HSET', jobKey, '${WOKEN_FIELD}', '1') end
end
`;

/** A fragment, of a job's attempts made and SNOOZED_FIELD: whether it waits for its turn, not for its backoff, if it is held back. */
const WAITS_LUA = `
local job = redis.call('HMGET', prefix .. jobId, '${FIELD.attemptsMade}', '${SNOOZED_FIELD}')
local waitsForTurn = not job[1] or job[1] == '0' or job[1] == job[2]
`;

/**
 * Whether BullMQ holds the job back though it waits for nothing but its turn: also one whose process died before it was noted as
 * snoozed.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] job id
 */
export const IS_HELD_BACK: Script = {
  name: 'torilIsHeldBack',
  numberOfKeys: 1,
  lua: `
local prefix, jobId = ARGV[1], ARGV[2]
${WAITS_LUA}
return waitsForTurn and redis.call('ZSCORE', prefix .. 'delayed', jobId) and 1 or 0
`,
};

/**
 * A lane waits for the delivery of this very job, so it goes before all others: where jobs with a
 * lower priority are delivered only when nobody else waits, jobs of the same lane that look again and
 * again whether they can go on would keep it waiting for ever. One that waits out its backoff is left
 * alone (unless it was snoozed since, perhaps for minutes: the chaos runs found that), and one in the wait list keeps its place: everything before it is delivered some time.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] job id
 */
export const DELIVER_NEXT: Script = {
  name: 'torilDeliverNext',
  numberOfKeys: 1,
  lua: `
local prefix, jobId = ARGV[1], ARGV[2]
${PROMOTE_LUA}${WAITS_LUA}
local isUndelayed = waitsForTurn and undelay(jobId)
if not isUndelayed and redis.call('ZREM', prefix .. 'prioritized', jobId) == 0 then return 0 end
redis.call('RPUSH', prefix .. 'wait', jobId)
wakeWorkers()
if isUndelayed then tellUndelayed(jobId) end
return 1
`,
};
