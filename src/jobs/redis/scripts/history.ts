import { OWN_PREFIX_LUA } from '../../../redis/own-keys.ts';
import {
  type HistoryNote,
  type Origin,
  RECORDED_RESULT_MAX,
  RESULT_HASH_MARK,
} from '../../../history/history.ts';
import { PLAIN_APPLIED } from '../../../updates/outcome.ts';
import type { Packed, Packing } from './packing.ts';
import type { Script } from './script.ts';
import { FIELD } from '../../bullmq/state/layout.ts';

/** Before each of a commit's jobs and before its data: no JSON text holds it (RFC 7464). */
export const JOB_SEPARATOR = '\u001e';
/** The stream, and the id of its first entry: reading an entry only to learn its id would cost a lot. */
const HISTORY_KEY = 'history';
const HISTORY_FIRST_KEY = 'historyFirst';
/** There have been joint commits in it. */
export const HISTORY_JOINT_KEY = 'historyJoint';

/** A commit's note, as ACKNOWLEDGE takes it. */
export type NoteArguments = [
  hash: string,
  /** '=' base, '-' nothing, '?' unknown, '+' and JSON. */
  origin: Packed,
  /** In full: '' not, '=' as the copy, '+' and JSON. */
  value: Packed,
  lengthMax: string,
  /** Milliseconds; '0': for ever. */
  ageMs: string,
  /** By job id, above the first; false: not told. */
  attempts: Readonly<Record<string, number>> | false,
];

/**
 * A fragment for ACKNOWLEDGE. `record` takes the jobs that leave, with their sequences, and runs before
 * they are told; `trimHistory` after the last one. The copy's field h says how the history stands with the key: the
 * token of the last commit in it, commits since one that a replay can begin at, and the stream id of
 * that one. Without h, or if its token is not the copy's, a replay cannot go on.
 *
 *   Stream: k key, t token, b base, w watermark, h hash, j jobs; o origin unless '=', v value if in
 *     full, r if somebody else's commit, s always (results are recorded). Of a joint commit (joint/record.ts) m: all its keys as
 *     JSON in the first entry, and that one's id in the others, which have no jobs. Jobs: separator, [id, update or null, sequence,
 *     attempt, decision, of a joint job also the places of its keys in m], separator, data.
 */
