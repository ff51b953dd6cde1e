import { OWN_PREFIX_LUA } from '../../../redis/own-keys.ts';
import { HEAD_FACTS_LUA } from '../../bullmq/state/head-facts.ts';
import { BLOCKED_FIELD, IN_HAND_KEY, KEYS_FIELD, type Script } from '../scripts/script.ts';
import { REINDEX_LUA } from './lane-index.ts';

/** As `headFacts` tells it, behind the job's id and sequence; `joint` is missing if it has one key. */
export type HeadReply = readonly [
  ...[jobId: string, sequence: string, place: string, name: string, attemptsMade: number],
  ...[failedReason: string, directive: string, dueInMs: number, finishedMs: number, ahead: number],
  joint?: JointReply,
];

/** All its keys, and the lanes in which it is not the first one. `failsInMs`: -1: not known. */
export type JointReply = readonly [
  keys: readonly string[],
  others: readonly OtherLaneReply[],
  failsInMs: number,
];

/** `before`: -1: it is missing there. */
type OtherLaneReply = readonly [
  ...[key: string, before: number, firstJobId: string, firstName: string, firstSequence: string],
];

export type QueueReply = readonly [
  ...[paused: 0 | 1, active: number, concurrency: number, limitedForMs: number, refusal: string],
];

/** `inHand`: its token, last sequence, worker and the time in microseconds, or ''. `head`: empty if the lane is. */
export type LaneReply = readonly [
  ...[key: string, length: number, token: string, pace: string, inHand: string],
  head: HeadReply | readonly [],
];

/** Keys of the index that are looked at in one call, where a text is searched. */
const SEARCHED_MAX = 1_000;
/** Keys of one job at most: their lanes may begin with the same sequence. */
const ALIKE_MAX = 8;
/** Held lanes that a count looks at, in case somebody without Toril has retried their jobs. */
const HELD_MAX = 200;

/** A fragment: `laneFacts(lane, isAlone)` is a LaneReply. */
const LANE_FACTS_LUA = `${OWN_PREFIX_LUA}${HEAD_FACTS_LUA}${REINDEX_LUA}
-- What a job of several keys waits for in its other lanes; nil: it has one key.
local function jointFacts(jobId, sequence)
  local told, blocked = unpack(fieldsOf(prefix .. jobId, '${KEYS_FIELD}', '${BLOCKED_FIELD}'))
  if not told then return nil end
  local keys, others, failsIn = cjson.decode(told), {}, -1
  local itsSequence, since, mayWait = string.match(blocked or '', '^(%d+) (%d+) (%d+)$')
  if itsSequence == sequence then failsIn = math.max(0, since + mayWait - nowMs) end
  for i = 1, #keys do
    local laneKey = own .. 'lane:' .. keys[i]
    local rank = redis.call('ZRANK', laneKey, jobId)
    if rank ~= 0 then
      local first = redis.call('ZRANGE', laneKey, 0, 0, 'WITHSCORES')
      local name = first[1] and fieldsOf(prefix .. first[1], 'name')[1] or ''
      others[#others + 1] = { keys[i], rank or -1, first[1] or '', name, first[2] or '0' }
    end
  end
  return { keys, others, failsIn }
end

local function laneFacts(lane, isAlone)
  local laneKey = own .. 'lane:' .. lane
  local copy = redis.call('HMGET', own .. 'copy:' .. lane, 't', 'p')
  local first = redis.call('ZRANGE', laneKey, 0, 0, 'WITHSCORES')
  local inHand = redis.call('HGET', own .. '${IN_HAND_KEY}', lane) or ''
  local reply = { lane, redis.call('ZCARD', laneKey), copy[1] or '0', copy[2] or '0', inHand }
  if first[1] then
    reply[6] = { first[1], first[2], unpack(headFacts(first[1], isAlone)) }
    reply[6][11] = jointFacts(first[1], first[2])
  else
    reply[6] = {}
  end
  return reply
end

local function isIndexed()
  return redis.call('EXISTS', own .. 'indexed') == 1 or redis.call('EXISTS', KEYS[1]) == 0
end
`;

/**
 * One lane.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] the lane's key
 *   Returns [milliseconds since 1970, a QueueReply, a LaneReply]
 */
export const VIEW_LANE: Script = {
  name: 'torilViewLane',
  numberOfKeys: 1,
  lua: `${LANE_FACTS_LUA}
return { string.format('%d', nowMs), queueFacts(), laneFacts(ARGV[2], true) }
`,
};

