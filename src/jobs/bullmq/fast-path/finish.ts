import { type Packed, PACKING_LUA } from '../../redis/scripts/packing.ts';
import { OUTCOME_FIELD, type Script } from '../../redis/scripts/script.ts';
import { NOW_MS_LUA } from '../state/timed.ts';
import { FIELD, SCORE_PER_MS } from '../state/layout.ts';

/**
 * What holds for all jobs of a call: milliseconds that a lock lasts, and the worker's name or ''. As text, like
 * all numbers in these scripts that only pass through: making one of a Lua number takes Redis as
 * long as a small command.
 */
export type FinishSettings = readonly [lockMs: string, workerName: string];

/**
 * `result`: JSON. Flags: fetch another job with the same token; remove this one instead of keeping it. `delivery`: its name
 * (state/timed.ts), '' where nothing is done twice.
 */
export type FinishArguments = readonly [
  jobId: string,
  token: string,
  result: Packed,
  wantsNext: 0 | 1,
  remove: 0 | 1,
  delivery: string,
];

/**
 * A fragment for scripts whose `prefix` is the queue's and `call` Redis's. Completes many jobs and
 * fetches as many: what BullMQ's `moveToFinished` and `moveToActive` do for one job per call, done
 * once for all where that is the same (locks, sets, the trimming of events): 7 commands per job
 * instead of 24. Only ordinary jobs of an unrestricted queue: one that has a parent, children or a
 * deduplication id, whose lock is not ours, or that is not active, is left untouched ('slow'), as
 * all are while the queue is paused or limited; BullMQ's own script then does what has to be done or
 * says what is wrong. Where fetching needs more than the wait list (delayed jobs that are due,
 * priorities, an id whose job is gone), BullMQ's own fetches ('fetch').
 *
 * `finishAll` takes FinishArguments, with a job's outcome behind them if it is to be kept; and the
 * settings, by Redis's time `nowMs`. It returns per job: 'slow', 'fetch', 0 (finished, and nothing waits or is wanted), or
 * what BullMQ's script answers: [fields and values of the job fetched, its id] or
 * [0, 0, 0, when the next one is due]. `told` makes the reply of it: as JSON the answers, behind them the time
 * (as text: a number takes Redis 0.4 µs), and what else is to be told.
 */
