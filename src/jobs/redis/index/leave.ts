import { LOST_LUA } from '../scripts/script.ts';
import { REINDEX_LUA } from './lane-index.ts';

/** A fragment: takes a job's entry out of its lane. Returns the job that is the first one now; nil if there is none, or it was before. */
export const LEAVE_LUA: string = `${LOST_LUA}${REINDEX_LUA}
local function leave(ownPrefix, itsPrefix, lane, jobId)
  local laneKey = ownPrefix .. 'lane:' .. lane
  local wasFirst = redis.call('ZRANK', laneKey, jobId) == 0
  if redis.call('ZREM', laneKey, jobId) == 1 then noteLost(ownPrefix .. 'copy:' .. lane) end
  if not wasFirst then return nil end
  reindex(ownPrefix, itsPrefix, lane)
  return redis.call('ZRANGE', laneKey, 0, 0)[1]
end
`;