export const RECORD_LUA: string = `
local historyKey = own .. '${HISTORY_KEY}'
local lengthBefore, added, minId = nil, 0, nil

-- Adds a job to a list of texts. False: it was applied, and is gone, so that nobody can apply it again.
local function addJob(text, jobId, sequence, attempt, decision, places)
  local job = redis.call('HMGET', prefix .. jobId, 'name', 'data', '${FIELD.attemptsMade}')
  local isApplied = string.sub(decision, 1, 1) == '${PLAIN_APPLIED}'
  if isApplied and #decision > ${PLAIN_APPLIED.length + RECORDED_RESULT_MAX} then
    decision = '${PLAIN_APPLIED}${RESULT_HASH_MARK}' .. redis.sha1hex(string.sub(decision, 2))
  end
  local n = #text
  text[n + 1] = '\\30[' .. cjson.encode(jobId) .. ','
  text[n + 2] = job[1] and cjson.encode(job[1]) or 'null'
  text[n + 3] = string.format(',%.0f,%s,', tonumber(sequence), attempt or tonumber(job[3] or '0') + 1)
  text[n + 4] = cjson.encode(decision) .. places .. ']\\30'
  text[n + 5] = string.gsub(job[2] or '', '\\30', ' ')
  return job[1] or not isApplied
end

local function jobsOf(entries, decisions, attempts)
  local text, isComplete = {}, true
  for i = 1, #entries, 2 do
    local jobId = entries[i]
    local attempt = attempts and (attempts[jobId] or 1)
    local decision = decisions[jobId] or '${PLAIN_APPLIED}'
    if not addJob(text, jobId, entries[i + 1], attempt, decision, '') then isComplete = false end
  end
  return table.concat(text), isComplete
end

local function addEntry(fields, lengthMax, ageMs)
  lengthBefore = lengthBefore or redis.call('XLEN', historyKey)
  added = added + 1
  if ageMs ~= '0' then
    minId = string.format('%.0f', math.floor(nowMicros / 1000) - tonumber(ageMs))
  end
  return redis.call('XADD', historyKey, 'MAXLEN', '~', lengthMax, '*', unpack(fields))
end

-- Where a replay stands after this commit, for the copy's field h.
local function standing(copyKey, id, base, token, beginsHere)
  if beginsHere then return token .. ' 0 ' .. id end
  local before = redis.call('HGET', copyKey, 'h') or ''
  local last, since, checkpoint = string.match(before, '^(%d+) (%d+) (%S+)$')
  if last ~= base then return nil end
  return token .. ' ' .. string.format('%.0f', since + 1) .. ' ' .. checkpoint
end

local function record(key, base, token, watermark, value, decisions, note, entries)
  local hash, origin, full, lengthMax, ageMs, attempts = unpack(note)
  origin, full = unpacked(origin), unpacked(full)
  local jobs, isComplete = jobsOf(entries, decisions, attempts)
  -- A commit that cannot be replayed is one to begin behind.
  if full == '=' or (full == '' and not isComplete and string.sub(value, 1, 1) == '+') then full = value end
  local fields = { 'k', key, 't', token, 'b', base, 'w', watermark, 'h', hash, 's', '1', 'j', jobs }
  if origin ~= '=' then fields[#fields + 1] = 'o'; fields[#fields + 1] = origin end
  if full ~= '' then fields[#fields + 1] = 'v'; fields[#fields + 1] = string.sub(full, 2) end
  if not attempts then fields[#fields + 1] = 'r'; fields[#fields + 1] = '1' end
  local id = addEntry(fields, lengthMax, ageMs)
  local isKnown = hash == '-' or full ~= '' or (isComplete and (origin == '-' or string.sub(origin, 1, 1) == '+'))
  local copyKey = own .. 'copy:' .. key
  local stands = nil
  if isKnown or (isComplete and origin == '=') then stands = standing(copyKey, id, base, token, isKnown) end
  if stands then redis.call('HSET', copyKey, 'h', stands) else redis.call('HDEL', copyKey, 'h') end
end

local function trimHistory()
  if added == 0 then return end
  if minId then redis.call('XTRIM', historyKey, 'MINID', '~', minId) end
  if lengthBefore > 0 and redis.call('XLEN', historyKey) == lengthBefore + added then return end
  local first = redis.call('XRANGE', historyKey, '-', '+', 'COUNT', 1)[1]
  redis.call('SET', own .. '${HISTORY_FIRST_KEY}', first and first[1] or '0-0')
end
`;

export function noteArguments(note: HistoryNote, packing: Packing): NoteArguments {
  const { origin, hash, value, attempts, lengthMax, ageMs } = note;
  const full = value === undefined ? '' : value === 'copy' ? '=' : `+${value.json}`;
  return [
    hash,
    packing.text(encodeOrigin(origin)),
    packing.text(full),
    String(lengthMax),
    String(ageMs),
    attempts !== undefined && Object.fromEntries(attempts),
  ];
}

export function encodeOrigin(origin: Origin): string {
  switch (origin) {
    case 'base':
      return '=';
    case 'nothing':
      return '-';
    case 'unknown':
      return '?';
    default:
      return `+${origin.adopted}`;
  }
}

/**
 * A fragment for TAKE: how many commits of the key there are in the history since one that a replay
 * can begin at, or -1. `stands` is the copy's field h.
 */
export const SINCE_CHECKPOINT_LUA: string = `
local firstMs, firstNumber = nil, nil
local function sinceCheckpoint(stands, copyToken)
  if not stands then return '-1' end
  local last, since, ms, number = string.match(stands, '^(%d+) (%d+) (%d+)-(%d+)$')
  if last ~= copyToken then return '-1' end
  if not firstMs then
    local first = redis.call('GET', own .. '${HISTORY_FIRST_KEY}') or '0-0'
    firstMs, firstNumber = string.match(first, '^(%d+)-(%d+)$')
    firstMs, firstNumber = tonumber(firstMs), tonumber(firstNumber)
  end
  ms, number = tonumber(ms), tonumber(number)
  if ms < firstMs or (ms == firstMs and number < firstNumber) then return '-1' end
  return since
end
`;

