import { OWN_PREFIX_LUA } from '../../../../redis/own-keys.ts';
import { bullFunctionLua, bullScript, madeLater } from '../bullmq-text.ts';
import { PROMOTE_LUA } from './promote.ts';
import { OUTCOME_FIELD, type Script, WOKEN_FIELD } from '../../../redis/scripts/script.ts';
import { SURVIVED_LUA } from '../../../redis/scripts/start-alone.ts';
import { SNOOZED_LUA } from './snoozed.ts';
import { NOW_MS_LUA } from '../timed.ts';
import { FIELD } from '../layout.ts';

/**
 * A fragment for scripts that give a delivered job back, whose `prefix` is the queue's. BullMQ's rate limit counts
 * deliveries, and this one ends without having begun an update: it does not count. Only if it was counted in the
 * window that runs now; and not while somebody has set the limit by hand (`rateLimit()` sets the
 * count to more than any limit).
 */
const UNCOUNT_LUA = `
local function uncount(jobId, limiterMax, limiterMs)
  local limiter = prefix .. 'limiter'
  local count = tonumber(redis.call('GET', limiter) or '0')
  if count < 1 then return end
  local meta = redis.call('HMGET', prefix .. 'meta', 'max', 'duration')
  local max, windowMs = tonumber(meta[1] or limiterMax), tonumber(limiterMs) or tonumber(meta[2])
  if not max or not windowMs or count > max then return end
  local beganMs = tonumber(nowMs) + redis.call('PTTL', limiter) - math.floor(math.abs(windowMs))
  local startedMs = tonumber(redis.call('HGET', prefix .. jobId, 'processedOn') or '0')
  -- A millisecond more: a script's own time goes on while it runs.
  if startedMs + 1 >= beganMs then redis.call('DECR', limiter) end
end
`;

/**
 * A fragment behind SNOOZED_LUA: notes that a job which was just given back is snoozed. Unless it was decided, or its lane may go
 * on, since it was delivered: whoever saw to that found nothing to promote.
 */
const IS_TO_WAIT_LUA = `
local function isToWait(jobId)
  local job = redis.call('HMGET', prefix .. jobId, '${OUTCOME_FIELD}', '${WOKEN_FIELD}', 'priority')
  if job[2] then redis.call('HDEL', prefix .. jobId, '${WOKEN_FIELD}') end
  if job[2] or (job[1] and job[1] ~= '') then return false end
  noteSnoozed(stateOfPriority(job[3]), { redis.call('ZSCORE', delayedSet, jobId), jobId })
  return true
end
`;

/**
 * Gives a delivered job back for a while, without an attempt: BullMQ's own moveToDelayed, by Redis's clock. In the same step,
 * the delivery is taken off the rate limit; it is noted that the job is snoozed, or it is promoted at once if there is nothing to wait
 * for; and it is noted that a process which began the job alone has lived
 * through it, even if another worker has the job by now: one that BullMQ took for stalled meanwhile is given back without a lock.
 *
 *   KEYS, ARGV[1-9] of BullMQ's moveToDelayed: ARGV[1] prefix  ARGV[3] job id
 *   ARGV[10] under which tokens it was begun alone  ARGV[11], ARGV[12] the worker's rate limit: jobs, and milliseconds; '': none
 *   Returns what BullMQ's script returns.
 */
export const SNOOZE: Script = madeLater('torilSnooze', () => ({
  numberOfKeys: bullScript('moveToDelayed').numberOfKeys,
  lua: `
local prefix, jobId = ARGV[1], ARGV[3]
${NOW_MS_LUA}ARGV[2] = nowMs
${OWN_PREFIX_LUA}${SNOOZED_LUA}${IS_TO_WAIT_LUA}${SURVIVED_LUA}${bullFunctionLua('moveToDelayed')}${PROMOTE_LUA}${UNCOUNT_LUA}
local code = moveToDelayed(KEYS, ARGV)
if code == 0 then
  uncount(jobId, ARGV[11], ARGV[12])
  if not isToWait(jobId) then promote(jobId) end
end
noteSurvived(prefix .. jobId, ARGV[10])
return code
`,
}));

/**
 * Where BullMQ's own script has just given a job back for a while: notes that it is snoozed.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] job id
 *   Returns '1' if there is nothing to wait for, so that it need not lie in the delayed set
 */
export const NOTE_SNOOZED: Script = {
  name: 'torilNoteSnoozed',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}${SNOOZED_LUA}
local prefix, jobId = ARGV[1], ARGV[2]
${IS_TO_WAIT_LUA}
if not redis.call('ZSCORE', delayedSet, jobId) then return '' end
return isToWait(jobId) and '' or '1'
`,
};

/**
 * Gives a delivered job back to the front of the queue: BullMQ's own moveJobFromActiveToWait. The delivery is taken off the
 * rate limit, and, if nobody has begun to work on the job, it was no start either.
 *
 *   KEYS, ARGV[1-3] of BullMQ's moveJobFromActiveToWait: ARGV[1] job id
 *   ARGV[4] prefix  ARGV[5] '1': it was fetched ahead, and nobody has begun to work on it
 *   ARGV[6] under which tokens it was begun alone  ARGV[7], ARGV[8] the worker's rate limit
 *   Returns what BullMQ's script returns.
 */
export const GIVE_BACK: Script = madeLater('torilGiveBack', () => ({
  numberOfKeys: bullScript('moveJobFromActiveToWait').numberOfKeys,
  lua: `
local jobId, prefix = ARGV[1], ARGV[4]
${NOW_MS_LUA}${SURVIVED_LUA}${bullFunctionLua('moveJobFromActiveToWait')}${UNCOUNT_LUA}
local code = moveJobFromActiveToWait(KEYS, ARGV)
if code >= 0 then
  uncount(jobId, ARGV[7], ARGV[8])
  if ARGV[5] == '1' then redis.call('HINCRBY', prefix .. jobId, '${FIELD.attemptsStarted}', -1) end
end
noteSurvived(prefix .. jobId, ARGV[6])
return code
`,
}));
