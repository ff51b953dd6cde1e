import {
  DIRECTIVE_FIELD,
  FIELDS_LUA,
  OUTCOME_FIELD,
  SNOOZED_FIELD,
} from '../../redis/scripts/script.ts';
import { SNOOZED_LUA } from './snoozing/snoozed.ts';
import { FIELD, SCORE_PER_MS } from './layout.ts';

/** Characters of an error's message that are told. */
const REASON_MAX = 1_000;
/** Jobs of the wait list that are looked through for one. */
const AHEAD_MAX = 1_000;
/** A rate that was limited by hand counts more jobs than any limit allows. */
const BY_HAND = 1_000_000_000_000;

/**
 * A fragment for scripts whose ARGV[1] is BullMQ's prefix, with `own` set: where BullMQ has jobs, and what holds all of
 * them up.
 *
 *   queueFacts()        [paused 1 or 0, active jobs, how many may be, ms until the rate limit allows one, why Redis takes no
 *                        writes or '']
 *   headFacts(jobId, isAlone)  [place, name, attempts made, failed reason, directive, ms until due, ms since finished,
 *                        jobs before it or -1]; only with isAlone is the wait list looked through
 */
export const HEAD_FACTS_LUA: string = `${FIELDS_LUA}${SNOOZED_LUA}
local prefix = ARGV[1]
local time = redis.call('TIME')
local nowMs = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local activeJobs = nil

local function isActive(jobId)
  if not activeJobs then
    activeJobs = {}
    for _, id in ipairs(redis.call('LRANGE', prefix .. 'active', 0, -1)) do activeJobs[id] = true end
  end
  return activeJobs[jobId]
end

-- An empty text changes nothing, and is refused as every write is: by a replica, or for want of memory, disk or replicas.
local function writeRefusal()
  local answer = redis.pcall('SETRANGE', own .. 'probe', 0, '')
  return type(answer) == 'table' and answer.err or ''
end

local function queueFacts()
  local meta = redis.call('HMGET', prefix .. 'meta', 'paused', 'concurrency', 'max')
  local count, limitedFor = tonumber(redis.call('GET', prefix .. 'limiter') or '0'), 0
  if count >= (tonumber(meta[3]) or ${BY_HAND}) then
    limitedFor = math.max(0, redis.call('PTTL', prefix .. 'limiter'))
  end
  return { meta[1] and 1 or 0, redis.call('LLEN', prefix .. 'active'), tonumber(meta[2] or '0'), limitedFor, writeRefusal() }
end

-- It is delivered from the wait list's end; what has a priority comes behind all that has none.
local function jobsAhead(jobId)
  local waiting = redis.call('LLEN', prefix .. 'wait')
  local rank = redis.call('ZRANK', prefix .. 'prioritized', jobId)
  if rank then return waiting + rank end
  local place = redis.call('LPOS', prefix .. 'wait', jobId, 'RANK', -1, 'MAXLEN', ${AHEAD_MAX})
  return place and waiting - 1 - place or -1
end

local function headFacts(jobId, isAlone)
  local jobKey = prefix .. jobId
  local job = fieldsOf(jobKey, 'name', '${FIELD.attemptsMade}', 'failedReason', '${DIRECTIVE_FIELD}', 'finishedOn', 'returnvalue',
    '${OUTCOME_FIELD}', '${SNOOZED_FIELD}')
  if not job[1] then return { 'gone', '', 0, '', '', 0, 0, -1 } end
  local attempts, reason, directive = tonumber(job[2] or '0'), job[3] or '', job[4] or ''
  local held, why = string.match(directive, '^(held) (.*)$')
  if held then directive, reason = held, why end
  local function facts(place, dueIn, finished, ahead)
    return { place, job[1], attempts, string.sub(reason, 1, ${REASON_MAX}), directive, dueIn, finished, ahead }
  end
  if job[5] then
    local isApplied = job[7] and job[7] ~= ''
    local place = not job[6] and 'failed' or isApplied and 'completed' or 'unapplied'
    return facts(place, 0, math.max(0, nowMs - tonumber(job[5])), -1)
  end
  local due = redis.call('ZSCORE', delayedSet, jobId)
  if due then
    local dueIn = math.max(0, math.floor(tonumber(due) / ${SCORE_PER_MS}) - nowMs)
    local place = snoozedAs(jobId) and 'snoozed' or attempts == 0 and 'delayed' or 'backoff'
    return facts(place, dueIn, 0, -1)
  end
  if redis.call('ZSCORE', prefix .. 'waiting-children', jobId) then return facts('children', 0, 0, -1) end
  if isActive(jobId) then
    local place = redis.call('EXISTS', jobKey .. ':lock') == 1 and 'active' or 'stalled'
    return facts(place, 0, 0, -1)
  end
  return facts('waiting', 0, 0, isAlone and jobsAhead(jobId) or -1)
end
`;
