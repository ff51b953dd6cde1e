import { COPY_IN_USE_MS } from '../../../lanes.ts';
import {
  COPIES_BYTES_MAX,
  IN_HAND_MS,
  JOINT_RUN_KEYS_MAX,
  SMALL_RUN_JOBS,
} from '../../../joint-lanes.ts';
import { TRANSACTION_KEYS_MAX } from '../../../../updates/transaction.ts';
import { BEHIND_MARK } from './behind.ts';
import { IN_HAND_KEY, LOST_FIELD } from '../script.ts';
import type { Packed } from '../packing.ts';

/** Lua does not tell an empty list from an empty object. */
type List<T> = readonly T[] | Readonly<Record<string, never>>;

export type JointReply = [
  ready: number,
  blockedBy: List<string>,
  missingIn: List<string>,
  lost: 0 | 1,
  others: List<OtherKeyReply>,
  isInHand: 0 | 1,
  stands: 0 | 1,
];

export type OtherKeyReply = [
  key: string,
  copyToken: string,
  watermark: string,
  /** '+' and JSON, '-' deleted, '0' not kept. */
  value: Packed,
  /** As of the own key. */
  cascadeTo: string,
  expiresInMs: number,
  lost: 0 | 1,
];

/** Entries of another lane that are read at first: most have one in a run, and a sequence takes Redis 1 µs to write; */
const FIRST_PAGE = 2;
/** then so many times as many each time, */
const PAGE_GROWTH = 4;
/** and at most. */
const LANE_PAGE = 32;

/**
 * A fragment for TAKE, behind `entryOf`: the run that begins at a lane whose first job has several keys. To take that job,
 * whatever is before it in any of its lanes is taken first, and so on: each wait leads to a lower sequence, so it ends. At
 * every moment the run is the beginning of each lane that it touches, so it may end anywhere: at a limit, at a job
 * of one key, at one that must be the first of its run (it failed before, or an operator decides about it), at a lane of
 * which somebody else has a run in hand. What is read of a lane, it is read once.
 */
