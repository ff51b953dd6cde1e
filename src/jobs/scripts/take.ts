import { SEQUENCE_LUA } from '../../base/sequence-lua.ts';
import { SINCE_CHECKPOINT_LUA } from './history.ts';
import { DIRECTIVE_FIELD, OUTCOME_FIELD, type Script } from './script.ts';

/** Milliseconds for which a copy stays that a commit may be built on: longer than any value lives. */
export const COPY_IN_USE_MS: number = 60 * 24 * 60 * 60 * 1000;

/**
 * For each key of this moment: a fencing token, the copy, and the lane's head. Jobs that were
 * delivered but are in no lane and have no outcome (delayed, scheduled, parents of flows, jobs of
 * producers without Toril) enter now. An entry whose job BullMQ no longer has is dropped.
 * Running it twice (a lost reply) is harmless: a token more, nothing entered twice.
 *
 *   KEYS[1] sequence  KEYS[2] BullMQ's delayed set  KEYS[3] BullMQ's meta hash
 *   ARGV[1] key prefix
 *   ARGV[2...] per key: key, cell token, cell base ('' both: no cell), jobs at most, characters of
 *     data at most, number of arrivals, then the arrivals' ids
 *
 *   Returns [paused, then per key: [facts, value, entries, decided (id, outcome, ...)]]
 *   facts: token, copy token, watermark, cascade to, length, head due, commits in the history since
 *     one that a replay can begin at (-1: none) and ms until the value expires (0: never), with blanks
 *     between
 *   entries, 4 strings each: id, name, data, and sequence, attempts made, stalls, finished, directive
 *     and why it failed, with blanks between
 *   value: '+' and JSON, '-' deleted, '0' not kept, '?' not sent
 */
export const TAKE: Script = {
  name: 'torilTake',
  numberOfKeys: 3,
  lua: `${SEQUENCE_LUA}
local prefix = ARGV[1]
local at = 2
local nowMs = math.floor(nowMicros / 1000)
${SINCE_CHECKPOINT_LUA}
local function copyOf(copyKey, cellToken, cellBase)
  local copy = redis.call('HMGET', copyKey, 't', 'w', 'x', 'c', 'h')
  local token = copy[1] or '0'
  local value = '?'
  if copy[3] and tonumber(copy[3]) <= nowMs then
    value = '-'
  elseif not copy[1] then
    value = '-'
  elseif cellToken ~= token and cellBase ~= token then
    value = redis.call('HGET', copyKey, 'v')
  end
  local expiresIn = math.max(0, tonumber(copy[3] or '0') - nowMs)
  return token, copy[2] or '0', value, copy[4] or '0', sinceCheckpoint(copy[5], token), expiresIn, copy[3]
end

-- Few and long strings: every string of a reply costs the client more than every character.
local headAttempts = '0'
local function append(entries, jobId, sequence)
  local job = redis.call('HMGET', prefix .. jobId, 'name', 'data', 'atm', 'stc', 'finishedOn', 'failedReason', '${DIRECTIVE_FIELD}')
  if not job[1] then return nil end
  local finished = 'no'
  if job[5] then
    -- Not by failedReason: BullMQ leaves that of an earlier attempt where it was.
    finished = redis.call('HEXISTS', prefix .. jobId, 'returnvalue') == 1 and 'completed' or 'failed'
  end
  local attempts = job[3] or '0'
  if #entries == 0 then headAttempts = attempts end
  local n = #entries
  entries[n + 1] = jobId
  entries[n + 2] = job[1]
  entries[n + 3] = job[2] or '{}'
  entries[n + 4] = table.concat({ sequence, attempts, job[4] or '0', finished, job[7] or '', job[6] or '' }, ' ')
  return #entries[n + 3]
end

-- One that is finished was delivered to somebody who froze, and has left its lane since.
local function isUnfinished(jobKey)
  local job = redis.call('HMGET', jobKey, 'name', 'finishedOn')
  return job[1] and not job[2]
end

local result = { redis.call('HEXISTS', KEYS[3], 'paused') }
while at <= #ARGV do
  local key, cellToken, cellBase = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local jobsMax, dataMax, arrivals = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local laneKey = prefix .. 'lane:' .. key
  local token = draw()
  local copyToken, watermark, value, cascadeTo, since, expiresIn, expiry = copyOf(prefix .. 'copy:' .. key, cellToken, cellBase)

  local entries, present, data, count, dropped, entered = {}, {}, 0, 0, 0, 0
  local head = redis.call('ZRANGE', laneKey, 0, jobsMax - 1, 'WITHSCORES')
  for i = 1, #head, 2 do
    present[head[i]] = true
    if data < dataMax then
      local size = append(entries, head[i], string.format('%.0f', tonumber(head[i + 1])))
      if size then
        data = data + size
        count = count + 1
      else
        redis.call('ZREM', laneKey, head[i])
        dropped = dropped + 1
      end
    end
  end

  local decided = {}
  for i = at + 6, at + 5 + arrivals do
    local jobId = ARGV[i]
    if not present[jobId] then
      local outcome = redis.call('HGET', prefix .. jobId, '${OUTCOME_FIELD}')
      if outcome and outcome ~= '' then
        decided[#decided + 1] = jobId
        decided[#decided + 1] = outcome
      elseif not redis.call('ZSCORE', laneKey, jobId) and isUnfinished(prefix .. jobId) then
        local sequence = draw()
        redis.call('ZADD', laneKey, sequence, jobId)
        entered = entered + 1
        if #head < jobsMax * 2 and data < dataMax and count < jobsMax then
          data = data + append(entries, jobId, sequence)
          count = count + 1
        end
      end
    end
  end

  -- A commit may follow, and must find the copy that it is built on: a copy that expired in between
  -- would make its cell look newer than Redis. Acknowledging sets the expiry anew.
  if #entries > 0 and expiry then redis.call('PEXPIRE', prefix .. 'copy:' .. key, ${COPY_IN_USE_MS}) end

  local headDue = '0'
  if #entries > 0 and headAttempts ~= '0' then
    local due = redis.call('ZSCORE', KEYS[2], entries[1])
    if due then headDue = string.format('%.0f', math.floor(tonumber(due) / 4096)) end
  end
  local length = #head / 2 - dropped + entered
  if #head == jobsMax * 2 then length = redis.call('ZCARD', laneKey) end
  local facts = table.concat({ token, copyToken, watermark, cascadeTo, length, headDue, since, expiresIn }, ' ')
  result[#result + 1] = { facts, value, entries, decided }
  at = at + 6 + arrivals
end
saveDrawn()
return result
`,
};
