import { FIELD } from '../../bullmq/state/layout.ts';
import { LOST_LUA } from '../scripts/script.ts';
import { REINDEX_LUA } from './lane-index.ts';

/**
 * A fragment: takes a job's entry out of its lane. Returns the job that is the first one now, unless it waits for a
 * retry; nil if the entry was not the first.
 */
export const LEAVE_LUA: string = `${LOST_LUA}${REINDEX_LUA}
local function leave(ownPrefix, itsPrefix, lane, jobId)
  local laneKey = ownPrefix .. 'lane:' .. lane
  local wasFirst = redis.call('ZRANK', laneKey, jobId) == 0
  if redis.call('ZREM', laneKey, jobId) == 1 then noteLost(ownPrefix .. 'copy:' .. lane) end
  if wasFirst then reindex(ownPrefix, itsPrefix, lane) end
  local head = wasFirst and redis.call('ZRANGE', laneKey, 0, 0)[1]
  if not head or (redis.call('HGET', itsPrefix .. head, '${FIELD.attemptsMade}') or '0') ~= '0' then return nil end
  return head
end
`;
