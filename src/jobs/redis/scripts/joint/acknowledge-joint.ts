import { OWN_PREFIX_LUA } from '../../../../redis/own-keys.ts';
import { JOINT_MARK, PLAIN_APPLIED } from '../../../../updates/outcome.ts';
import { PROMOTE_LUA } from '../../../bullmq/state/snoozing/promote.ts';
import { INDEX_LUA, REINDEX_LUA } from '../../index/lane-index.ts';
import { type Packed, PACKING_LUA } from '../packing.ts';
import {
  ALONE_FIELD,
  DIRECTIVE_FIELD,
  FIELDS_LUA,
  IN_HAND_KEY,
  KEYS_FIELD,
  LANE_FIELD,
  OUTCOME_FIELD,
  type Script,
  WRITE_COPY_LUA,
} from '../script.ts';
import { QUEUE_SEQUENCE_LUA } from '../../../../redis/sequence-lua.ts';
import { BEHIND_KEY } from './behind.ts';
import { ENTER_ALL_LUA } from './enter.ts';
import { type JointNoteArguments, RECORD_JOINT_LUA } from './record.ts';

/** Times in milliseconds, 0: never. */
export type JointArguments = [
  dataSet: string,
  token: string,
  /** Milliseconds per job. */
  pace: string,
  at: string,
  keys: readonly JointKeyArguments[],
  /** Of all its jobs, in order: id, decision. */
  jobs: readonly Packed[],
  /** Missing: not for the history. */
  note?: JointNoteArguments,
];

export type JointKeyArguments = [
  key: string,
  base: string,
  watermark: string,
  /** '+' and JSON, '-' deleted. */
  value: Packed,
  expireMs: number,
  copyExpireMs: number,
  jobIds: readonly string[],
];

/** Per commit: 1 accepted, with the keys that go on; k known, accepted before; 0 refused; b refused since Redis has gone back. */
export type JointAnswer = [letter: '1' | 'k' | '0' | 'b', ...onward: string[]];

/** A fragment: how a joint job leaves its lanes with an outcome, behind FIELDS_LUA and PROMOTE_LUA. */
const LEAVE_ALL_LUA = `
-- One that failed may be tried again, by its retry or an operator's: it enters all its lanes again.
local function decideJoint(jobId, token, decision)
  local jobKey, kind = prefix .. jobId, string.sub(decision, 1, 1)
  local job = fieldsOf(jobKey, 'name', 'finishedOn')
  if not job[1] then return end
  if kind ~= '${PLAIN_APPLIED}' then call('HDEL', jobKey, '${LANE_FIELD}') end
  if kind == 's' or (job[2] and kind ~= '${PLAIN_APPLIED}') then return end
  call('HSET', jobKey, '${OUTCOME_FIELD}', '${JOINT_MARK}' .. token .. ':' .. decision)
  if anyDelayed then promote(jobId) end
end
`;

/**
 * Decides jobs of several keys: makes a commit that no cell has yet the state of all its keys, takes its jobs out of
 * all their lanes and leaves their outcomes, in one step, or does nothing. Refused unless each copy is what the commit
 * was built on, and exactly its jobs are at each lane's head, up to the watermark, and then the one that it holds: a job
 * of it may have been removed, withdrawn or decided by another driver since it was taken. Accepted without doing anything if all copies are the
 * commit itself.
 * Whoever is told an outcome of it must first see that the commit is no longer behind (behind.ts).
 *
 *   KEYS[1] sequence  KEYS[2] BullMQ's delayed set  ARGV[1] key prefix  ARGV[2...] packed: a JointArguments per commit
 *   Returns a JointAnswer per commit
 */
