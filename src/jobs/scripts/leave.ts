import { OWN_PREFIX_LUA } from '../../base/own-keys.ts';
import type { Script } from './script.ts';

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
