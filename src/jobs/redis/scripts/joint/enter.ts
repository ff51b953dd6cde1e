import { OWN_PREFIX_LUA } from '../../../../redis/own-keys.ts';
import { INDEX_LUA } from '../../index/lane-index.ts';
import { LEAVE_LUA } from '../../index/leave.ts';
import { WAKE_LUA } from '../../../bullmq/state/snoozing/promote.ts';
import { OUTCOME_FIELD, FIELDS_LUA, KEYS_FIELD, LANE_FIELD, type Script } from '../script.ts';
import { QUEUE_SEQUENCE_LUA } from '../../../../redis/sequence-lua.ts';

/** A fragment behind a sequence and INDEX_LUA: at the ends of all lanes, with one number. In one lane before and in another behind, nobody would ever be first in both. */
export const ENTER_ALL_LUA: string = `
local function enterAll(jobId, keys)
  local sequence = draw()
  for i = 1, #keys do
    redis.call('ZADD', own .. 'lane:' .. keys[i], sequence, jobId)
    noteEntered(keys[i], sequence)
  end
  redis.call('HSET', ARGV[1] .. jobId, '${LANE_FIELD}', keys[1], '${KEYS_FIELD}', cjson.encode(keys))
end
`;

/**
 * A joint job that is in no lane enters all of its lanes: one that was due later, or that somebody without Toril has added,
 * or that has left its lanes for a retry. It keeps the keys that it had before.
 *
 *   KEYS[1] sequence  ARGV[1] key prefix  ARGV[2] job id  ARGV[3] its keys as JSON
 *   Returns 1 if it has entered now
 */
export const ENTER_JOINT: Script = {
  name: 'torilEnterJoint',
  numberOfKeys: 1,
  lua: `${QUEUE_SEQUENCE_LUA}${FIELDS_LUA}${INDEX_LUA}${ENTER_ALL_LUA}
local job = fieldsOf(ARGV[1] .. ARGV[2], 'name', 'finishedOn', '${OUTCOME_FIELD}', '${LANE_FIELD}', '${KEYS_FIELD}')
if not job[1] or job[2] or (job[3] and job[3] ~= '') or job[4] then return 0 end
enterAll(ARGV[2], cjson.decode(job[5] or ARGV[3]))
saveIndex()
saveDrawn()
return 1
`,
};

/**
 * A joint job whose data were changed, and with them its keys, leaves its lanes; it enters those of its new keys when it is
 * delivered. Not for another order of the same keys, nor while it is worked on, or if it is decided. Whoever is the first of a lane
 * that it has left then goes on.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] job id  ARGV[3] its new keys as JSON
 */
export const MOVE_JOINT: Script = {
  name: 'torilMoveJoint',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}
${FIELDS_LUA}${LEAVE_LUA}${WAKE_LUA}
local jobKey = ARGV[1] .. ARGV[2]
local job = fieldsOf(jobKey, '${OUTCOME_FIELD}', '${KEYS_FIELD}')
if not job[2] or (job[1] and job[1] ~= '') then return end
local keys, named, isKey, known = cjson.decode(job[2]), cjson.decode(ARGV[3]), {}, 0
for _, key in ipairs(keys) do isKey[key] = true end
for _, key in ipairs(named) do if isKey[key] then known = known + 1 end end
if known == #keys and known == #named then return end
if redis.call('EXISTS', jobKey .. ':lock') == 1 then return end
for _, lane in ipairs(keys) do wake(leave(own, prefix, lane, ARGV[2])) end
redis.call('HDEL', jobKey, '${LANE_FIELD}', '${KEYS_FIELD}')
`,
};