export const ACKNOWLEDGE_JOINT: Script = {
  name: 'torilAcknowledgeJoint',
  numberOfKeys: 2,
  lua: `${QUEUE_SEQUENCE_LUA}${PACKING_LUA}
local call, prefix = redis.call, ARGV[1]
local dataSetId = string.match(dataSet or '', '^%S*')
local anyDelayed = call('EXISTS', KEYS[2]) == 1
local nowMs = math.floor(nowMicros / 1000)
${RECORD_JOINT_LUA}${PROMOTE_LUA}${FIELDS_LUA}${INDEX_LUA}${REINDEX_LUA}${ENTER_ALL_LUA}${LEAVE_ALL_LUA}${WRITE_COPY_LUA}
-- The job that a lane holds behind those that leave it, and its sequence, false if there is none; nil if others than those leave.
local function nextBehind(key, watermark, ids)
  local entries, last = call('ZRANGE', own .. 'lane:' .. key, 0, #ids, 'WITHSCORES'), tonumber(watermark)
  for n = 1, #ids do if entries[2 * n - 1] ~= ids[n] or tonumber(entries[2 * n]) > last then return nil end end
  local at = 2 * #ids + 1
  if entries[at] and tonumber(entries[at + 1]) <= last then return nil end
  return { id = entries[at], sequence = entries[at + 1] or false }
end

-- 'k', '0' or 'b': what there is to say before anything is written; nil: it may be written. And when the copies expire, and
-- who is next in the lane of each key.
local function check(commitsDataSet, token, keys)
  if commitsDataSet ~= dataSetId then return '0' end
  local isKnown, fits, expiries, heads = true, true, {}, {}
  for i = 1, #keys do
    local copy = call('HMGET', own .. 'copy:' .. keys[i][1], 't', 'x')
    local copyToken = copy[1] or '0'
    if copyToken ~= token then isKnown = false end
    if copyToken ~= keys[i][2] then fits = false end
    expiries[i] = copy[2]
  end
  if isKnown then return 'k' end
  if not fits then return '0' end
  if tonumber(token) > lastDrawn then return 'b' end
  for i = 1, #keys do
    local head = nextBehind(keys[i][1], keys[i][3], keys[i][7])
    if not head then return '0' end
    heads[keys[i][1]] = head
  end
  return nil, expiries, heads
end

local function writeKey(token, pace, hadExpiry, head, key, _, watermark, value, expireMs, copyExpireMs, ids)
  writeCopy(own .. 'copy:' .. key, hadExpiry, token, watermark, unpacked(value), pace, expireMs, copyExpireMs)
  if #ids == 0 then return end
  call('ZREMRANGEBYSCORE', own .. 'lane:' .. key, '-inf', watermark)
  noteHead(key, head.sequence)
end

local function cascade(keys)
  for i = 1, #keys do
    local last = call('ZRANGE', own .. 'lane:' .. keys[i], -1, -1, 'WITHSCORES')
    if last[2] then call('HSET', own .. 'copy:' .. keys[i], 'c', string.format('%.0f', tonumber(last[2]))) end
  end
end

local function keysOf(jobId)
  local keys = call('HGET', prefix .. jobId, '${KEYS_FIELD}')
  return keys and cjson.decode(keys) or {}
end

-- One that stays and holds its lanes is the first of each, behind what leaves: it may have given up since it was taken.
local function mayHold(jobId, its, heads)
  for i = 1, #its do
    local head = heads[its[i]]
    if not head or head.id ~= jobId then return false end
  end
  return #its > 0
end

-- Lanes whose next job will not be met at the one of the commit.
local function onward(at, keys, heads)
  local answer = { '1' }
  for i = 1, #keys do
    local key = keys[i][1]
    local id = key ~= at and heads[key].id
    if id and not call('ZSCORE', own .. 'lane:' .. at, id) then answer[#answer + 1] = key end
  end
  return answer
end

local decidedKeys = {}
local function acknowledge(commitsDataSet, token, pace, at, keys, jobs, note)
  local refused, expiries, heads = check(commitsDataSet, token, keys)
  if refused then return { refused } end
  local decisions, holds = {}, {}
  for i = 1, #jobs, 2 do
    local jobId, decision = jobs[i], unpacked(jobs[i + 1])
    if string.sub(decision, 1, 1) == 'h' then
      holds[jobId] = keysOf(jobId)
      if not mayHold(jobId, holds[jobId], heads) then return { '0' } end
    end
    decisions[jobId] = decision
  end
  -- First what can fail: a script is not undone.
  if note then recordJoint(token, keys, decisions, note) end
  local member = { token }
  for i = 1, #keys do
    local key = keys[i][1]
    writeKey(token, pace, expiries[i], heads[key], unpack(keys[i], 1, 7))
    member[#member + 1] = key
    decidedKeys[#decidedKeys + 1] = key
  end
  for i = 1, #jobs, 2 do
    local jobId = jobs[i]
    local decision = decisions[jobId]
    local kind = string.sub(decision, 1, 1)
    if kind == 'h' then
      call('HSET', prefix .. jobId, '${DIRECTIVE_FIELD}', 'held ' .. string.sub(decision, 2))
      for _, key in ipairs(holds[jobId]) do noteHeld(key, heads[key].sequence) end
    elseif kind == 'm' then
      call('HDEL', prefix .. jobId, '${DIRECTIVE_FIELD}', '${ALONE_FIELD}')
      local its = keysOf(jobId)
      if #its > 0 then enterAll(jobId, its) end
    else
      decideJoint(jobId, token, decision)
      if kind == 'c' then cascade(keysOf(jobId)) end
    end
  end
  for i = 1, #keys do
    if anyHeld() and call('ZSCORE', own .. 'held', keys[i][1]) then reindex(own, prefix, keys[i][1]) end
  end
  call('ZADD', own .. '${BEHIND_KEY}', token, cjson.encode(member))
  return onward(at, keys, heads)
end

local answers = {}
for i = 1, #request do answers[i] = acknowledge(unpack(request[i])) end
trimHistory()
saveIndex()
saveDrawn()
if #decidedKeys > 0 then call('HDEL', own .. '${IN_HAND_KEY}', unpack(decidedKeys)) end
return answers
`,
};

