import { COPY_IN_USE_MS } from '../../lanes.ts';
import { DATA_SET_LUA } from '../../../redis/data-set.ts';
import { SINCE_CHECKPOINT_LUA } from './history.ts';
import { INDEX_LUA } from '../index/lane-index.ts';
import { BEHIND_MARK, IS_BEHIND_LUA } from './joint/behind.ts';
import { JOINT_HEAD_LUA, type JointReply } from './joint/head.ts';
import { type Packed, PACKING_LUA } from './packing.ts';
import {
  DIRECTIVE_FIELD,
  FIELDS_LUA,
  IN_HAND_KEY,
  KEYS_FIELD,
  LANE_FIELD,
  LATE_FIELD,
  LOST_FIELD,
  LOST_LUA,
  OUTCOME_FIELD,
  SNOOZED_FIELD,
  type Script,
} from './script.ts';
import { QUEUE_SEQUENCE_LUA } from '../../../redis/sequence-lua.ts';
import { FIELD, SCORE_PER_MS } from '../../bullmq/state/layout.ts';

/** Cell token and base: '' if there is no cell. */
export type TakeArguments = [
  key: string,
  cellToken: string,
  cellBase: string,
  /** The place of the last job that may be taken, from 0. */
  last: string,
  dataMax: number,
  arrivals: readonly string[],
  /** With what telemetry left with the jobs. */
  traces?: boolean,
  /** Of jobs of several keys. */
  runJobsMax?: number,
];

export type TakeReply = [
  token: string,
  copyToken: string,
  watermark: string,
  /** '+' and JSON, '-' deleted, '0' not kept, '?' not sent. */
  value: Packed,
  /** With a BEHIND_MARK if the copy is of a commit whose cells are not known to be written, and the value is sent. */
  cascadeTo: string,
  /** Commits in the history since one that a replay can begin at; -1: none. */
  since: string,
  /** Lua does not tell an empty list from an empty object. */
  entries: readonly EntryReply[] | Readonly<Record<string, never>>,
  /** Missing if the lane holds these entries and nothing else is to be told: a number takes Redis 0.4 µs. */
  rest?: TakeReplyRest,
];

export type TakeReplyRest = [
  length: number,
  /** Milliseconds until the head is due, if it waits for its backoff; else 0. */
  headDueInMs: number,
  /** Milliseconds until the value expires; 0: never. */
  expiresInMs: number,
  /** Outcomes by job id. */
  decided: Readonly<Record<string, Packed>>,
  /** Jobs that were in the lane, but are not in BullMQ; 0: none. */
  gone: readonly string[] | 0,
  /** The first entry is a job of several keys. */
  joint?: JointReply,
];

/** `finished`: as LaneEntry has it. The last six are missing where there is nothing to tell: a job that nobody has tried. */
export type EntryReply = [
  jobId: string,
  /** With a + in front if it entered late. */
  sequence: string,
  name: string,
  data: Packed,
  attemptsMade?: string,
  stalls?: string,
  finished?: string,
  directive?: string,
  failedReason?: Packed,
  /** 0: none. */
  trace?: Packed,
  /** Of a job of several keys: all of them. */
  keys?: readonly string[],
];

/**
 * For each key of this moment: a fencing token, the copy, and the lane's head. Jobs that were
 * delivered but are in no lane and have no outcome (delayed, scheduled, parents of flows, jobs of
 * producers without Toril) enter now, and are marked as late; one that has entered another lane does not. The
 * lane is kept with the job. An entry is dropped, and told, if BullMQ no longer has its job, or if a new job of its id is in another
 * lane. What is handed out is noted, since it must not be removed before it is decided.
 * A job of several keys is known by its field, and enters its lanes by itself (joint/enter.ts). If it is first, what its
 * other lanes and copies say comes along (joint/head.ts).
 * Running it twice (a lost reply) is harmless: a token more, nothing entered twice.
 *
 *   KEYS[1] sequence  KEYS[2] BullMQ's delayed set  KEYS[3] BullMQ's meta hash
 *   ARGV[1] key prefix  ARGV[2...] packed: a name for the data set if it has none, the id of the worker, then per key a
 *   TakeArguments
 *   Returns packed: whether the queue is paused or limited (1 or 0), the data set, then a TakeReply per key
 */
