import { bullFunctionLua } from './bullmq-text.ts';
import { INDEX_LUA } from '../../redis/index/lane-index.ts';
import { KEYS_FIELD, LANE_FIELD, SNOOZED_FIELD, type Script } from '../../redis/scripts/script.ts';
import { QUEUE_SEQUENCE_LUA } from '../../../redis/sequence-lua.ts';
import type { LaneKeys } from '../../../updates/job-data.ts';
import { FIELD } from './layout.ts';

/** BullMQ's own scripts that `addJobToTransaction` chooses from. */
const BULL_SCRIPTS = [
  'addStandardJob',
  'addPrioritizedJob',
  'addDelayedJob',
  'addParentJob',
] as const;

/** Which of BullMQ's scripts, the KEYS that it gets, how many ARGV: alike for nearly all jobs of a call, so they are sent once. */
export type AddForm = readonly [script: string, keys: readonly string[], args: number];

/** What is out of the ordinary about an add. */
export interface AddFacts {
  /** An id of the user's own. */
  readonly id?: string;
  /** The Redis key of the job's parent. */
  readonly parent?: string;
  /** The Redis key of its deduplication, */
  readonly dedup?: string;
  /** which may take the place of a delayed job, or set a new time at which that is due: 1. */
  readonly replaces?: 1;
  /** It is due so long after now: by Redis's clock, not the producer's. */
  readonly fromNow?: 1;
}

export type AddArguments = [form: number, bulk: number, lane: LaneKeys, facts?: AddFacts];

/** BullMQ's own arguments of each job stand behind the message. */
export type AddMessage = readonly [forms: readonly AddForm[], adds: readonly AddArguments[]];

/** A job's id; BullMQ's code for why it was not added; what an add failed with; 0: its bulk was refused. */
export type AddReply = string | number | readonly [failure: string];

/** Milliseconds for which the answers to a producer's last calls are kept, beyond the time in which a call is valid. */
const KEPT_MS = 60_000;

/**
 * Adds jobs, and has them enter their lanes, in one step: BullMQ's own scripts are functions of this one. One
 * step that Redis carries out or refuses as a whole: its first write is the sequence, so a Redis that takes no
 * writes now (full, read-only, without replicas) refuses it before anything has happened. It needs no
 * transaction, where a script that Redis has forgotten fails alone, and lanes are entered with the ids that
 * BullMQ answers.
 *
 * A call that comes again (its answer was lost with the connection) is answered again, and nothing is added: calls
 * of a producer are numbered, and the last two are remembered. One that was overtaken does nothing, nor does
 * one that comes too late, so a caller that has given it up knows that nothing follows. Two are under way at a
 * time; the second one waits for the first.
 *
 * All jobs of a bulk are added, or none if a parent is missing. What is new enters its lane at the end, also if
 * its id was in a lane before. A job that only sleeps until its turn is no delayed job: it is taken
 * out of BullMQ's delayed set for the moment in which an add might replace it.
 *
 *   KEYS[1] sequence  KEYS[2] the producer's last calls
 *   ARGV[1] key prefix  ARGV[2] the call's number  ARGV[3] that of the call which must have come before; 0: none
 *   ARGV[4] the last moment, milliseconds since 1970  ARGV[5] how long a call may be valid, in milliseconds
 *   ARGV[6] AddMessage as JSON  ARGV[7...] BullMQ's ARGV of each job
 *   Returns an AddReply per job as JSON; or `old`: it was overtaken; `early`: the one before has not come;
 *   `time` and Redis' time: its last moment is past, or too far ahead
 */
export function addScript(): Script {
  const functions = BULL_SCRIPTS.map(
    (name) => `${bullFunctionLua(name)}bull['${name}'] = ${name}\n`,
  );
  return {
    name: 'torilAdd',
    numberOfKeys: 2,
    lua: `${QUEUE_SEQUENCE_LUA}${INDEX_LUA}
local bull = {}
${FROM_NOW_LUA}${functions.join('')}${ADD_LUA}`,
  };
}

/**
 * BullMQ's scripts reckon when a job is due from the time that the producer gives, its fourth argument. A packed list
 * with holes cannot be packed again, so the time is put into what they unpack.
 */
const FROM_NOW_LUA = `
local bulls, timeless = cmsgpack, nil
local cmsgpack = { pack = bulls.pack, unpack = function(text)
  local unpacked = bulls.unpack(text)
  if text == timeless then unpacked[4] = math.floor(nowMicros / 1000) end
  return unpacked
end }
`;