/**
 * A joint job that waits gives up: it leaves all its lanes with an outcome. Nothing is committed, so nothing is behind; a
 * commit of it that is under way is refused, since the job is in no lane.
 *
 *   KEYS[1] sequence (unused)  KEYS[2] BullMQ's delayed set  ARGV[1] key prefix  ARGV[2] job id  ARGV[3] its outcome
 *   Returns 1, or 0 if it is in none of its lanes, or gone. One that is decided leaves them, and keeps its outcome
 */
export const WITHDRAW: Script = {
  name: 'torilWithdraw',
  numberOfKeys: 2,
  lua: `${OWN_PREFIX_LUA}
local call, prefix = redis.call, ARGV[1]
local anyDelayed = call('EXISTS', KEYS[2]) == 1
${PROMOTE_LUA}${FIELDS_LUA}${REINDEX_LUA}
local jobKey = prefix .. ARGV[2]
local job = fieldsOf(jobKey, 'name', 'finishedOn', '${OUTCOME_FIELD}', '${LANE_FIELD}', '${KEYS_FIELD}')
if not job[1] or not job[5] then return 0 end
local keys, left = cjson.decode(job[5]), 0
for i = 1, #keys do
  left = left + call('ZREM', own .. 'lane:' .. keys[i], ARGV[2])
  reindex(own, prefix, keys[i])
end
-- Decided or finished, it was in a lane only because somebody has changed another one by hand.
if job[2] or (job[3] and job[3] ~= '') then return left > 0 and 1 or 0 end
if not job[4] then return 0 end
call('HDEL', jobKey, '${LANE_FIELD}')
call('HSET', jobKey, '${OUTCOME_FIELD}', ARGV[3])
if anyDelayed then promote(ARGV[2]) end
return 1
`,
};
