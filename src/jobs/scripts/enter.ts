import { OWN_PREFIX_LUA } from '../../base/own-keys.ts';
import type { Script } from './script.ts';
import { QUEUE_SEQUENCE_LUA } from './sequence.ts';

/**
 * Jobs enter their lanes, in the same MULTI as BullMQ's own adds and right behind them. BullMQ's add
 * scripts count the `id` counter up exactly once each, and nobody can come in between, so the n adds
 * just made bear the last n numbers; no add among them may be one that BullMQ can refuse. A
 * deduplicated add leaves no job hash and enters nothing. NX: for a transaction that is carried out
 * twice, a job that is in its lane already must keep its place.
 *
 *   KEYS[1] sequence  KEYS[2] BullMQ's id counter
 *   ARGV[1] key prefix ("bull:orders:")
 *   ARGV[2...] one per add, in order: the lane's key, or '' for an add that does not enter yet
 */
export const ENTER: Script = {
  name: 'torilEnter',
  numberOfKeys: 2,
  lua: `${QUEUE_SEQUENCE_LUA}
local prefix = ARGV[1]
local first = tonumber(redis.call('GET', KEYS[2]) or '0') - (#ARGV - 1)
for i = 2, #ARGV do
  if ARGV[i] ~= '' then
    local jobId = string.format('%.0f', first + i - 1)
    if redis.call('EXISTS', prefix .. jobId) == 1 then
      redis.call('ZADD', own .. 'lane:' .. ARGV[i], 'NX', draw(), jobId)
    end
  end
end
saveDrawn()
return 1
`,
};

/**
 * A job with an id of the user's own enters its lane just *before* BullMQ's add, in the same MULTI:
 * if the id exists already, BullMQ's add will do nothing, and neither does this.
 *
 *   KEYS[1] sequence  ARGV[1] key prefix  ARGV[2] lane's key  ARGV[3] job id
 */
export const ENTER_NAMED: Script = {
  name: 'torilEnterNamed',
  numberOfKeys: 1,
  lua: `${QUEUE_SEQUENCE_LUA}
if redis.call('EXISTS', ARGV[1] .. ARGV[3]) == 1 then return 0 end
redis.call('ZADD', own .. 'lane:' .. ARGV[2], 'NX', draw(), ARGV[3])
saveDrawn()
return 1
`,
};

/**
 * Takes an entry out of its lane if BullMQ has no such job: behind the add of a job with an id of its
 * own that made no job after all (deduplicated), and behind a removal.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] lane's key  ARGV[3] job id
 *   Returns the lane's new head if the entry was the head and the next one does not wait for a retry;
 *   else ''.
 */
export const LEAVE_IF_GONE: Script = {
  name: 'torilLeaveIfGone',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}
if redis.call('EXISTS', ARGV[1] .. ARGV[3]) == 1 then return '' end
local laneKey = own .. 'lane:' .. ARGV[2]
local wasHead = redis.call('ZRANK', laneKey, ARGV[3]) == 0
redis.call('ZREM', laneKey, ARGV[3])
local head = redis.call('ZRANGE', laneKey, 0, 0)[1]
if not wasHead or not head then return '' end
return (redis.call('HGET', ARGV[1] .. head, 'atm') or '0') == '0' and head or ''
`,
};