export const TAKE: Script = {
  name: 'torilTake',
  numberOfKeys: 3,
  lua: `${QUEUE_SEQUENCE_LUA}${DATA_SET_LUA}${PACKING_LUA}
local call, prefix = redis.call, ARGV[1]
local nowMs = math.floor(nowMicros / 1000)
${SINCE_CHECKPOINT_LUA}${FIELDS_LUA}${LOST_LUA}${INDEX_LUA}${IS_BEHIND_LUA}${JOINT_HEAD_LUA}
local inHand, worker = {}, table.remove(request, 2)
-- A token does not tell when it was drawn: it may be far ahead of a clock that was set back.
local by = string.format(' %s %d', worker, nowMicros)
local function noteInHand(key, token, last, kind)
  inHand[#inHand + 1] = key
  inHand[#inHand + 1] = token .. ' ' .. last .. by .. kind
end

-- Only runs of jobs of several keys ask for what was lost: a field that is missing costs Redis a walk through the hash.
local ALONE, WITH_LOST = {}, { '${LOST_FIELD}' }
local function copyOf(copyKey, cellToken, cellBase, joint)
  local copy = call('HMGET', copyKey, 't', 'w', 'x', 'c', 'h', unpack(joint and WITH_LOST or ALONE))
  local token, expiry = copy[1] or '0', copy[3]
  local value = '?'
  if not copy[1] or (expiry and tonumber(expiry) <= nowMs) then
    value = '-'
  elseif cellToken ~= token and cellBase ~= token then
    value = packed(call('HGET', copyKey, 'v'))
  end
  local cascadeTo = copy[4] or '0'
  if value ~= '?' and isBehind(token) then cascadeTo = cascadeTo .. '${BEHIND_MARK}' end
  local expiresIn = expiry and math.max(0, tonumber(expiry) - nowMs) or 0
  return token, copy[2] or '0', value, cascadeTo, sinceCheckpoint(copy[5], token), expiresIn, expiry, copy[6] == token
end

-- What telemetry left with the job, among its options.
local function traceOf(jobKey)
  local known, options = pcall(cjson.decode, call('HGET', jobKey, 'opts') or '{}')
  local trace = known and type(options) == 'table' and options.tm
  return type(trace) == 'string' and trace or nil
end

-- An entry, the length of its data, and its keys if it has several; nil if it is nobody's.
local function entryOf(key, jobId, sequence, traces)
  local jobKey = prefix .. jobId
  local job = fieldsOf(jobKey, 'name', 'data', '${FIELD.attemptsMade}', '${FIELD.stalls}', 'finishedOn', '${DIRECTIVE_FIELD}',
    '${LANE_FIELD}', '${LATE_FIELD}', '${KEYS_FIELD}')
  local keys = job[9] and cjson.decode(job[9])
  if not job[1] or (job[7] and job[7] ~= key and not (keys and isAmong(key, keys))) then return nil end
  if job[8] then sequence = '+' .. sequence end
  local data = job[2] or '{}'
  local trace = traces and traceOf(jobKey)
  local isPlain = not (trace or keys or job[3] or job[4] or job[5] or job[6])
  if isPlain then return { jobId, sequence, job[1], packed(data) }, #data end
  local finished, reason = 'no', ''
  if job[5] then
    -- Not by failedReason: BullMQ leaves that of an earlier attempt where it was.
    local result = call('HMGET', jobKey, 'returnvalue', '${OUTCOME_FIELD}', 'failedReason')
    local isApplied = result[2] and result[2] ~= ''
    finished = not result[1] and 'failed' or isApplied and 'completed' or 'unapplied'
    reason = result[3] or ''
  end
  local attempts, stalls, directive = job[3] or '0', job[4] or '0', job[6] or ''
  -- The reason follows the mark of a job that holds its lane: BullMQ may not have been told yet.
  local held, why = string.match(directive, '^(held) (.*)$')
  if held then directive, reason = held, why end
  return { jobId, sequence, job[1], packed(data), attempts, stalls, finished, directive, packed(reason), trace and packed(trace) or keys and 0 or nil, keys or nil }, #data, keys
end

local function take(key, cellToken, cellBase, last, dataMax, arrivals, traces, runJobsMax)
  local jobsMax = tonumber(last) + 1
  local laneKey, copyKey = own .. 'lane:' .. key, own .. 'copy:' .. key
  local token = draw()

  local entries, present, data, gone, entered, joint = {}, {}, 0, {}, 0, nil
  local head = call('ZRANGE', laneKey, '0', last, 'WITHSCORES')
  for i = 1, #head, 2 do
    present[head[i]] = true
    if data < dataMax then
      local entry, size, keys = entryOf(key, head[i], head[i + 1], traces)
      if entry then
        entries[#entries + 1] = entry
        data = data + size
        -- Nothing behind it is decided in this lane alone.
        if keys then joint, data = #entries == 1 and jobIn(entry, size, keys), math.huge end
      else
        gone[#gone + 1] = head[i]
      end
    end
  end
  local copyToken, watermark, value, cascadeTo, since, expiresIn, expiry, isLost = copyOf(copyKey, cellToken, cellBase, joint)
  if #gone > 0 then
    call('ZREM', laneKey, unpack(gone))
    noteLost(copyKey)
  end

  local decided = {}
  for i = 1, #arrivals do
    local jobId = arrivals[i]
    if not present[jobId] then
      local jobKey = prefix .. jobId
      local job = fieldsOf(jobKey, '${OUTCOME_FIELD}', 'name', 'finishedOn', '${LANE_FIELD}', '${KEYS_FIELD}')
      local outcome, isUnfinished, isElsewhere = job[1], job[2] and not job[3], job[4] and job[4] ~= key
      if outcome and outcome ~= '' then
        decided[jobId] = packed(outcome)
      -- It has left its lanes, as a retried job does, and enters all of them again when it is delivered next.
      elseif job[5] then
        if isUnfinished and not call('ZSCORE', laneKey, jobId) then call('HDEL', jobKey, '${LANE_FIELD}') end
      -- One that is finished was delivered to somebody who froze, and has left its lane since.
      elseif isUnfinished and not isElsewhere and not call('ZSCORE', laneKey, jobId) then
        local sequence = draw()
        call('ZADD', laneKey, sequence, jobId)
        call('HSET', jobKey, '${LANE_FIELD}', key, '${LATE_FIELD}', '1')
        if entered == 0 then noteEntered(key, sequence) end
        entered = entered + 1
        if #head < jobsMax * 2 and data < dataMax and #entries < jobsMax then
          local entry, size = entryOf(key, jobId, sequence, traces)
          entries[#entries + 1] = entry
          data = data + size
        end
      end
    end
  end

  if #gone > 0 then lookAtHead(key) end
  local first = entries[1]
  if first and (first[7] == 'failed' or first[8] == 'held') then
    noteHeld(key, string.match(first[2], '%d.*'))
  elseif anyHeld() then
    noteFree(key)
  end
  -- A commit may follow, and must find the copy that it is built on: a copy that expired in between
  -- would make its cell look newer than Redis. Acknowledging sets a new expiry.
  if #entries > 0 then
    if expiry then call('PEXPIRE', copyKey, ${COPY_IN_USE_MS}) end
    if joint then
      local function noteRun(its, to) noteInHand(its, token, to, ' run') end
      local lane = newLane(key, isLost or #gone > 0)
      if #gone == 0 and entered == 0 then lane.page, lane.isLast = head, #head < jobsMax * 2 end
      entries, joint = jointHead(lane, joint, runJobsMax or jobsMax, dataMax, traces, entryOf, noteRun)
    else
      joint = nil
      noteInHand(key, token, string.match(entries[#entries][2], '%d.*'), '')
    end
  end

  local headDueIn, attempts = 0, #entries > 0 and entries[1][5] or '0'
  if attempts ~= '0' and call('HGET', prefix .. entries[1][1], '${SNOOZED_FIELD}') ~= attempts then
    local due = call('ZSCORE', KEYS[2], entries[1][1])
    if due then headDueIn = math.max(0, math.floor(tonumber(due) / ${SCORE_PER_MS}) - nowMs) end
  end
  local length = #head / 2 - #gone + entered
  if #head == jobsMax * 2 then length = call('ZCARD', laneKey) end
  local isPlain = length == #entries and headDueIn == 0 and expiresIn == 0 and #gone == 0 and not next(decided) and not joint
  local rest = not isPlain and { length, headDueIn, expiresIn, decided, #gone > 0 and gone or 0, joint } or nil
  return { token, copyToken, watermark, value, cascadeTo, since, entries, rest }
end

local queue = call('HMGET', KEYS[3], 'paused', 'concurrency', 'max')
local lanes = { (queue[1] or queue[2] or queue[3]) and 1 or 0, dataSetOr(table.remove(request, 1)) }
for i = 1, #request do lanes[i + 2] = take(unpack(request[i])) end
if #inHand > 0 then call('HSET', own .. '${IN_HAND_KEY}', unpack(inHand)) end
saveIndex()
saveDrawn()
return reply(lanes)
`,
};
