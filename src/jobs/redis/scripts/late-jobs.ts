import { LANE_FIELD, LATE_FIELD, OUTCOME_FIELD } from './script.ts';

/**
 * A fragment for ACKNOWLEDGE, behind UNFINISHED_LUA: which of a commit's late jobs Redis has forgotten that they entered
 * (lanes.ts: `Acknowledgement.late`). They leave with the others.
 */
export const LATE_JOBS_LUA: string = `-- Jobs that entered late and are not in the lane with their number: Redis has gone back to before they entered, and
-- they wait to enter again, or have entered. What entered otherwise is another job of the same id.
local function isForgotten(jobId, key, laneKey, decision)
  local job = fieldsOf(prefix .. jobId, 'name', 'finishedOn', '${LANE_FIELD}', '${OUTCOME_FIELD}', '${LATE_FIELD}')
  if not job[1] or job[2] or (job[3] and job[3] ~= key) or (job[4] or '') ~= '' then return false end
  local isInLane = call('ZSCORE', laneKey, jobId)
  if isInLane and not job[5] then return false end
  -- One that has left without an outcome enters again as well.
  if isInLane and decision ~= 's' then call('ZREM', laneKey, jobId) end
  return true
end

-- Adds to what leaves, and to entries (for the history: in order) what Redis has forgotten of it.
local function addLate(late, key, laneKey, jobIds, entries, watermark, decisions)
  local isThere = {}
  for i = 1, #jobIds do isThere[jobIds[i]] = true end
  for i = 1, #late, 2 do
    local jobId = late[i]
    if not isThere[jobId] then
      if isForgotten(jobId, key, laneKey, decisions[jobId]) then jobIds[#jobIds + 1] = jobId end
      if entries then
        local sequence, at = tonumber(watermark) - late[i + 1], #entries + 1
        while at > 1 and tonumber(entries[at - 1]) > sequence do at = at - 2 end
        table.insert(entries, at, string.format('%d', sequence))
        table.insert(entries, at, jobId)
      end
    end
  end
end

`;
