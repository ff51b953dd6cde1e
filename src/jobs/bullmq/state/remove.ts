import { OWN_MARK, OWN_PREFIX_LUA } from '../../../redis/own-keys.ts';
import { bullFunctionLua, bullScript, madeLater } from './bullmq-text.ts';
import {
  IN_HAND_KEY,
  KEYS_FIELD,
  LANES_OF_LUA,
  LANE_FIELD,
  OUTCOME_FIELD,
  type Script,
} from '../../redis/scripts/script.ts';
import { LEAVE_LUA } from '../../redis/index/leave.ts';
import { WAKE_LUA } from './snoozing/promote.ts';
import { QUEUE_SEQUENCE_LUA } from '../../../redis/sequence-lua.ts';

/** Microseconds after which a batch is no longer in hand, whatever was noted: its process died, and nobody came after it. */
const IN_HAND_MICROS = 3_600_000_000;

/**
 * A fragment for scripts whose `nowMicros` is Redis' time: whether a job that BullMQ holds for waiting may be in
 * the value already, or be about to be. A batch may have it in hand, or has applied it and BullMQ is just being
 * told. Removed then, it would have been applied all the same, and a new job of its id once more.
 */
const MAY_BE_APPLIED_LUA = `
local function mayBeApplied(ownPrefix, jobKey, jobId)
  local job = redis.call('HMGET', jobKey, '${LANE_FIELD}', '${OUTCOME_FIELD}', 'finishedOn')
  local lane = job[1]
  if not lane or job[3] then return false end
  if job[2] and job[2] ~= '' then return true end
  local inHand = redis.call('HGET', ownPrefix .. '${IN_HAND_KEY}', lane)
  if not inHand then return false end
  local sequence = redis.call('ZSCORE', ownPrefix .. 'lane:' .. lane, jobId)
  local last, at = string.match(inHand, '^%d+ (%d+) %S* (%d+)')
  if not sequence or not last or tonumber(sequence) > tonumber(last) then return false end
  return nowMicros - tonumber(at) < ${IN_HAND_MICROS}
end
`;

/**
 * BullMQ's own removal of a job and its children, which are functions of this script; what is removed leaves its lane.
 * Refused, as BullMQ refuses what is locked, if one of them may have been applied.
 *
 *   KEYS[1] sequence  ARGV[1] key prefix  ARGV[2] job id  ARGV[3] 1: with its children  ARGV[4...] KEYS and ARGV of
 *   BullMQ's removeJob
 *   Returns BullMQ's answer: 1: removed, 0: refused, or below 0
 */
export const REMOVE: Script = madeLater('torilRemove', () => ({
  numberOfKeys: 1,
  lua: `${QUEUE_SEQUENCE_LUA}${LEAVE_LUA}${WAKE_LUA}${MAY_BE_APPLIED_LUA}
local bullKeys = ${bullScript('removeJob').numberOfKeys}
${bullFunctionLua('removeJob')}${REMOVE_LUA}`,
}));

const REMOVE_LUA = `${LANES_OF_LUA}
local call = redis.call
local found, seen = {}, {}

-- The job and, as BullMQ goes through them, the children that it waits for, perhaps of other queues.
local function find(itsPrefix, jobId)
  local jobKey = itsPrefix .. jobId
  if seen[jobKey] then return end
  seen[jobKey] = true
  local itsOwn = '${OWN_MARK}' .. #itsPrefix .. ':' .. itsPrefix
  found[#found + 1] = { prefix = itsPrefix, own = itsOwn, key = jobKey, id = jobId, lanes = lanesOf(jobKey) }
  if ARGV[3] ~= '1' then return end
  for _, childKey in ipairs(call('SMEMBERS', jobKey .. ':dependencies')) do
    local childId = string.match(childKey, '.*:(.*)')
    find(string.sub(childKey, 1, #childKey - #childId), childId)
  end
end
find(prefix, ARGV[2])

for _, job in ipairs(found) do
  if mayBeApplied(job.own, job.key, job.id) then return 0 end
end
local removed = removeJob({ unpack(ARGV, 4, 3 + bullKeys) }, { unpack(ARGV, 4 + bullKeys) })

for _, job in ipairs(found) do
  if #job.lanes > 0 and call('EXISTS', job.key) == 0 then
    for _, lane in ipairs(job.lanes) do
      local head = leave(job.own, job.prefix, lane, job.id)
      if job.prefix == prefix then wake(head) end
    end
  end
end
return removed
`;

/**
 * A batch that was taken is not applied after all: its jobs are in nobody's hand any more.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] the batch's token  ARGV[3...] the lanes' keys
 */
export const PUT_BACK: Script = {
  name: 'torilPutBack',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}
for i = 3, #ARGV do
  local inHand = redis.call('HGET', own .. '${IN_HAND_KEY}', ARGV[i])
  if inHand and string.match(inHand, '^%d+') == ARGV[2] then redis.call('HDEL', own .. '${IN_HAND_KEY}', ARGV[i]) end
end
return 1
`,
};

/**
 * A job whose data was changed, and with them its key, goes to the end of its new lane; unless it may have been
 * applied, is being worked on, or has entered lanes of several keys: then it stays where it is. One that is in no lane enters the new one when it
 * is delivered. Whoever is the first of its old lane then goes on.
 *
 *   KEYS[1] sequence  ARGV[1] key prefix  ARGV[2] job id  ARGV[3] the new lane's key
 */
export const MOVE: Script = {
  name: 'torilMove',
  numberOfKeys: 1,
  lua: `${QUEUE_SEQUENCE_LUA}${LEAVE_LUA}${WAKE_LUA}${MAY_BE_APPLIED_LUA}
local jobKey = ARGV[1] .. ARGV[2]
local lane = redis.call('HGET', jobKey, '${LANE_FIELD}')
if not lane or lane == ARGV[3] or redis.call('EXISTS', jobKey .. ':lock') == 1 then return nil end
if redis.call('HEXISTS', jobKey, '${KEYS_FIELD}') == 1 then return nil end
if mayBeApplied(own, jobKey, ARGV[2]) then return nil end
if not redis.call('ZSCORE', own .. 'lane:' .. lane, ARGV[2]) then
  redis.call('HDEL', jobKey, '${LANE_FIELD}')
  return nil
end
wake(leave(own, prefix, lane, ARGV[2]))
redis.call('ZADD', own .. 'lane:' .. ARGV[3], draw(), ARGV[2])
redis.call('HSET', jobKey, '${LANE_FIELD}', ARGV[3])
reindex(own, ARGV[1], ARGV[3])
saveDrawn()
`,
};
