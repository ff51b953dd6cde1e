/**
 * The index of lanes: which keys have jobs, by the sequence of their first one, which says since when it waits; and
 * which of them are held. Kept in the step that changes a lane, so that nobody needs to walk through all keys.
 *
 *   <own>lanes   sorted set: keys with jobs, by the sequence of the lane's first entry
 *   <own>held    sorted set: those of them whose first job has failed for good, by the same
 *   <own>indexed  string: all lanes are in it. A queue that is older than the index has been walked through once
 *
 * An entry whose job a plain BullMQ client has removed counts until somebody meets it, as it does in the lane. That such a
 * client retries the job that holds a lane, or that BullMQ fails one for having stalled too often, is noticed when the lane
 * is next taken, or by the look at all lanes (lookout.ts), within a minute.
 */
import { DIRECTIVE_FIELD, LANES_OF_LUA, type Script } from '../scripts/script.ts';
import { OWN_PREFIX_LUA } from '../../../redis/own-keys.ts';

/**
 * A fragment for scripts that change many lanes, behind the sequence: changes are gathered, and written by `saveIndex`, in one
 * command of each kind per call. A sequence is passed on as Redis gave it.
 *
 *   noteEntered(lane, sequence)  a job has entered at the end
 *   noteHead(lane, sequence)     this is the first one now; false: the lane is empty
 *   lookAtHead(lane)             whichever is the first one now; returns its sequence, or false
 *   noteHeld(lane, sequence)     the first job has failed for good
 *   noteFree(lane)               it has not; only where `anyHeld()`
 */
export const INDEX_LUA: string = `
local entered, changed, emptied, heldNow, freed, knownHeld = {}, {}, {}, {}, {}, nil
local function pushPair(list, lane, sequence)
  local n = #list
  list[n + 1], list[n + 2] = sequence, lane
end

local function noteEntered(lane, sequence) pushPair(entered, lane, sequence) end

local function noteHead(lane, sequence)
  if sequence then pushPair(changed, lane, sequence) else emptied[#emptied + 1] = lane end
end

local function lookAtHead(lane)
  local sequence = redis.call('ZRANGE', own .. 'lane:' .. lane, 0, 0, 'WITHSCORES')[2] or false
  noteHead(lane, sequence)
  return sequence
end

local function anyHeld()
  if knownHeld == nil then knownHeld = redis.call('EXISTS', own .. 'held') == 1 end
  return knownHeld
end

local function noteHeld(lane, sequence) pushPair(heldNow, lane, sequence) end
local function noteFree(lane) freed[#freed + 1] = lane end

-- A call has 1,024 keys at most, which unpack can hand over. But a run of transactions that all move enters 8 lanes for each of its jobs: 500 were too many.
local function saveIndex()
  -- The queue is new: there are no lanes but these.
  if not known[1] then redis.call('SET', own .. 'indexed', '1') end
  local lanes, held = own .. 'lanes', own .. 'held'
  if #emptied > 0 then redis.call('ZREM', lanes, unpack(emptied)) end
  if #changed > 0 then redis.call('ZADD', lanes, unpack(changed)) end
  for from = 1, #entered, 4000 do
    redis.call('ZADD', lanes, 'NX', unpack(entered, from, math.min(from + 3999, #entered)))
  end
  if #freed > 0 then redis.call('ZREM', held, unpack(freed)) end
  if #heldNow > 0 then redis.call('ZADD', held, unpack(heldNow)) end
end
`;

/**
 * A fragment: puts one lane's place in the index right, whatever it was. `itsPrefix` is BullMQ's of the queue, `ownPrefix` Toril's.
 */
export const REINDEX_LUA: string = `
-- It has failed for good; or BullMQ is being told so.
local function holdsItsLane(jobKey)
  local job = redis.pcall('HMGET', jobKey, 'finishedOn', 'returnvalue', '${DIRECTIVE_FIELD}')
  if job.err then return false end
  return (job[1] and not job[2]) or string.sub(job[3] or '', 1, 4) == 'held'
end

local function reindex(ownPrefix, itsPrefix, lane)
  local first = redis.call('ZRANGE', ownPrefix .. 'lane:' .. lane, 0, 0, 'WITHSCORES')
  local jobId, sequence = first[1], first[2]
  if not jobId then
    redis.call('ZREM', ownPrefix .. 'lanes', lane)
    redis.call('ZREM', ownPrefix .. 'held', lane)
    return
  end
  if redis.call('ZSCORE', ownPrefix .. 'lanes', lane) ~= sequence then
    redis.call('ZADD', ownPrefix .. 'lanes', sequence, lane)
  end
  if holdsItsLane(itsPrefix .. jobId) then
    redis.call('ZADD', ownPrefix .. 'held', sequence, lane)
  else
    redis.call('ZREM', ownPrefix .. 'held', lane)
  end
end
`;

/**
 * Puts lanes' places in the index right.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2...] the lanes' keys
 */
export const REINDEX: Script = {
  name: 'torilReindex',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}${REINDEX_LUA}
for i = 2, #ARGV do reindex(own, ARGV[1], ARGV[i]) end
`,
};

/**
 * The same for the lanes of a job, which somebody retries.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] job id
 */
export const REINDEX_OF_JOB: Script = {
  name: 'torilReindexOfJob',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}${REINDEX_LUA}${LANES_OF_LUA}
for _, lane in ipairs(lanesOf(ARGV[1] .. ARGV[2])) do reindex(own, ARGV[1], lane) end
`,
};

/**
 * Drops keys from the index that have no jobs any more (somebody has deleted their lanes by hand), of a stretch.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] rank to begin at  ARGV[3] entries to look at
 *   Returns the rank to go on at; -1: these were the last
 */
export const PRUNE_INDEX: Script = {
  name: 'torilPruneIndex',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}
local from, most = tonumber(ARGV[2]), tonumber(ARGV[3])
local lanes, dropped = redis.call('ZRANGE', own .. 'lanes', from, from + most - 1), 0
for i = 1, #lanes do
  if redis.call('EXISTS', own .. 'lane:' .. lanes[i]) == 0 then
    redis.call('ZREM', own .. 'lanes', lanes[i])
    redis.call('ZREM', own .. 'held', lanes[i])
    dropped = dropped + 1
  end
end
return #lanes < most and -1 or from + #lanes - dropped
`,
};