export const JOINT_HEAD_LUA: string = `
-- Keys of runs that this call has handed out.
local handedOut = {}
-- Of which of these keys somebody has had a run in hand since a moment ago.
local function lookInHand(keys, isInHand)
  local asked = {}
  for i = 1, #keys do
    if isInHand[keys[i]] == nil then asked[#asked + 1] = keys[i] end
  end
  if #asked == 0 then return end
  local runs = call('HMGET', own .. '${IN_HAND_KEY}', unpack(asked))
  for i = 1, #asked do
    local since = string.match(runs[i] or '', ' (%d+) run$')
    isInHand[asked[i]] = handedOut[asked[i]] or (since and math.abs(nowMicros - tonumber(since)) < ${IN_HAND_MS * 1000}) or false
  end
end

-- Of the lane that is taken TAKE knows the rest: what its copy says, and its first page.
local function newLane(key, isLost)
  return { key = key, isLost = isLost, value = '', taken = 0, from = 0, page = {}, next = ${FIRST_PAGE}, isLast = false }
end

local function otherLane(key)
  local copy = call('HMGET', own .. 'copy:' .. key, 't', 'w', 'x', 'c', '${LOST_FIELD}', 'v')
  local lane = newLane(key, copy[5] == (copy[1] or '0'))
  lane.copy, lane.value = copy, copy[6] or '-'
  if not copy[1] or (copy[3] and tonumber(copy[3]) <= nowMs) then lane.value = '-' end
  return lane
end

-- The first job behind those that the run has taken, and its sequence.
local function firstOf(lane)
  local at = 2 * (lane.taken - lane.from)
  if at == #lane.page and not lane.isLast then
    local count = lane.next
    lane.next = math.min(count * ${PAGE_GROWTH}, ${LANE_PAGE})
    lane.page = call('ZRANGE', own .. 'lane:' .. lane.key, lane.taken, lane.taken + count - 1, 'WITHSCORES')
    lane.from, at, lane.isLast = lane.taken, 0, #lane.page < 2 * count
  end
  return lane.page[at + 1], lane.page[at + 2]
end

-- Of a plain one nothing more is told.
local function isUntried(entry)
  return not entry[5] or entry[5] == '0' and entry[6] == '0' and entry[7] == 'no' and entry[8] == ''
end

local function isAmong(key, keys)
  for i = 1, #keys do if keys[i] == key then return true end end
  return false
end

local function jobIn(entry, size, keys)
  return { entry = entry, size = size, keys = keys, isUntried = isUntried(entry) }
end

-- The run's entries and their lanes, and what it ends before: the lane's key, and why.
local function runFrom(ownLane, first, jobsMax, dataMax, traces, entryOf)
  local headId, run, isInHand, data, bytes = first.entry[1], {}, {}, 0, 0
  local lanes, opened, jobs = { [ownLane.key] = ownLane }, { ownLane }, { [headId] = first }
  local function laneOf(its)
    if lanes[its] or (#opened >= ${TRANSACTION_KEYS_MAX} and (#opened == ${JOINT_RUN_KEYS_MAX} or bytes > ${COPIES_BYTES_MAX})) then
      return lanes[its]
    end
    local lane = otherLane(its)
    lanes[its], opened[#opened + 1], bytes = lane, lane, bytes + #lane.value
    return lane
  end
  local function jobOf(place)
    local job = jobs[place.id]
    if job == nil then
      local entry, size, keys = entryOf(place.key, place.id, place.sequence, traces)
      job = entry and jobIn(entry, size, keys) or false
      jobs[place.id] = job
    end
    return job
  end
  -- What must be taken before this one; or what ends the run. Neither: it can be taken.
  local function before(place, job)
    lookInHand(job.keys, isInHand)
    for n = 1, #job.keys do
      local lane = laneOf(job.keys[n])
      if not lane then return nil, job.keys[n], 'full' end
      if isInHand[lane.key] then return nil, lane.key, 'hand' end
      local id, sequence = firstOf(lane)
      if id ~= place.id then
        if id and tonumber(sequence) < tonumber(place.sequence) then return { id = id, sequence = sequence, key = lane.key } end
        return nil, lane.key, call('ZSCORE', own .. 'lane:' .. lane.key, place.id) and 'other' or 'missing'
      end
    end
  end

  while true do
    local id, sequence = firstOf(ownLane)
    if not id then return run, opened end
    local places = { { id = id, sequence = sequence, key = ownLane.key } }
    while #places > 0 do
      local place = places[#places]
      local job = jobOf(place)
      if not job then return run, opened, place.key, 'other' end
      local mayBegin = #run == 0 and place.id == headId
      if not job.isUntried and not mayBegin then return run, opened, place.key, 'stands' end
      if not job.keys then return run, opened, place.key, 'other' end
      local first, ending, why = before(place, job)
      if ending then return run, opened, ending, why end
      if first then
        places[#places + 1] = first
      else
        run[#run + 1], data, places[#places] = job.entry, data + job.size, nil
        for n = 1, #job.keys do
          local lane = lanes[job.keys[n]]
          lane.taken, lane.last = lane.taken + 1, place.sequence
        end
        if #run == jobsMax or data >= dataMax then return run, opened end
      end
    end
  end
end

local function otherKey(lane)
  local copy, expiry = lane.copy, lane.copy[3]
  if expiry then call('PEXPIRE', own .. 'copy:' .. lane.key, ${COPY_IN_USE_MS}) end
  local expiresIn = copy[1] and expiry and math.max(0, tonumber(expiry) - nowMs) or 0
  local token, cascadeTo = copy[1] or '0', copy[4] or '0'
  if isBehind(token) then cascadeTo = cascadeTo .. '${BEHIND_MARK}' end
  return { lane.key, token, copy[2] or '0', packed(lane.value), cascadeTo, expiresIn, lane.isLost and 1 or 0 }
end

-- The entries to hand out, and what else is said of them. Notes what is in hand. Lane and first job are those of TAKE.
local function jointHead(ownLane, first, jobsMax, dataMax, traces, entryOf, noteInHand)
  local run, opened, ending, why = runFrom(ownLane, first, jobsMax, dataMax, traces, entryOf)
  if why == 'hand' and #run < ${SMALL_RUN_JOBS} then
    return { first.entry }, { 0, {}, {}, 0, {}, 1, 0 }
  end
  local others = {}
  for i = 1, #opened do
    local lane = opened[i]
    if lane.taken > 0 then
      noteInHand(lane.key, lane.last)
      handedOut[lane.key] = true
      if lane ~= ownLane then others[#others + 1] = otherKey(lane) end
    end
  end
  local isReady = #run > 0
  local stands = why == 'stands' and 1 or 0
  local blockedBy = not isReady and (stands == 1 or why == 'other' or why == 'full') and { ending } or {}
  local missingIn = not isReady and why == 'missing' and { ending } or {}
  return isReady and run or { first.entry }, { #run, blockedBy, missingIn, ownLane.isLost and 1 or 0, others, 0, stands }
end
`;