export const FINISHING_LUA: string = `
local active, events, delayed = prefix .. 'active', prefix .. 'events', prefix .. 'delayed'

-- How many events to keep; nil if the queue is restricted.
local function eventsLimit()
  local meta = prefix .. 'meta'
  local settings = call('HMGET', meta, 'opts.maxLenEvents', 'paused', 'concurrency', 'max')
  if settings[2] or settings[3] or settings[4] then return nil end
  if settings[1] then return settings[1] end
  call('HSET', meta, 'opts.maxLenEvents', '10000')
  return '10000'
end

-- The tokens of the jobs' locks (of none, if one of the jobs may have children), and the locks' keys.
local function lockTokens(jobs)
  local locks, children = {}, {}
  for n = 1, #jobs do
    local jobKey = prefix .. jobs[n][1]
    locks[n] = jobKey .. ':lock'
    children[2 * n - 1] = jobKey .. ':dependencies'
    children[2 * n] = jobKey .. ':unsuccessful'
  end
  if call('EXISTS', unpack(children)) > 0 then return {}, locks end
  return call('MGET', unpack(locks)), locks
end

local function oneMore(count)
  if not count or count == '0' then return '1' end
  return tostring(tonumber(count) + 1)
end

local function keepCompleted(jobKey, result, attempts, outcome)
  if outcome then
    call('HSET', jobKey, 'returnvalue', result, 'finishedOn', nowMs, '${FIELD.attemptsMade}', attempts, '${OUTCOME_FIELD}', outcome)
  else
    call('HSET', jobKey, 'returnvalue', result, 'finishedOn', nowMs, '${FIELD.attemptsMade}', attempts)
  end
end

-- The field that names a delivery, where one is told.
local UNNAMED, NAMED = {}, { 'processedOn' }
local function finish(jobs, answers)
  local eventsMax = eventsLimit()
  local tokens, locks = lockTokens(jobs)
  local ids, scores, keys = {}, {}, {}
  for n = 1, #jobs do
    local jobId, token, result, _, remove, delivery, outcome = unpack(jobs[n])
    local jobKey = prefix .. jobId
    -- An error in the midst of the script would leave those before it half finished.
    local job = redis.pcall('HMGET', jobKey, 'name', '${FIELD.attemptsMade}', 'parentKey', 'parent', '${FIELD.deduplicationId}', unpack(delivery == '' and UNNAMED or NAMED))
    local isPlain = eventsMax and not job.err and job[1] and not job[3] and not job[4] and not job[5]
    local isHeld = isPlain and tokens[n] == token and (delivery == '' or delivery == job[6])
    if isHeld and call('LREM', active, '-1', jobId) > 0 then
      if #ids == 0 then call('XTRIM', events, 'MAXLEN', '~', eventsMax) end
      ids[#ids + 1], keys[#keys + 1] = jobId, locks[n]
      if remove == 1 then
        call('DEL', jobKey, jobKey .. ':logs', jobKey .. ':dependencies', jobKey .. ':processed', jobKey .. ':failed', jobKey .. ':unsuccessful')
      else
        scores[#scores + 1], scores[#scores + 2] = nowMs, jobId
        keepCompleted(jobKey, result, oneMore(job[2]), outcome)
      end
      call('XADD', events, '*', 'event', 'completed', 'jobId', jobId, 'returnvalue', result, 'prev', 'active')
      answers[n] = 0
    else
      answers[n] = 'slow'
    end
  end
  if #ids == 0 then return end
  call('DEL', unpack(keys))
  call('SREM', prefix .. 'stalled', unpack(ids))
  if #scores > 0 then call('ZADD', prefix .. 'completed', unpack(scores)) end
end

-- Those that are answered 0 and want another job.
local function wanting(jobs, answers)
  local places = {}
  for n = 1, #jobs do
    if answers[n] == 0 and jobs[n][4] == 1 then places[#places + 1] = n end
  end
  return places
end

local function isSimple(jobIds)
  for i = 1, #jobIds do
    if string.sub(jobIds[i], 1, 2) == '0:' then return false end -- a marker of an older BullMQ
  end
  return true
end

-- What is written is put into what was read: one command less than reading it afterwards.
local function start(jobId, fields, token, lockMs, workerName)
  local jobKey = prefix .. jobId
  call('SET', jobKey .. ':lock', token, 'PX', lockMs)
  call('XADD', events, '*', 'event', 'active', 'jobId', jobId, 'prev', 'waiting')
  local size, before = #fields, nil
  for i = 1, size, 2 do
    if fields[i] == '${FIELD.attemptsStarted}' then before = fields[i + 1] end
  end
  local starts = oneMore(before)
  -- Behind the older ones of the same names, which they replace for one who reads in order.
  fields[size + 1], fields[size + 2], fields[size + 3], fields[size + 4] = 'processedOn', nowMs, '${FIELD.attemptsStarted}', starts
  if workerName == '' then
    call('HSET', jobKey, 'processedOn', nowMs, '${FIELD.attemptsStarted}', starts)
  else
    call('HSET', jobKey, 'processedOn', nowMs, '${FIELD.attemptsStarted}', starts, '${FIELD.processedBy}', workerName)
    fields[size + 5], fields[size + 6] = '${FIELD.processedBy}', workerName
  end
  return { fields, jobId }
end

local function fetch(places, jobs, lockMs, workerName, answers)
  if #places == 0 then return end
  local wait = prefix .. 'wait'
  local isDue = call('ZRANGEBYSCORE', delayed, 0, (nowMs + 1) * ${SCORE_PER_MS} - 1, 'LIMIT', 0, 1)[1]
  local jobIds = not isDue and (call('RPOP', wait, #places) or {})
  if jobIds and not isSimple(jobIds) then
    for i = #jobIds, 1, -1 do call('RPUSH', wait, jobIds[i]) end
    jobIds = false
  end
  if not jobIds then
    for _, n in ipairs(places) do answers[n] = 'fetch' end
    return
  end
  local started = {}
  for i = 1, #jobIds do
    local n, fields = places[i], redis.pcall('HGETALL', prefix .. jobIds[i])
    if not fields.err and #fields == 0 then break end -- an id without a job
    -- Somebody keeps something else there. It is delivered without a name, and then dropped.
    local isStarted, answer = true, { { 'id', jobIds[i] }, jobIds[i] }
    -- What Redis refuses half-way must not leave the others in no list.
    if not fields.err then isStarted, answer = pcall(start, jobIds[i], fields, jobs[n][2], lockMs, workerName) end
    if not isStarted then break end
    answers[n], started[i] = answer, jobIds[i]
  end
  if #started > 0 then
    call('LPUSH', active, unpack(started))
    call('ZADD', prefix .. 'marker', '0', '0')
  end
  for i = #jobIds, #started + 1, -1 do call('RPUSH', wait, jobIds[i]) end
  if #started == #places then return end
  local without = 0
  if #started < #jobIds or call('EXISTS', prefix .. 'prioritized') == 1 then
    without = 'fetch'
  else
    call('DEL', prefix .. 'pc')
    local first = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
    if first[2] then without = { 0, 0, 0, math.floor(first[2] / ${SCORE_PER_MS}) } end
  end
  for i = #started + 1, #places do answers[places[i]] = without end
end

local function isDrained(answers)
  for n = 1, #answers do
    if answers[n] == 0 then
      return call('EXISTS', prefix .. 'wait', active, prefix .. 'prioritized') == 0
    end
  end
  return false
end

local function finishAll(jobs, lockMs, workerName)
  local answers = {}
  finish(jobs, answers)
  fetch(wanting(jobs, answers), jobs, lockMs, workerName, answers)
  if isDrained(answers) then call('XADD', events, '*', 'event', 'drained') end
  return answers
end

local function told(answers, more)
  answers[#answers + 1] = nowMs
  answers[#answers + 1] = more
  return cjson.encode(answers)
end
`;

/**
 * Completes jobs without anything else.
 *
 *   KEYS[1] sequence (unused)
 *   ARGV[1] key prefix  ARGV[2...] packed: FinishSettings, then FinishArguments per job
 *   Returns what `told` makes of the answers: JSON, since one string is decoded ten times faster than a tree of them.
 */
export const FINISH: Script = {
  name: 'torilFinish',
  numberOfKeys: 1,
  lua: `
local call, prefix = redis.call, ARGV[1]
${NOW_MS_LUA}${PACKING_LUA}
${FINISHING_LUA}
local lockMs, workerName = unpack(table.remove(request, 1))
for _, job in ipairs(request) do job[3] = unpacked(job[3]) end
return told(finishAll(request, lockMs, workerName))
`,
};
