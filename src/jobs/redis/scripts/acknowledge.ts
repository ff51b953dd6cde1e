import { PLAIN_APPLIED } from '../../../updates/outcome.ts';
import { FINISHING_LUA, type FinishSettings } from '../../bullmq/fast-path/finish.ts';
import { INDEX_LUA, REINDEX_LUA } from '../index/lane-index.ts';
import { type NoteArguments, RECORD_LUA } from './history.ts';
import { LATE_JOBS_LUA } from './late-jobs.ts';
import { type Packed, PACKING_LUA } from './packing.ts';
import { PROMOTE_LUA } from '../../bullmq/state/snoozing/promote.ts';
import {
  ALONE_FIELD,
  DIRECTIVE_FIELD,
  IN_HAND_KEY,
  LANE_FIELD,
  OUTCOME_FIELD,
  type Script,
  UNFINISHED_LUA,
  WRITE_COPY_LUA,
} from './script.ts';
import { QUEUE_SEQUENCE_LUA } from '../../../redis/sequence-lua.ts';

/** How the jobs of `completable` are completed, and whether others are fetched instead; 0: they are not. */
export type CompletingArguments = readonly [...settings: FinishSettings, wantsNext: 0 | 1] | 0;

/** The last six only where one of them says anything; times in milliseconds, 0: never. */
export type AcknowledgeArguments = [
  key: string,
  /** The id of the data set that the commit belongs to. */
  dataSet: string,
  base: string,
  token: string,
  watermark: string,
  decided: number,
  /** '+' and JSON, '-' deleted, '0' not kept. */
  value: Packed,
  /** Milliseconds per job. */
  pace: string,
  /** Id, lock token, and whether to remove it (1 or 0) of each job that may be completed, too. */
  completable: readonly (string | 0 | 1)[],
  expireMs?: number,
  copyExpireMs?: number,
  decisions?: Readonly<Record<string, Packed>>,
  /** False: not for the history. */
  note?: NoteArguments | false,
  /** How far below the watermark each of the decided jobs is; false: not told. */
  depths?: readonly number[] | false,
  /** Those that entered late: id, and how far below the watermark, of each. */
  late?: readonly (string | number)[],
];

/**
 * Makes commits that landed in memcached the state of their keys: writes the durable copy, takes
 * the decided jobs out of the lane and leaves each job's outcome in its hash, all in one step. A job
 * that BullMQ has failed without us is not told that it failed: somebody may retry it. But if it was
 * applied all the same, it must know.
 * Decided jobs that BullMQ holds back as delayed are promoted: nothing remains to wait for.
 * Those that are being worked on by the caller are completed in the same step, and others fetched
 * instead (finish.ts): it saves a round trip, and a worker that dies now leaves nothing to be done.
 * A job that holds its lane is marked, so that nobody tries it while BullMQ is being told.
 * Refused unless the copy is what the commit was built on, in this very data set (a first commit is
 * built on nothing, and so fits any that is empty): Redis has the last word. Accepted
 * without doing anything if it was acknowledged before (by us, with a lost reply, or by the one who
 * found the cell).
 * Redis has gone back if the token was not drawn here, or if others than the commit's own jobs are about to
 * leave: a commit of one job is told by its sequence, one of our own by its count (reading all sequences of
 * 500 jobs would cost as much as taking them out), somebody else's by all its sequences.
 *
 *   KEYS[1] sequence  KEYS[2] BullMQ's delayed set
 *   ARGV[1] key prefix  ARGV[2...] packed: CompletingArguments, then per key an AcknowledgeArguments
 *   Returns a letter per key: 1 accepted, 2 accepted, but not all of its jobs were in the lane, 0 refused, b
 *   refused since Redis has gone back; if there are completable jobs, what `told` makes of an answer for each ('slow': it
 *   was not completed), and these letters
 */
