import { PARKED_FIELD, type Script } from './script.ts';

const NOW_MS_LUA = `local time = call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
`;

/**
 * Jobs of one slow or standing lane that BullMQ would deliver next are parked before they are
 * delivered: one by one, 5,000 of them kept everybody else waiting for 1.6 s. Looks at the end of
 * BullMQ's wait list from which it delivers, moves those of the lane to its delayed set and puts the
 * others back as they were. Each waits for its turn; beyond the longest delay they are spread over its
 * second half. The lane's first job stays: it may be what the others wait for. What else BullMQ's own
 * moveToDelayed does is left to TELL_PARKED: it takes 5 of 8 µs per job, and everybody waits for this.
 *
 *   KEYS[1] sequence (unused)  KEYS[2] wait  KEYS[3] delayed  KEYS[4] marker
 *   ARGV[1] key prefix  ARGV[2] lane's key  ARGV[3] jobs to look at  ARGV[4] ms per rank
 *   ARGV[5] ms at least  ARGV[6] ms at most
 *   Returns [jobs parked, jobs looked at]
 */
export const PARK_AHEAD: Script = {
  name: 'torilParkAhead',
  numberOfKeys: 4,
  lua: `
local call, prefix, laneKey = redis.call, ARGV[1], ARGV[1] .. 'lane:' .. ARGV[2]
local perRank, atLeast, atMost = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local jobIds = call('RPOP', KEYS[2], ARGV[3])
if not jobIds then return { 0, 0 } end
${NOW_MS_LUA}
local others, parked = {}, {}
for i = 1, #jobIds do
  local jobId = jobIds[i]
  local rank = call('ZRANK', laneKey, jobId)
  if rank and rank > 0 then
    local delay = math.max(rank * perRank, atLeast)
    if delay > atMost then delay = atMost * (1 + (rank * 7919) % 1000 / 1000) / 2 end
    parked[#parked + 1] = string.format('%.0f', (now + math.ceil(delay)) * 4096 + i % 4096)
    parked[#parked + 1] = jobId
    local attempts = call('HGET', prefix .. jobId, 'atm')
    if attempts then call('HSET', prefix .. jobId, '${PARKED_FIELD}', attempts) end
  else
    others[#others + 1] = jobId
  end
end
for i = #others, 1, -1 do call('RPUSH', KEYS[2], others[i]) end
if #parked > 0 then
  call('ZADD', KEYS[3], unpack(parked))
  local first = call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
  call('ZADD', KEYS[4], string.format('%.0f', math.floor(tonumber(first[2]) / 4096)), '1')
end
return { #parked / 2, #jobIds }
`,
};

/**
 * Notes of jobs that were parked ahead what BullMQ notes of a delayed job, and tells it: for people who
 * look; nothing depends on it. Those of which it is noted already, or that are back meanwhile, are passed over.
 *
 *   KEYS[1] sequence (unused)  KEYS[2] delayed  KEYS[3] events  KEYS[4] meta
 *   ARGV[1] key prefix  ARGV[2] lane's key  ARGV[3] behind which sequence to begin  ARGV[4] jobs to look at
 *   Returns [jobs told of, the last sequence looked at, or '' at the lane's end]
 */
export const TELL_PARKED: Script = {
  name: 'torilTellParked',
  numberOfKeys: 4,
  lua: `
local call, prefix = redis.call, ARGV[1]
local lane = call('ZRANGEBYSCORE', prefix .. 'lane:' .. ARGV[2], '(' .. ARGV[3], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[4])
${NOW_MS_LUA}
local told = 0
for i = 1, #lane, 2 do
  local jobId = lane[i]
  local score = call('ZSCORE', KEYS[2], jobId)
  if score and call('HGET', prefix .. jobId, 'delay') == '0' then
    local due = math.floor(tonumber(score) / 4096)
    call('HSET', prefix .. jobId, 'delay', string.format('%.0f', math.max(due - now, 1)))
    call('XADD', KEYS[3], '*', 'event', 'delayed', 'jobId', jobId, 'delay', string.format('%.0f', due))
    told = told + 1
  end
end
if told > 0 then
  call('XTRIM', KEYS[3], 'MAXLEN', '~', call('HGET', KEYS[4], 'opts.maxLenEvents') or '10000')
end
return { told, #lane < 2 * tonumber(ARGV[4]) and '' or lane[#lane] }
`,
};
