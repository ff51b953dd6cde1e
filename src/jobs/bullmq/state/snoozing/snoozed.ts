import { OWN_PREFIX_LUA } from '../../../../redis/own-keys.ts';
import type { Script } from '../../../redis/scripts/script.ts';
import { SCORE_PER_MS } from '../layout.ts';

/**
 * A job that gave its slot back until its turn (*snoozed*) lies in BullMQ's delayed set, among those that
 * their users delayed or that wait for a backoff. Which ones are snoozed is kept beside it, in one sorted
 * set per state that the job is in for everybody else: `snoozed:wait`, and `snoozed:prioritized` for jobs
 * with a priority. An entry counts only while its score is that in the delayed set: BullMQ, which delivers
 * the job again or delays it for a backoff, knows nothing of these sets, and needs not.
 *
 * The fragment is for scripts whose ARGV[1] is BullMQ's prefix, with `own` set.
 *
 *   noteSnoozed(state, pairs)  pairs of score and job id, as ZADD takes them and just written to the delayed set
 *   stateOfPriority(priority)  the state in which a job of this priority waits
 *   snoozedAs(jobId)           the state; nil if it is not snoozed
 *   forgetWoken(state, a, b)   drops entries of these ranks that no longer count; returns entries seen, dropped
 */
export const SNOOZED_LUA: string = `
local delayedSet = ARGV[1] .. 'delayed'
local function forgetWoken(state, first, last)
  local set = own .. 'snoozed:' .. state
  local entries = redis.call('ZRANGE', set, first, last, 'WITHSCORES')
  if #entries == 0 then return 0, 0 end
  local jobIds, woken = {}, {}
  for i = 1, #entries, 2 do jobIds[#jobIds + 1] = entries[i] end
  local scores = redis.call('ZMSCORE', delayedSet, unpack(jobIds))
  for i = 1, #jobIds do
    if scores[i] ~= entries[2 * i] then woken[#woken + 1] = jobIds[i] end
  end
  if #woken > 0 then redis.call('ZREM', set, unpack(woken)) end
  return #jobIds, #woken
end

local function stateOfPriority(priority)
  return (tonumber(priority) or 0) > 0 and 'prioritized' or 'wait'
end

-- One command per call, and in one call of 16 (by the time, which is spread) three more, for 64 entries.
local function noteSnoozed(state, pairs)
  for at = 1, #pairs, 4000 do
    redis.call('ZADD', own .. 'snoozed:' .. state, unpack(pairs, at, math.min(at + 3999, #pairs)))
  end
  if math.floor(tonumber(pairs[1]) / ${SCORE_PER_MS}) % 16 == 0 then forgetWoken(state, 0, 63) end
end

local function snoozedAs(jobId)
  local due = redis.call('ZSCORE', delayedSet, jobId)
  if not due then return nil end
  if redis.call('ZSCORE', own .. 'snoozed:wait', jobId) == due then return 'wait' end
  if redis.call('ZSCORE', own .. 'snoozed:prioritized', jobId) == due then return 'prioritized' end
  return nil
end
`;

/**
 * Drops entries that no longer count, of a stretch.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] state  ARGV[3] rank to begin at  ARGV[4] entries to look at
 *   Returns the rank to go on at; -1: these were the last
 */
export const FORGET_WOKEN: Script = {
  name: 'torilForgetWoken',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}${SNOOZED_LUA}
local from, most = tonumber(ARGV[3]), tonumber(ARGV[4])
local seen, dropped = forgetWoken(ARGV[2], from, from + most - 1)
return seen < most and -1 or from + seen - dropped
`,
};

/**
 * How many wait and how many are delayed, in one moment.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix
 *   ARGV[2] only delayed jobs that are due before this time count: milliseconds since 1970; '': all
 *   Returns [waiting, prioritized, delayed, of these: snoozed as waiting, snoozed as prioritized]
 */
export const COUNT_WAITING: Script = {
  name: 'torilCountWaiting',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}
local call, prefix = redis.call, ARGV[1]
local before = ARGV[2] == '' and '+inf' or string.format('(%.0f', tonumber(ARGV[2]) * ${SCORE_PER_MS})
local waiting, prioritized = call('ZCARD', own .. 'snoozed:wait'), call('ZCARD', own .. 'snoozed:prioritized')
local delayed = call('ZCOUNT', prefix .. 'delayed', '-inf', before)
  - call('ZCOUNT', own .. 'snoozed:wait', '-inf', before) - call('ZCOUNT', own .. 'snoozed:prioritized', '-inf', before)
return { call('LLEN', prefix .. 'wait') + waiting, call('ZCARD', prefix .. 'prioritized') + prioritized,
  math.max(delayed, 0), waiting, prioritized }
`,
};

