import { SEQUENCE_LUA } from '../../base/sequence-lua.ts';
import { PLAIN_APPLIED } from '../outcome.ts';
import { RECORD_LUA } from './history.ts';
import { ALONE_FIELD, DIRECTIVE_FIELD, OUTCOME_FIELD, type Script } from './script.ts';

/**
 * Makes commits that landed in memcached the state of their keys: writes the durable copy, takes
 * the decided jobs out of the lane and leaves each job's outcome in its hash, all in one step. A job
 * that BullMQ has failed without us is not told that it failed: somebody may retry it. But if it was
 * applied all the same, it must know.
 * A job that holds its lane is marked, so that nobody tries it while BullMQ is being told.
 * Refused unless the copy is what the commit was built on: Redis has the last word. Accepted
 * without doing anything if it was acknowledged before (by us, with a lost reply, or by whoever
 * found the cell).
 *
 *   KEYS[1] sequence  KEYS[2] BullMQ's delayed set
 *   ARGV[1] key prefix
 *   ARGV[2...] per key: key, base, token, watermark, value ('+' and JSON, '-', '0'), expiry in ms,
 *     copy's own expiry in ms (0: never), pace in ms, number of decisions, number of the note's
 *     arguments (0: not for the history), then job id and decision each, then the note (history.ts)
 *
 *   Returns per key: [1 or 0, ids of decided jobs that BullMQ holds back as delayed...]
 */
export const ACKNOWLEDGE: Script = {
  name: 'torilAcknowledge',
  numberOfKeys: 2,
  lua: `${SEQUENCE_LUA}
local prefix = ARGV[1]
local at = 2
local anyDelayed = redis.call('EXISTS', KEYS[2]) == 1
${RECORD_LUA}
-- A copy expires with its value and a while after; field x says when the value does.
local function writeCopy(copyKey, hadExpiry, token, watermark, value, expireMs, copyExpireMs, pace)
  redis.call('HSET', copyKey, 't', token, 'w', watermark, 'p', pace, 'v', value)
  if copyExpireMs ~= '0' then
    redis.call('HSET', copyKey, 'x', string.format('%.0f', math.floor(nowMicros / 1000) + tonumber(expireMs)))
    redis.call('PEXPIRE', copyKey, copyExpireMs)
  elseif hadExpiry then
    redis.call('HDEL', copyKey, 'x')
    redis.call('PERSIST', copyKey)
  end
end

local function leaveLane(key, watermark, decisions, answer)
  local laneKey = prefix .. 'lane:' .. key
  local moved, cascades = {}, false
  local jobIds = redis.call('ZRANGEBYSCORE', laneKey, '-inf', watermark)
  for i = 1, #jobIds do
    local jobId = jobIds[i]
    local jobKey = prefix .. jobId
    local decision = decisions[jobId] or '${PLAIN_APPLIED}'
    local kind = string.sub(decision, 1, 1)
    if kind == 'm' then
      moved[#moved + 1] = jobId
      redis.call('HDEL', jobKey, '${DIRECTIVE_FIELD}')
    elseif kind ~= 's' then
      local job = redis.call('HMGET', jobKey, 'name', 'finishedOn')
      if job[1] and (kind == 'a' or not job[2]) then
        redis.call('HSET', jobKey, '${OUTCOME_FIELD}', decision)
        if anyDelayed and redis.call('ZSCORE', KEYS[2], jobId) then answer[#answer + 1] = jobId end
      end
    end
    if kind == 'c' then cascades = true end
  end
  if #jobIds > 0 then redis.call('ZREMRANGEBYSCORE', laneKey, '-inf', watermark) end
  if cascades then
    local last = redis.call('ZRANGE', laneKey, -1, -1, 'WITHSCORES')
    if last[2] then
      redis.call('HSET', prefix .. 'copy:' .. key, 'c', string.format('%.0f', tonumber(last[2])))
    end
  end
  for i = 1, #moved do
    redis.call('HDEL', prefix .. moved[i], '${ALONE_FIELD}')
    redis.call('ZADD', laneKey, draw(), moved[i])
  end
end

local function hold(jobKey, reason)
  local job = redis.call('HMGET', jobKey, 'name', 'finishedOn')
  if job[1] and not job[2] then
    redis.call('HSET', jobKey, '${DIRECTIVE_FIELD}', 'held', 'failedReason', reason)
  end
end

local result = {}
while at <= #ARGV do
  local key, base, token, watermark, value = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local count, note = tonumber(ARGV[at + 8]), tonumber(ARGV[at + 9])
  local noteAt = at + 10 + count * 2
  local copyKey = prefix .. 'copy:' .. key
  local copy = redis.call('HMGET', copyKey, 't', 'x')
  local copyToken = copy[1] or '0'
  local answer = { 1 }
  if base == 'any' or (copyToken == base and copyToken ~= token) then
    local decisions = {}
    for i = at + 10, noteAt - 2, 2 do decisions[ARGV[i]] = ARGV[i + 1] end
    -- First what can fail (somebody keeps something else under the stream's name): a script is not undone.
    if note > 0 then record(key, copyToken, token, watermark, value, decisions, noteAt, note) end
    writeCopy(copyKey, copy[2], token, watermark, value, ARGV[at + 5], ARGV[at + 6], ARGV[at + 7])
    leaveLane(key, watermark, decisions, answer)
    for jobId, decision in pairs(decisions) do
      if string.sub(decision, 1, 1) == 'h' then hold(prefix .. jobId, string.sub(decision, 2)) end
    end
  elseif copyToken ~= token then
    answer[1] = 0
  end
  result[#result + 1] = answer
  at = noteAt + note
end
trimHistory()
saveDrawn()
return result
`,
};
