import type { Script } from './script.ts';

/**
 * Completes many jobs and fetches as many: what BullMQ's `moveToFinished` and `moveToActive` do for
 * one job per call, done once for all where that is the same (locks, sets, the trimming of events):
 * 8 commands per job instead of 24. Only ordinary jobs of an unrestricted queue: one that has a
 * parent, children or a deduplication id, whose lock is not ours, or that is not active, is left
 * untouched ('slow'), as all are while the queue is paused or limited; BullMQ's own script then does
 * what has to be done or says what is wrong. Where fetching needs more than the wait list (delayed
 * jobs that are due, priorities), BullMQ's own fetches ('fetch').
 *
 *   KEYS[1] wait  KEYS[2] active  KEYS[3] prioritized  KEYS[4] events  KEYS[5] stalled  KEYS[6] delayed
 *   KEYS[7] meta  KEYS[8] completed  KEYS[9] marker  KEYS[10] priority counter
 *   ARGV[1] key prefix  ARGV[2] now, milliseconds since 1970  ARGV[3] milliseconds that a lock lasts
 *   ARGV[4] the worker's name or ''
 *   ARGV[5...] per job: id, lock token, result as JSON, 2 flags ('1' or '0'): fetch another one;
 *     remove it instead of keeping it as completed
 *
 *   Returns JSON, since one string is decoded ten times faster than a tree of them; per job:
 *   'slow', 'fetch', 0 (finished, and nothing waits), or what BullMQ's script answers:
 *   [fields and values of the job fetched, its id, 0, 0] or [0, 0, 0, when the next one is due]
 */
export const FINISH: Script = {
  name: 'torilFinish',
  numberOfKeys: 10,
  lua: `
local wait, active, prioritized, events, stalled = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local delayed, meta, completed, marker, priorityCounter = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local prefix, now, lockMs, workerName = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local ARGUMENTS = 5
local call = redis.call
local count = (#ARGV - 4) / ARGUMENTS
local answers = {}

-- What is set for the whole queue.
local settings = call('HMGET', meta, 'opts.maxLenEvents', 'paused', 'concurrency', 'max')
if settings[2] or settings[3] or settings[4] then
  for n = 1, count do answers[n] = 'slow' end
  return cjson.encode(answers)
end
local eventsMax = settings[1]
if not eventsMax then
  eventsMax = '10000'
  call('HSET', meta, 'opts.maxLenEvents', eventsMax)
end

-- The tokens of the jobs' locks (of none, if one of the jobs may have children), and the locks' keys.
local function lockTokens()
  local locks, children = {}, {}
  for n = 1, count do
    local jobKey = prefix .. ARGV[n * ARGUMENTS]
    locks[n] = jobKey .. ':lock'
    children[2 * n - 1] = jobKey .. ':dependencies'
    children[2 * n] = jobKey .. ':unsuccessful'
  end
  if call('EXISTS', unpack(children)) > 0 then return {}, locks end
  return call('MGET', unpack(locks)), locks
end

local function finish()
  local tokens, locks = lockTokens()
  local done, ids, scores, keys = 0, {}, {}, {}
  for n = 1, count do
    local at = n * ARGUMENTS
    local jobId, result = ARGV[at], ARGV[at + 2]
    local jobKey = prefix .. jobId
    -- An error in the midst of the script would leave those before it half finished.
    local job = redis.pcall('HMGET', jobKey, 'name', 'atm', 'parentKey', 'parent', 'deid')
    local isPlain = not job.err and job[1] and not job[3] and not job[4] and not job[5]
    if isPlain and tokens[n] == ARGV[at + 1] and call('LREM', active, -1, jobId) > 0 then
      if done == 0 then call('XTRIM', events, 'MAXLEN', '~', eventsMax) end
      done = done + 1
      ids[done], keys[done] = jobId, locks[n]
      if ARGV[at + 4] == '1' then
        call('DEL', jobKey, jobKey .. ':logs', jobKey .. ':dependencies', jobKey .. ':processed', jobKey .. ':failed', jobKey .. ':unsuccessful')
      else
        scores[#scores + 1] = now
        scores[#scores + 1] = jobId
        call('HSET', jobKey, 'returnvalue', result, 'finishedOn', now, 'atm', (tonumber(job[2]) or 0) + 1)
      end
      call('XADD', events, '*', 'event', 'completed', 'jobId', jobId, 'returnvalue', result, 'prev', 'active')
      answers[n] = 0
    else
      answers[n] = 'slow'
    end
  end
  if done == 0 then return end
  call('DEL', unpack(keys))
  call('SREM', stalled, unpack(ids))
  if #scores > 0 then call('ZADD', completed, unpack(scores)) end
end

-- Those that are answered 0 and want another job.
local function wanting()
  local places = {}
  for n = 1, count do
    if answers[n] == 0 and ARGV[n * ARGUMENTS + 3] == '1' then places[#places + 1] = n end
  end
  return places
end

local function isSimple(jobIds)
  for i = 1, #jobIds do
    if string.sub(jobIds[i], 1, 2) == '0:' then return false end -- a marker of an older BullMQ
  end
  return true
end

local function start(jobId, token)
  local jobKey = prefix .. jobId
  call('SET', jobKey .. ':lock', token, 'PX', lockMs)
  call('XADD', events, '*', 'event', 'active', 'jobId', jobId, 'prev', 'waiting')
  if workerName == '' then
    call('HSET', jobKey, 'processedOn', now)
  else
    call('HSET', jobKey, 'processedOn', now, 'pb', workerName)
  end
  call('HINCRBY', jobKey, 'ats', 1)
  return { call('HGETALL', jobKey), jobId, 0, 0 }
end

local function fetch(places)
  if #places == 0 then return end
  local isDue = call('ZRANGEBYSCORE', delayed, 0, (now + 1) * 4096 - 1, 'LIMIT', 0, 1)[1]
  if isDue then
    for _, n in ipairs(places) do answers[n] = 'fetch' end
    return
  end
  local jobIds = call('RPOP', wait, #places) or {}
  if not isSimple(jobIds) then
    for i = #jobIds, 1, -1 do call('RPUSH', wait, jobIds[i]) end
    for _, n in ipairs(places) do answers[n] = 'fetch' end
    return
  end
  if #jobIds > 0 then
    call('LPUSH', active, unpack(jobIds))
    call('ZADD', marker, 0, '0')
  end
  for i = 1, #jobIds do
    local n = places[i]
    answers[n] = start(jobIds[i], ARGV[n * ARGUMENTS + 1])
  end
  if #jobIds == #places then return end
  local without = 0
  if call('EXISTS', prioritized) == 1 then
    without = 'fetch'
  else
    call('DEL', priorityCounter)
    local first = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
    if first[2] then without = { 0, 0, 0, math.floor(first[2] / 4096) } end
  end
  for i = #jobIds + 1, #places do answers[places[i]] = without end
end

local function isDrained()
  for n = 1, count do
    if answers[n] == 0 then
      return call('EXISTS', wait, active, prioritized) == 0
    end
  end
  return false
end

finish()
fetch(wanting())
if isDrained() then call('XADD', events, '*', 'event', 'drained') end
return cjson.encode(answers)
`,
};
