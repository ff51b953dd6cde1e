import { OWN_PREFIX_LUA } from '../../../redis/own-keys.ts';
import { DIRECTIVE_FIELD, FIELDS_LUA, LANES_OF_LUA, OUTCOME_FIELD, type Script } from './script.ts';

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
 * An operator's word on a job, for the next combiner that meets it; or a worker's, which replaces nobody's.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] job id  ARGV[3] skip, drop or deliver
 */
export const DIRECT: Script = {
  name: 'torilDirect',
  numberOfKeys: 1,
  lua: `
local jobKey, directive = ARGV[1] .. ARGV[2], ARGV[3]
if redis.call('EXISTS', jobKey) == 0 then return 0 end
if directive == 'deliver' and (redis.call('HGET', jobKey, '${DIRECTIVE_FIELD}') or '') ~= '' then return 1 end
redis.call('HSET', jobKey, '${DIRECTIVE_FIELD}', directive)
return 1
`,
};

/**
 * The keys of the lanes that a job has entered, whether or not it is still there. Read only.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] job id
 *   Returns the keys; none: no such job, or it has entered none
 */
export const LANES_OF: Script = {
  name: 'torilLanesOf',
  numberOfKeys: 1,
  lua: `${LANES_OF_LUA}
return lanesOf(ARGV[1] .. ARGV[2])
`,
};