/**
 * A page of the history. Read only.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] from, as XRANGE takes it ("(1-0", "17")
 *   ARGV[3] until: milliseconds, or '' for now  ARGV[4] the only key that is wanted, or ''
 *   ARGV[5] entries looked at at most  ARGV[6] bytes of jobs and values at most, about
 *   Returns [until, id of the last entry looked at or '' at the end, '1' if the entry of "(id" is gone
 *   or '', whether there have been joint commits, 1 or 0, then per entry: [id, fields]]
 */
export const READ_HISTORY: Script = {
  name: 'torilReadHistory',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}
local from, untilMs, wanted = ARGV[2], ARGV[3], ARGV[4]
local seenMax, bytesMax = tonumber(ARGV[5]), tonumber(ARGV[6])
if untilMs == '' then
  local time = redis.call('TIME')
  untilMs = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
end
local result = { untilMs, '', '', redis.call('EXISTS', own .. '${HISTORY_JOINT_KEY}') }
if string.sub(from, 1, 1) == '(' then
  local last = string.sub(from, 2)
  if #redis.call('XRANGE', own .. '${HISTORY_KEY}', last, last) == 0 then result[3] = '1' end
end
local seen, bytes = 0, 0
-- A few at a time: an entry may hold a megabyte.
while seen < seenMax and bytes < bytesMax do
  local entries = redis.call('XRANGE', own .. '${HISTORY_KEY}', from, untilMs, 'COUNT', 10)
  for i = 1, #entries do
    local fields = entries[i][2]
    if wanted == '' or fields[2] == wanted then
      result[#result + 1] = entries[i]
      for f = 2, #fields, 2 do bytes = bytes + #fields[f] end
    end
  end
  seen = seen + #entries
  if #entries < 10 then return result end
  from = '(' .. entries[#entries][1]
end
result[2] = string.sub(from, 2)
return result
`,
};

/**
 * A key's last commits, newest first. Read only.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] key  ARGV[3] commits at most
 *   ARGV[4] entries looked at at most  ARGV[5] bytes of jobs and values at most, about
 *   Returns ['1' if there may be more or '', then per entry: [id, fields]]; one of a joint commit has its keys (`M`) and jobs (`J`)
 *   from its first key's entry
 */
export const READ_LATEST_HISTORY: Script = {
  name: 'torilReadLatestHistory',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}
local commitsMax, seenMax, bytesMax = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local result, from, seen, bytes = { '' }, '+', 0, 0
local function withHead(fields)
  local function of(entry, name)
    for f = 1, #entry, 2 do if entry[f] == name then return entry[f + 1] end end
  end
  local headId = of(fields, 'm')
  if not headId or string.sub(headId, 1, 1) == '[' then return end
  local head = redis.call('XRANGE', own .. '${HISTORY_KEY}', headId, headId)[1]
  if not head then return end
  local n = #fields
  fields[n + 1], fields[n + 2], fields[n + 3], fields[n + 4] = 'M', of(head[2], 'm') or '', 'J', of(head[2], 'j') or ''
end
-- A few at a time: an entry may hold a megabyte.
while true do
  local entries = redis.call('XREVRANGE', own .. '${HISTORY_KEY}', from, '-', 'COUNT', 10)
  for i = 1, #entries do
    local fields = entries[i][2]
    if fields[2] == ARGV[2] then
      if #result > commitsMax or bytes > bytesMax then
        result[1] = '1'
        return result
      end
      withHead(fields)
      result[#result + 1] = entries[i]
      for f = 2, #fields, 2 do bytes = bytes + #fields[f] end
    end
  end
  seen = seen + #entries
  if #entries < 10 then return result end
  if seen >= seenMax then
    result[1] = '1'
    return result
  end
  from = '(' .. entries[#entries][1]
end
`,
};