/**
 * A page of the index. What is found in a wrong place is put right, and passed over.
 *
 *   KEYS[1] sequence  ARGV[1] key prefix  ARGV[2] which: lanes, held or runnable  ARGV[3] oldest or newest
 *   ARGV[4], ARGV[5] the sequence and the key to begin behind, or ''  ARGV[6] lanes at most  ARGV[7] what the keys contain
 *   Returns [milliseconds since 1970, a QueueReply, the sequence and the key to go on behind or '', LaneReplies]; 0: there is
 *   no index yet
 */
export const VIEW_PAGE: Script = {
  name: 'torilViewPage',
  numberOfKeys: 1,
  lua: `${LANE_FACTS_LUA}
if not isIndexed() then return 0 end
local which, isOldest, after, afterKey, most, search = ARGV[2], ARGV[3] == 'oldest', ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7]
local set = own .. (which == 'held' and 'held' or 'lanes')
local look = search == '' and which ~= 'runnable' and most + 1 + ${ALIKE_MAX} or ${SEARCHED_MAX}
local command = isOldest and 'ZRANGEBYSCORE' or 'ZREVRANGEBYSCORE'
local from = after == '' and (isOldest and '-inf' or '+inf') or after
local found = redis.call(command, set, from, isOldest and '+inf' or '-inf', 'WITHSCORES', 'LIMIT', 0, look)
local anyHeld = which == 'runnable' and redis.call('EXISTS', own .. 'held') == 1
local lanes, last, lastKey, isCut = {}, '', '', #found == look * 2

-- As Redis orders members of one score, which are the lanes of a job of several keys; Lua's own comparison goes by the locale.
local function isBefore(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

local function isBehind(lane, sequence)
  if sequence ~= after then return true end
  if isOldest then return isBefore(afterKey, lane) end
  return isBefore(lane, afterKey)
end

for i = 1, #found, 2 do
  local lane = found[i]
  local isWanted = isBehind(lane, found[i + 1]) and (search == '' or string.find(lane, search, 1, true))
  if isWanted and not (anyHeld and redis.call('ZSCORE', own .. 'held', lane)) then
    if #lanes == most then
      isCut = true
      break
    end
    local facts = laneFacts(lane, false)
    local head = facts[6]
    local isHeld = head[3] == 'failed' or head[7] == 'held'
    if head[2] == found[i + 1] and (which == 'lanes' or isHeld == (which == 'held')) then
      lanes[#lanes + 1] = facts
    else
      reindex(own, prefix, lane)
    end
  end
  last, lastKey = found[i + 1], lane
end
return { string.format('%d', nowMs), queueFacts(), isCut and last or '', lastKey, lanes }
`,
};

/**
 * All lanes in numbers.
 *
 *   KEYS[1] sequence  ARGV[1] key prefix
 *   Returns [milliseconds since 1970, a QueueReply, keys, held keys, the first entry of the oldest lane, of the oldest that is
 *   not held]: an entry is [key, job id, sequence], or empty; 0: there is no index yet
 */
export const VIEW_COUNTS: Script = {
  name: 'torilViewCounts',
  numberOfKeys: 1,
  lua: `${LANE_FACTS_LUA}
if not isIndexed() then return 0 end
for _, lane in ipairs(redis.call('ZRANGE', own .. 'held', 0, ${HELD_MAX - 1})) do reindex(own, prefix, lane) end

-- Entries of lanes that are not there any more are dropped on the way.
local function oldest(isWanted)
  local from = 0
  while true do
    local lanes = redis.call('ZRANGE', own .. 'lanes', from, from + 99)
    for i = 1, #lanes do
      local first = redis.call('ZRANGE', own .. 'lane:' .. lanes[i], 0, 0, 'WITHSCORES')
      if not first[1] then
        reindex(own, prefix, lanes[i])
        from = from - 1
      elseif isWanted(lanes[i]) then
        return { lanes[i], first[1], first[2] }
      end
    end
    if #lanes < 100 then return {} end
    from = from + 100
  end
end

local held = redis.call('ZCARD', own .. 'held')
local first = oldest(function() return true end)
local firstFree = first
if held > 0 then
  firstFree = oldest(function(lane) return not redis.call('ZSCORE', own .. 'held', lane) end)
end
return { string.format('%d', nowMs), queueFacts(), redis.call('ZCARD', own .. 'lanes'), held, first, firstFree }
`,
};
