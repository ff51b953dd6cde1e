import { BLOCKED_FIELD, FIELDS_LUA, type Script } from '../script.ts';
import { NOW_MS_LUA } from '../../../bullmq/state/timed.ts';

/**
 * A joint job waits at the head of a lane for another one, and is to fail after a while. It is kept with the job, so that
 * the time counts on when another worker has it. With another sequence it has entered again, and begins to wait.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] job id  ARGV[3] its sequence  ARGV[4] milliseconds that it may wait
 *   Returns the milliseconds that it has waited
 */
export const NOTE_WAIT: Script = {
  name: 'torilNoteWait',
  numberOfKeys: 1,
  lua: `${NOW_MS_LUA}${FIELDS_LUA}
local jobKey, sequence, since = ARGV[1] .. ARGV[2], ARGV[3], nowMs
local job = fieldsOf(jobKey, 'name', '${BLOCKED_FIELD}')
if not job[1] then return 0 end
local itsSequence, itsSince = string.match(job[2] or '', '^(%d+) (%d+)')
if itsSequence == sequence then since = tonumber(itsSince) end
redis.call('HSET', jobKey, '${BLOCKED_FIELD}', sequence .. ' ' .. string.format('%.0f', since) .. ' ' .. ARGV[4])
return math.max(0, nowMs - since)
`,
};