/**
 * Ids of jobs that wait: those that are delivered next first, then the snoozed ones by the time at which
 * they are back.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] wait or prioritized  ARGV[3] first  ARGV[4] last,
 *   negative from the end  ARGV[5] 1: in this order; 0: the other way round, and counted so
 */
export const RANGE_WAITING: Script = {
  name: 'torilRangeWaiting',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}
local call, set, snoozed = redis.call, ARGV[1] .. ARGV[2], own .. 'snoozed:' .. ARGV[2]
local isList, first, last = ARGV[2] == 'wait', tonumber(ARGV[3]), tonumber(ARGV[4])
local next = call(isList and 'LLEN' or 'ZCARD', set)
local total = next + call('ZCARD', snoozed)
if first < 0 then first = math.max(first + total, 0) end
if last < 0 then last = last + total end
last = math.min(last, total - 1)
if ARGV[5] == '0' then first, last = total - 1 - last, total - 1 - first end
local jobIds = {}
local function append(found, from, to, step)
  for i = from, to, step do jobIds[#jobIds + 1] = found[i] end
end
if first <= last and first < next then
  local to = math.min(last, next - 1)
  if isList then
    local found = call('LRANGE', set, -(to + 1), -(first + 1))
    append(found, #found, 1, -1)
  else
    local found = call('ZRANGE', set, first, to)
    append(found, 1, #found, 1)
  end
end
if first <= last and last >= next then
  local found = call('ZRANGE', snoozed, math.max(first - next, 0), last - next)
  append(found, 1, #found, 1)
end
if ARGV[5] == '1' then return jobIds end
local reversed = {}
for i = #jobIds, 1, -1 do reversed[#reversed + 1] = jobIds[i] end
return reversed
`,
};

/**
 * Of a stretch of BullMQ's delayed set, the ids of jobs that are not snoozed.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] ZRANGE or ZREVRANGE  ARGV[3] rank to begin at
 *   ARGV[4] entries to look at
 *   Returns how many were looked at, then the ids
 */
export const RANGE_DELAYED: Script = {
  name: 'torilRangeDelayed',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}${SNOOZED_LUA}
local entries = redis.call(ARGV[2], delayedSet, ARGV[3], tonumber(ARGV[3]) + tonumber(ARGV[4]) - 1)
local result = { #entries }
for i = 1, #entries do
  if not snoozedAs(entries[i]) then result[#result + 1] = entries[i] end
end
return result
`,
};

/**
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] job id
 *   Returns the state in which the job waits if it is snoozed; else ''
 */
export const SNOOZED_AS: Script = {
  name: 'torilSnoozedAs',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}${SNOOZED_LUA}
return snoozedAs(ARGV[2]) or ''
`,
};

/**
 * The priorities of snoozed jobs, of a stretch.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] rank to begin at  ARGV[3] entries to look at
 */
export const SNOOZED_PRIORITIES: Script = {
  name: 'torilSnoozedPriorities',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}
local from = tonumber(ARGV[2])
local found = redis.call('ZRANGE', own .. 'snoozed:prioritized', from, from + tonumber(ARGV[3]) - 1)
for i = 1, #found do found[i] = redis.call('HGET', ARGV[1] .. found[i], 'priority') or '0' end
return found
`,
};

/**
 * A snoozed job has got another priority: it waits as what it is now.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] job id
 */
export const NOTE_PRIORITY: Script = {
  name: 'torilNotePriority',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}${SNOOZED_LUA}
local before = snoozedAs(ARGV[2])
local now = stateOfPriority(redis.call('HGET', ARGV[1] .. ARGV[2], 'priority'))
if not before or before == now then return 0 end
noteSnoozed(now, { redis.call('ZSCORE', delayedSet, ARGV[2]), ARGV[2] })
return redis.call('ZREM', own .. 'snoozed:' .. before, ARGV[2])
`,
};
