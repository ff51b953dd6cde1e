import { PARKED_FIELD, type Script } from './script.ts';

/**
 * Jobs of one slow or standing lane that BullMQ would deliver next are parked before they are
 * delivered: one by one, 5,000 of them kept everybody else waiting for 1.6 s. Looks at the end of
 * BullMQ's wait list from which it delivers, moves those of the lane to its delayed set, as its own
 * moveToDelayed does, and puts the others back as they were. Each waits for
 * its turn; beyond the longest delay they are spread over its second half. The lane's first job stays:
 * it may be what the others wait for.
 *
 *   KEYS[1] sequence (unused)  KEYS[2] wait  KEYS[3] delayed  KEYS[4] marker  KEYS[5] events  KEYS[6] meta
 *   ARGV[1] key prefix  ARGV[2] lane's key  ARGV[3] jobs to look at  ARGV[4] ms per rank
 *   ARGV[5] ms at least  ARGV[6] ms at most
 *   Returns [jobs parked, jobs looked at]
 */
export const PARK_AHEAD: Script = {
  name: 'torilParkAhead',
  numberOfKeys: 6,
  lua: `
local prefix, laneKey = ARGV[1], ARGV[1] .. 'lane:' .. ARGV[2]
local perRank, atLeast, atMost = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local jobIds = redis.call('RPOP', KEYS[2], ARGV[3])
if not jobIds then return { 0, 0 } end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local maxEvents = redis.call('HGET', KEYS[6], 'opts.maxLenEvents') or '10000'

local others, parked = {}, 0
for i = 1, #jobIds do
  local jobId = jobIds[i]
  local rank = redis.call('ZRANK', laneKey, jobId)
  if rank and rank > 0 then
    local delay = math.max(rank * perRank, atLeast)
    if delay > atMost then delay = atMost * (1 + (rank * 7919) % 1000 / 1000) / 2 end
    delay = math.ceil(delay)
    redis.call('ZADD', KEYS[3], string.format('%.0f', (now + delay) * 4096 + i % 4096), jobId)
    local attempts = redis.call('HGET', prefix .. jobId, 'atm')
    redis.call('HSET', prefix .. jobId, 'delay', delay)
    if attempts then redis.call('HSET', prefix .. jobId, '${PARKED_FIELD}', attempts) end
    redis.call('XADD', KEYS[5], 'MAXLEN', '~', maxEvents, '*', 'event', 'delayed', 'jobId', jobId, 'delay', string.format('%.0f', now + delay))
    parked = parked + 1
  else
    others[#others + 1] = jobId
  end
end
for i = #others, 1, -1 do redis.call('RPUSH', KEYS[2], others[i]) end
if parked > 0 then
  local first = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
  redis.call('ZADD', KEYS[4], string.format('%.0f', math.floor(tonumber(first[2]) / 4096)), '1')
end
return { parked, #jobIds }
`,
};
