import { OWN_PREFIX_LUA } from '../../../redis/own-keys.ts';
import {
  ALONE_FIELD,
  DIRECTIVE_FIELD,
  FIELDS_LUA,
  GIVEN_BACK_FIELD,
  OUTCOME_FIELD,
  type Script,
} from './script.ts';
import { FIELD } from '../../bullmq/state/layout.ts';

/**
 * Where waiting jobs stand. Read only.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2...] key and job id each
 *   Returns per job: ['d', outcome], ['w', rank, pace in ms] or ['a']
 */
export const LOCATE: Script = {
  name: 'torilLocate',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}${FIELDS_LUA}
local prefix = ARGV[1]
local result = {}
for i = 2, #ARGV, 2 do
  local outcome = fieldsOf(prefix .. ARGV[i + 1], '${OUTCOME_FIELD}')[1]
  if outcome and outcome ~= '' then
    result[#result + 1] = { 'd', outcome }
  else
    local rank = redis.call('ZRANK', own .. 'lane:' .. ARGV[i], ARGV[i + 1])
    if rank then
      result[#result + 1] = { 'w', rank, redis.call('HGET', own .. 'copy:' .. ARGV[i], 'p') or '0' }
    else
      result[#result + 1] = { 'a' }
    end
  end
end
return result
`,
};

/**
 * A job that stalled before is about to be applied alone: notes it, in case the process dies of it.
 * It did if the job has stalled once more since, without an attempt charged in between: a start that
 * ended with an error, or whose commit was lost, does not count; nor does one after which the process
 * gave the job back: whoever has it later may die of something else.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] job id
 *   Returns how many such starts the process died of, and 1 for this one; 0 if the job is gone.
 */
export const START_ALONE: Script = {
  name: 'torilStartAlone',
  numberOfKeys: 1,
  lua: `
local jobKey = ARGV[1] .. ARGV[2]
local job = redis.call('HMGET', jobKey, 'name', '${FIELD.stalls}', '${FIELD.attemptsMade}', '${ALONE_FIELD}', '${GIVEN_BACK_FIELD}')
if not job[1] then return 0 end
local stalls, attempts = job[2] or '0', job[3] or '0'
local deaths, stallsThen, attemptsThen = string.match(job[4] or '', '^(%d+) (%d+) (%d+)$')
deaths = tonumber(deaths or '0')
local died = stallsThen and stallsThen ~= stalls and attemptsThen == attempts
if died and not job[5] then deaths = deaths + 1 end
if job[5] then redis.call('HDEL', jobKey, '${GIVEN_BACK_FIELD}') end
redis.call('HSET', jobKey, '${ALONE_FIELD}', deaths .. ' ' .. stalls .. ' ' .. attempts)
return deaths + 1
`,
};

/**
 * An operator's word on a job, for the next combiner that meets it.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] job id  ARGV[3] skip or drop
 */
export const DIRECT: Script = {
  name: 'torilDirect',
  numberOfKeys: 1,
  lua: `
if redis.call('EXISTS', ARGV[1] .. ARGV[2]) == 0 then return 0 end
redis.call('HSET', ARGV[1] .. ARGV[2], '${DIRECTIVE_FIELD}', ARGV[3])
return 1
`,
};
