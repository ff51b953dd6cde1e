import { OWN_PREFIX_LUA } from '../../../../redis/own-keys.ts';
import { SNOOZED_FIELD, type Script } from '../../../redis/scripts/script.ts';
import { SNOOZED_LUA } from './snoozed.ts';
import { FIELD, SCORE_PER_MS } from '../layout.ts';

const NOW_MS_LUA = `local time = call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
`;

/**
 * Jobs of one slow or standing lane that BullMQ would deliver next are snoozed before they are
 * delivered: one by one, 5,000 of them kept everybody else waiting for 1.6 s. Looks at the end of
 * BullMQ's wait list from which it delivers, moves those of the lane to its delayed set and puts the
 * others back as they were. The lane's first job stays: it may be what the others wait for. Everybody
 * waits for this, so it does no more than that: all are due at one time, by which SCHEDULE_SNOOZED has
 * said of each when it comes back. If that dies half-way, the rest come back then.
 *
 *   KEYS[1] sequence (unused)  KEYS[2] wait  KEYS[3] delayed  KEYS[4] marker
 *   ARGV[1] key prefix  ARGV[2] lane's key  ARGV[3] jobs to look at  ARGV[4] ms until they are due
 *   Returns [jobs snoozed, jobs looked at, the lowest and the highest sequence of those snoozed]
 */
export const SNOOZE_AHEAD: Script = {
  name: 'torilSnoozeAhead',
  numberOfKeys: 4,
  lua: `
${OWN_PREFIX_LUA}${SNOOZED_LUA}local call, laneKey = redis.call, own .. 'lane:' .. ARGV[2]
local jobIds = call('RPOP', KEYS[2], ARGV[3])
if not jobIds then return { 0, 0 } end
${NOW_MS_LUA}
local due = string.format('%.0f', (now + tonumber(ARGV[4])) * ${SCORE_PER_MS})
local first = call('ZRANGE', laneKey, 0, 0)[1]
local inLane = call('ZMSCORE', laneKey, unpack(jobIds))
local others, snoozed, lowest, highest = {}, {}, math.huge, 0
for i = 1, #jobIds do
  local jobId = jobIds[i]
  if inLane[i] and jobId ~= first then
    local sequence = tonumber(inLane[i])
    lowest, highest = math.min(lowest, sequence), math.max(highest, sequence)
    snoozed[#snoozed + 1] = due
    snoozed[#snoozed + 1] = jobId
  else
    others[#others + 1] = jobId
  end
end
for i = #others, 1, -1 do call('RPUSH', KEYS[2], others[i]) end
if #snoozed == 0 then return { 0, #jobIds } end
call('ZADD', KEYS[3], unpack(snoozed))
noteSnoozed('wait', snoozed)
${markNextDueLua('KEYS[3]', 'KEYS[4]')}
return { #snoozed / 2, #jobIds, string.format('%.0f', lowest), string.format('%.0f', highest) }
`,
};

/**
 * Says of jobs that were snoozed ahead when they come back: each for its turn; beyond the longest delay they
 * are spread over its second half. Notes of them what BullMQ's own moveToDelayed notes, and tells it. Those
 * of which it is noted already, or that are back meanwhile, are passed over.
 *
 *   KEYS[1] sequence (unused)  KEYS[2] delayed  KEYS[3] marker  KEYS[4] events  KEYS[5] meta
 *   ARGV[1] key prefix  ARGV[2] lane's key  ARGV[3], ARGV[4] sequences from and to which to look, as ZRANGEBYSCORE
 *   takes them  ARGV[5] jobs to look at  ARGV[6] ms per rank  ARGV[7] ms at least  ARGV[8] ms at most
 *   Returns from where to go on; '': these were the last
 */
export const SCHEDULE_SNOOZED: Script = {
  name: 'torilScheduleSnoozed',
  numberOfKeys: 5,
  lua: `
${OWN_PREFIX_LUA}${SNOOZED_LUA}local call, prefix, laneKey = redis.call, ARGV[1], own .. 'lane:' .. ARGV[2]
local perRank, atLeast, atMost = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local lane = call('ZRANGEBYSCORE', laneKey, ARGV[3], ARGV[4], 'WITHSCORES', 'LIMIT', 0, ARGV[5])
local firstRank = lane[1] and call('ZRANK', laneKey, lane[1])
${NOW_MS_LUA}
local isAny, snoozed = false, { wait = {}, prioritized = {} }
for i = 1, #lane, 2 do
  local jobId, jobKey = lane[i], prefix .. lane[i]
  local score = call('ZSCORE', KEYS[2], jobId)
  local isSnoozed = score and math.floor(tonumber(score) / ${SCORE_PER_MS}) > now
  local job = isSnoozed and call('HMGET', jobKey, 'delay', '${FIELD.attemptsMade}', 'priority')
  if job and job[1] == '0' then
    local rank = firstRank + (i - 1) / 2
    local delay = math.max(rank * perRank, atLeast)
    if delay > atMost then delay = atMost * (1 + (rank * 7919) % 1000 / 1000) / 2 end
    delay = math.max(math.ceil(delay), 1)
    local due = string.format('%.0f', now + delay)
    local newScore = string.format('%.0f', (now + delay) * ${SCORE_PER_MS} + rank % ${SCORE_PER_MS})
    call('ZADD', KEYS[2], newScore, jobId)
    local of = snoozed[stateOfPriority(job[3])]
    of[#of + 1] = newScore
    of[#of + 1] = jobId
    call('HSET', jobKey, 'delay', string.format('%.0f', delay))
    if job[2] then call('HSET', jobKey, '${SNOOZED_FIELD}', job[2]) end
    call('XADD', KEYS[4], '*', 'event', 'delayed', 'jobId', jobId, 'delay', due)
    isAny = true
  end
end
if isAny then
  for state, of in pairs(snoozed) do
    if #of > 0 then noteSnoozed(state, of) end
  end
  ${markNextDueLua('KEYS[2]', 'KEYS[3]')}
  call('XTRIM', KEYS[4], 'MAXLEN', '~', call('HGET', KEYS[5], 'opts.maxLenEvents') or '10000')
end
return #lane < 2 * tonumber(ARGV[5]) and '' or '(' .. lane[#lane]
`,
};

/** For BullMQ: when idle workers have to look again. */
function markNextDueLua(delayed: string, marker: string): string {
  return `local next = call('ZRANGE', ${delayed}, 0, 0, 'WITHSCORES')
  call('ZADD', ${marker}, string.format('%.0f', math.floor(tonumber(next[2]) / ${SCORE_PER_MS})), '1')`;
}