const ADD_LUA = `
local call, prefix = redis.call, ARGV[1]
local number, nowMs = ARGV[2], math.floor(nowMicros / 1000)

-- The answers to the last two calls, a line each, the newer one first.
local newest, newestLine = 0, ''
for line in string.gmatch(call('GET', KEYS[2]) or '', '[^\\n]+') do
  local past, answer = string.match(line, '^(%d+) (.*)$')
  if past == number then return answer end
  if newest == 0 then newest, newestLine = tonumber(past), line end
end
if tonumber(number) < newest then return 'old' end
if tonumber(ARGV[3]) > newest then return 'early' end
local leftMs = tonumber(ARGV[4]) - nowMs
if leftMs < 0 or leftMs > tonumber(ARGV[5]) then return 'time ' .. string.format('%.0f', nowMs) end

local forms, adds = unpack(cjson.decode(ARGV[6]))
local refused, coming = {}, {}
for i = 1, #adds do
  local bulk, facts = adds[i][2], adds[i][4]
  if facts then
    if facts.parent and not coming[facts.parent] and call('EXISTS', facts.parent) == 0 then
      refused[bulk] = true
      adds[i][5] = true
    end
    if facts.id then coming[prefix .. facts.id] = true end
  end
end

local nextSequence = math.max(lastDrawn + 1, nowMicros)
lastDrawn = nextSequence + #adds
saveDrawn()
local function enterOne(lane, sequence, jobId)
  if call('ZADD', own .. 'lane:' .. lane, sequence, jobId) == 1 then
    noteEntered(lane, sequence)
  else
    lookAtHead(lane) -- an entry of a former job of this id may have been the first one
  end
end

local function enter(lane, jobId)
  local sequence = string.format('%.0f', nextSequence)
  nextSequence = nextSequence + 1
  if type(lane) == 'string' then
    enterOne(lane, sequence, jobId)
    call('HSET', prefix .. jobId, '${LANE_FIELD}', lane)
    return
  end
  -- One sequence for all its keys, also where a former job of its id has an entry: all lanes agree on the order.
  for i = 1, #lane do enterOne(lane[i], sequence, jobId) end
  call('HSET', prefix .. jobId, '${LANE_FIELD}', lane[1], '${KEYS_FIELD}', cjson.encode(lane))
end

-- Who must not be replaced, and where it lay: it waits for its turn, not for a time of its user's.
local function asleep(dedup)
  local jobId = call('GET', dedup)
  if not jobId then return end
  local job = call('HMGET', prefix .. jobId, '${LANE_FIELD}', '${FIELD.attemptsMade}', '${SNOOZED_FIELD}')
  local lane = job[1]
  local waitsForTurn = not job[2] or job[2] == '0' or job[2] == job[3]
  if not lane or not waitsForTurn or not call('ZSCORE', own .. 'lane:' .. lane, jobId) then return end
  return jobId, call('ZSCORE', prefix .. 'delayed', jobId)
end

-- Whether the answer names a job that was just made: not the one that was there, or that it was a duplicate of.
local function isNew(reply, facts, existed)
  if type(reply) ~= 'string' then return false end
  if not facts then return true end
  if facts.id then return not existed and reply == facts.id end
  return not facts.dedup or reply == call('GET', prefix .. 'id')
end

local function add(form, lane, facts, args)
  local existed = facts and facts.id and call('EXISTS', prefix .. facts.id) == 1
  local sleeper, due
  if facts and facts.replaces then sleeper, due = asleep(facts.dedup) end
  if due then call('ZREM', prefix .. 'delayed', sleeper) end
  timeless = facts and facts.fromNow and args[1]
  local isAdded, reply = pcall(bull[form[1]], form[2], args)
  if due then call('ZADD', prefix .. 'delayed', due, sleeper) end
  if not isAdded then error(reply, 0) end
  if lane ~= '' and isNew(reply, facts, existed) then enter(lane, reply) end
  return reply
end

local replies, at = {}, 7
for i = 1, #adds do
  local form, bulk, lane, facts = adds[i][1], adds[i][2], adds[i][3], adds[i][4]
  if refused[bulk] then
    replies[i] = adds[i][5] and -5 or 0
  else
    local count = forms[form + 1][3]
    local isAdded, reply = pcall(add, forms[form + 1], lane, facts, { unpack(ARGV, at, at + count - 1) })
    if not isAdded then reply = { type(reply) == 'table' and reply.err or tostring(reply) } end
    replies[i] = reply
  end
  at = at + forms[form + 1][3]
end
saveIndex()
local answer = cjson.encode(replies)
call('SET', KEYS[2], number .. ' ' .. answer .. '\\n' .. newestLine, 'PX', tonumber(ARGV[5]) + ${KEPT_MS})
return answer
`;
