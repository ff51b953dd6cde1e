/**
 * A scheduler's next job, and its last one. BullMQ takes the job that a scheduler names for its next one: it removes that with the
 * scheduler, and replaces it when the scheduler is set up anew. With each delivery the scheduler names the job after it, except
 * with the last one (of a `limit`, or before an `endDate`). So a last job that was delivered and gave its slot back until its turn,
 * or waits for its next attempt, was deleted as if it had never begun: an update was lost, or applied twice if a batch had it in hand.
 */
import { bullFunctionLua, bullScript, madeLater } from '../bullmq-text.ts';
import type { Script } from '../../../redis/scripts/script.ts';

/** In the wait list, in the place of a job. */
const PLACE = 'toril:begun';

/**
 * A fragment: `withBegun(call, repeatKey, schedulerId, prefix, sets, list)` is `call()`, for which a job that has been delivered before
 * lies in none of the sets, nor in the list: to BullMQ it is what an active one is.
 */
const WITH_BEGUN_LUA = `
local function withBegun(call, repeatKey, schedulerId, prefix, sets, list)
  local millis = redis.call('ZSCORE', repeatKey, schedulerId)
  local jobId = 'repeat:' .. schedulerId .. ':' .. (millis or '')
  local begun = millis and redis.pcall('HGET', prefix .. jobId, 'processedOn')
  if type(begun) ~= 'string' then return call() end
  local scores = {}
  for i = 1, #sets do
    scores[i] = redis.call('ZSCORE', sets[i], jobId)
    if scores[i] then redis.call('ZREM', sets[i], jobId) end
  end
  local place = list and redis.call('LPOS', list, jobId)
  if place then redis.call('LSET', list, place, '${PLACE}') end
  local isDone, reply = pcall(call)
  for i = 1, #sets do
    if scores[i] then redis.call('ZADD', sets[i], scores[i], jobId) end
  end
  if place then redis.call('LSET', list, redis.call('LPOS', list, '${PLACE}'), jobId) end
  if not isDone then return redis.error_reply(type(reply) == 'table' and reply.err or tostring(reply)) end
  return reply
end
`;

/** A fragment, behind BullMQ's own addJobScheduler as a function: it sets a scheduler up, and leaves a job that has been delivered alone. */
export const ADD_SCHEDULER_LUA: string = `${WITH_BEGUN_LUA}
local setUp = addJobScheduler
local function addJobScheduler(KEYS, ARGV)
  local sets, list = { KEYS[2], KEYS[6] }, KEYS[3]
  return withBegun(function() return setUp(KEYS, ARGV) end, KEYS[1], ARGV[3], ARGV[8], sets, list)
end
`;

/**
 * BullMQ's own removal of a scheduler and its next job, but for one that has been delivered.
 *
 *   KEYS, ARGV as BullMQ's: KEYS[1] repeat  KEYS[2] delayed  ARGV[1] scheduler  ARGV[2] key prefix
 */
export const REMOVE_SCHEDULER: Script = madeLater('torilRemoveScheduler', () => ({
  numberOfKeys: bullScript('removeJobScheduler').numberOfKeys,
  lua: `${WITH_BEGUN_LUA}${bullFunctionLua('removeJobScheduler')}
return withBegun(function() return removeJobScheduler(KEYS, ARGV) end, KEYS[1], ARGV[1], ARGV[2], { KEYS[2] })
`,
}));
