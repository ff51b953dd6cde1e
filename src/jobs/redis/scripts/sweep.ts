import { OWN_PREFIX_LUA } from '../../../redis/own-keys.ts';
import { REINDEX_LUA } from '../index/lane-index.ts';
import { FIELDS_LUA, LOST_LUA, OUTCOME_FIELD, type Script } from './script.ts';
import { WAKE_LUA } from '../../bullmq/state/snoozing/promote.ts';

/**
 * Takes entries out of lanes whose jobs BullMQ no longer has; a lane that has lost its first one goes on. Looks at a stretch of each
 * lane, so that no call blocks Redis for long.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] rank to begin at  ARGV[3] entries at most
 *   ARGV[4...] Redis keys of lanes
 *
 *   Returns lanes of which there is more to look at, each with the rank to go on at
 */
export const SWEEP: Script = {
  name: 'torilSweep',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}${LOST_LUA}${REINDEX_LUA}${WAKE_LUA}
local from, most = tonumber(ARGV[2]), tonumber(ARGV[3])
local more = {}
for i = 4, #ARGV do
  local lane = ARGV[i]
  local jobIds = redis.call('ZRANGE', lane, from, from + most - 1)
  local removed, lostHead = 0, false
  for at = 1, #jobIds do
    if redis.call('EXISTS', prefix .. jobIds[at]) == 0 then
      redis.call('ZREM', lane, jobIds[at])
      noteLost(own .. 'copy:' .. string.sub(lane, #own + #'lane:' + 1))
      removed = removed + 1
      if from == 0 and at == 1 then lostHead = true end
    end
  end
  if lostHead then
    reindex(own, prefix, string.sub(lane, #own + 6)) -- behind "lane:"
    wake(redis.call('ZRANGE', lane, 0, 0)[1])
  end
  if #jobIds == most then
    more[#more + 1] = lane
    more[#more + 1] = from + most - removed
  end
end
return more
`,
};

/**
 * Whether lanes still wait for their first job. Read only.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2...] a lane's key and a job id each; '': whichever is first
 *   Returns a letter per lane: s it stands; r that job is gone, or completed; m the first job is another one, or there
 *   is none
 */
export const LOOK_AT: Script = {
  name: 'torilLookAt',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}${FIELDS_LUA}
local function sight(key, jobId)
  local first = redis.call('ZRANGE', own .. 'lane:' .. key, 0, 0)[1]
  if not first or (jobId ~= '' and first ~= jobId) then return 'm' end
  local job = fieldsOf(ARGV[1] .. first, 'name', 'finishedOn', 'returnvalue')
  if not job[1] or (job[2] and job[3]) then return 'r' end
  return 's'
end
local sights = {}
for i = 2, #ARGV, 2 do sights[#sights + 1] = sight(ARGV[i], ARGV[i + 1]) end
return table.concat(sights)
`,
};

/**
 * The newest completed jobs that were never applied: a job's outcome is in its hash before it is completed.
 * Read only.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] only those completed after this time; '': none yet
 *   ARGV[3] jobs to look at
 *   Returns the time up to which it looked (milliseconds since 1970), then ids
 */
export const UNAPPLIED: Script = {
  name: 'torilUnapplied',
  numberOfKeys: 1,
  lua: `${FIELDS_LUA}
if ARGV[2] == '' then
  local time = redis.call('TIME')
  return { string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)) }
end
local found = redis.call('ZREVRANGEBYSCORE', ARGV[1] .. 'completed', '+inf', '(' .. ARGV[2], 'WITHSCORES', 'LIMIT', 0, ARGV[3])
local result = { found[2] or ARGV[2] }
for i = 1, #found, 2 do
  local job = fieldsOf(ARGV[1] .. found[i], 'name', '${OUTCOME_FIELD}')
  if job[1] and (job[2] or '') == '' then result[#result + 1] = found[i] end
end
return result
`,
};