export const ACKNOWLEDGE: Script = {
  name: 'torilAcknowledge',
  numberOfKeys: 2,
  lua: `${QUEUE_SEQUENCE_LUA}${PACKING_LUA}
local call, prefix = redis.call, ARGV[1]
local dataSetId = string.match(dataSet or '', '^%S*')
local anyDelayed = call('EXISTS', KEYS[2]) == 1
local completing = table.remove(request, 1)
local nowMs = string.format('%d', math.floor(nowMicros / 1000))
local accepted = {}
-- Jobs to be completed, and which of the completable ones each of them is.
local finishing, finishingKeys, places, answers, delivered = {}, {}, {}, {}, 0
${RECORD_LUA}
${PROMOTE_LUA}
${FINISHING_LUA}
${UNFINISHED_LUA}${INDEX_LUA}${REINDEX_LUA}${WRITE_COPY_LUA}
local decidedKeys = {}
-- Takes out what is decided; nil, and nothing, if that is more than the commit's own jobs. Most lanes hold
-- one job: popping it needs one command, not two; asking for two tells what is the first one now, which is returned as
-- well: its sequence; false: none; nil: not known.
local function takeOut(laneKey, watermark, decided)
  local first = call('ZPOPMIN', laneKey, decided == 1 and '2' or '1')
  local jobId, sequence, last, nextSequence = first[1], tonumber(first[2]), tonumber(watermark), nil
  if not jobId then return {}, false end
  if decided == 1 then
    nextSequence = first[4] or false
    if nextSequence then call('ZADD', laneKey, nextSequence, first[3]) end
  end
  if sequence == last and decided > 0 then return { jobId }, nextSequence end
  if sequence > last then
    call('ZADD', laneKey, first[2], jobId)
    return {}, first[2]
  end
  local jobIds = call('ZRANGEBYSCORE', laneKey, '-inf', watermark)
  if decided < 2 or #jobIds >= decided then
    call('ZADD', laneKey, first[2], jobId)
    return nil
  end
  call('ZREMRANGEBYSCORE', laneKey, '-inf', watermark)
  table.insert(jobIds, 1, jobId)
  return jobIds
end

-- The same where the sequences are read anyhow: what is at or below the watermark, as ids and sequences, may
-- leave. With depths, others are passed over.
local function ownOf(entries, watermark, decided, depths)
  local last, ours, jobIds = tonumber(watermark), {}, {}
  if depths then
    for i = 1, #depths do ours[depths[i]] = true end
  elseif decided == 1 then
    ours[0] = true
  end
  for i = 1, #entries, 2 do
    if decided > 1 and not depths or ours[last - tonumber(entries[i + 1])] then
      jobIds[#jobIds + 1] = entries[i]
    end
  end
  return jobIds, #jobIds < #entries / 2 or not depths and #jobIds > decided
end

-- A job of which nothing is left but what Toril wrote must not come back, and a new job of the same id, which
-- has entered another lane, must not be taken for the one that was applied.
local function mayKnow(jobKey, kind, key)
  -- Nearly always; one field is read twice as fast as three.
  if kind == '${PLAIN_APPLIED}' and redis.pcall('HGET', jobKey, '${LANE_FIELD}') == key then return true end
  local job = fieldsOf(jobKey, 'name', 'finishedOn', '${LANE_FIELD}')
  local isOurs = job[1] and (not job[3] or job[3] == key)
  return isOurs and (kind == '${PLAIN_APPLIED}' or not job[2])
end

${LATE_JOBS_LUA}local function leaveOutcome(jobId, kind, decision, key)
  local jobKey = prefix .. jobId
  if not mayKnow(jobKey, kind, key) then return end
  call('HSET', jobKey, '${OUTCOME_FIELD}', decision)
  if anyDelayed then promote(jobId) end
end

local function finishLater(jobId, slot, decision, key)
  local result = #decision > 1 and string.sub(decision, 2) or 'null'
  finishing[#finishing + 1] = { jobId, slot.token, result, completing[3], slot.remove, '', decision }
  places[#finishing] = slot.place
  finishingKeys[#finishing] = key
end

local function leaveLane(key, laneKey, jobIds, decisions, completable)
  local moved, cascades = {}, false
  for i = 1, #jobIds do
    local jobId = jobIds[i]
    local decision = decisions[jobId] or '${PLAIN_APPLIED}'
    local kind = string.sub(decision, 1, 1)
    if kind == 'm' then
      moved[#moved + 1] = jobId
      call('HDEL', prefix .. jobId, '${DIRECTIVE_FIELD}')
    elseif kind == '${PLAIN_APPLIED}' and completable[jobId] then
      finishLater(jobId, completable[jobId], decision, key)
    elseif kind ~= 's' then
      leaveOutcome(jobId, kind, decision, key)
    end
    if kind == 'c' then cascades = true end
  end
  if cascades then
    local last = call('ZRANGE', laneKey, -1, -1, 'WITHSCORES')
    if last[2] then
      call('HSET', own .. 'copy:' .. key, 'c', string.format('%.0f', tonumber(last[2])))
    end
  end
  for i = 1, #moved do
    call('HDEL', prefix .. moved[i], '${ALONE_FIELD}')
    call('ZADD', laneKey, draw(), moved[i])
  end
  return #moved > 0
end

local function hold(jobKey, reason, key)
  if not mayKnow(jobKey, 'h', key) then return false end
  call('HSET', jobKey, '${DIRECTIVE_FIELD}', 'held ' .. reason)
  return true
end

local function completableOf(list)
  local completable = {}
  for i = 1, #list, 3 do
    delivered = delivered + 1
    answers[delivered] = 'slow'
    if completing ~= 0 then completable[list[i]] = { token = list[i + 1], remove = list[i + 2], place = delivered } end
  end
  return completable
end

-- The answer to the first acknowledgement was lost: what it completed need not be completed once more.
local function rememberCompleted(completable)
  for jobId, slot in pairs(completable) do
    if not isUnfinished(prefix .. jobId) then answers[slot.place] = 'fetch' end
  end
end

local NONE = {}
local function acknowledge(key, commitsDataSet, base, token, watermark, decided, value, pace, completable, expireMs, copyExpireMs, decisions, note, depths, late)
  completable = completableOf(completable)
  if commitsDataSet ~= dataSetId then return '0' end
  local copyKey, laneKey = own .. 'copy:' .. key, own .. 'lane:' .. key
  local copy = call('HMGET', copyKey, 't', 'x')
  local copyToken = copy[1] or '0'
  if copyToken == token and base ~= 'any' then
    rememberCompleted(completable)
    return '1'
  end
  if copyToken ~= base and base ~= 'any' then return '0' end
  if tonumber(token) > lastDrawn and base ~= 'any' then return 'b' end
  local entries, jobIds, hasOthers, head = nil, nil, false, nil
  if note or depths then
    entries = call('ZRANGEBYSCORE', laneKey, '-inf', watermark, 'WITHSCORES')
    jobIds, hasOthers = ownOf(entries, watermark, decided, depths)
    if hasOthers and base ~= 'any' then return 'b' end
  else
    jobIds, head = takeOut(laneKey, watermark, decided)
    if not jobIds then return 'b' end
  end
  value, decisions = unpacked(value), decisions or NONE
  for jobId, decision in pairs(decisions) do decisions[jobId] = unpacked(decision) end
  local toRemove = hasOthers and #jobIds or 0
  local isAll = entries and not hasOthers and #entries > 0
  if late then addLate(late, key, laneKey, jobIds, note and entries, watermark, decisions) end
  -- First what can fail (somebody keeps something else under the stream's name): a script is not undone.
  if note then record(key, copyToken, token, watermark, value, decisions, note, entries) end
  for i = 1, toRemove do call('ZREM', laneKey, jobIds[i]) end
  if isAll then call('ZREMRANGEBYSCORE', laneKey, '-inf', watermark) end
  writeCopy(copyKey, copy[2], token, watermark, value, pace, expireMs or 0, copyExpireMs or 0)
  local hasMoved = leaveLane(key, laneKey, jobIds, decisions, completable)
  if head == nil or hasMoved or late then head = lookAtHead(key) else noteHead(key, head) end
  if anyHeld() and call('ZSCORE', own .. 'held', key) then reindex(own, prefix, key) end
  for jobId, decision in pairs(decisions) do
    if string.sub(decision, 1, 1) == 'h' and hold(prefix .. jobId, string.sub(decision, 2), key) and head then
      noteHeld(key, head)
    end
  end
  decidedKeys[#decidedKeys + 1] = key
  return #jobIds == decided and '1' or '2'
end

for i = 1, #request do accepted[i] = acknowledge(unpack(request[i])) end
trimHistory()
saveIndex()
saveDrawn()
-- Nothing of them is in anybody's hand any more.
if #decidedKeys > 0 then call('HDEL', own .. '${IN_HAND_KEY}', unpack(decidedKeys)) end
if delivered == 0 then return table.concat(accepted) end
if #finishing > 0 then
  -- They have left their lanes: whatever Redis refuses from here on, their outcomes must be kept.
  local isDone, done = pcall(finishAll, finishing, completing[1], completing[2])
  for n = 1, #finishing do
    local answer = isDone and done[n] or 'slow'
    answers[places[n]] = answer
    if answer == 'slow' then
      leaveOutcome(finishing[n][1], '${PLAIN_APPLIED}', finishing[n][7], finishingKeys[n])
    end
  end
end
return told(answers, table.concat(accepted))
`,
};
