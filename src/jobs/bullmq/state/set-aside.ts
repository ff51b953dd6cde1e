import { OWN_PREFIX_LUA } from '../../../redis/own-keys.ts';
import { bullFunctionLua, madeLater } from './bullmq-text.ts';
import type { Script } from '../../redis/scripts/script.ts';
import { SNOOZED_LUA } from './snoozing/snoozed.ts';
import { FIELD } from './layout.ts';

/** What BullMQ's script is to do with the jobs. */
export type Fate = 'remove' | 'promote';

/** BullMQ's own, on the sorted set `aside`; the age was looked at already (BullMQ compares it as text). */
const FATES: Readonly<Record<Fate, string>> = {
  remove: `cleanJobsInSet({ aside, prefix .. 'events', prefix .. 'repeat' }, { prefix, '9999999999999', '0', 'delayed' })`,
  promote: `moveJobsToWait({ prefix, prefix .. 'events', aside, prefix .. 'wait', prefix .. 'paused', prefix .. 'meta',
    prefix .. 'active', prefix .. 'marker' }, { #jobIds, '+inf', 'delayed' })`,
};
const BULL_NAMES = { remove: 'cleanJobsInSet', promote: 'moveJobsToWait' } as const;

/** A fragment: the jobs that are meant, as `jobIds`; `pairs` of score and id. */
const CHOOSE_LUA = `
local call, prefix, which, aside = redis.call, ARGV[1], ARGV[2], own .. 'aside'
local from, look, most, oldEnough = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local isDelayed = which == 'delayed'
local entries = call('ZRANGE', isDelayed and delayedSet or own .. 'snoozed:' .. which, from, from + look - 1)

local function isOld(jobId)
  if not oldEnough then return true end
  local times = call('HMGET', prefix .. jobId, 'timestamp', 'processedOn', '${FIELD.attemptsMade}')
  local countsDelivery = isDelayed or (which == 'wait' and (times[3] or '0') ~= '0')
  local since = countsDelivery and times[2] or times[1]
  return not since or tonumber(since) <= oldEnough
end

local pairs, jobIds, seen = {}, {}, 0
for i = 1, #entries do
  if #jobIds == most then break end
  seen = i
  local jobId = entries[i]
  local state = snoozedAs(jobId)
  if ((isDelayed and not state) or state == which) and isOld(jobId) then
    pairs[#pairs + 1] = call('ZSCORE', delayedSet, jobId)
    pairs[#pairs + 1] = jobId
    jobIds[#jobIds + 1] = jobId
  end
end
local isLast = seen < look and seen == #entries
`;

const SET_ASIDE_LUA = (fate: Fate): string => `
if #jobIds == 0 then return { isLast and -1 or from + seen, 0, false } end

call('DEL', aside)
call('ZADD', aside, unpack(pairs))
call('ZREM', delayedSet, unpack(jobIds))
if not isDelayed then call('ZREM', own .. 'snoozed:' .. which, unpack(jobIds)) end
local isDone, result = pcall(function() return ${FATES[fate]} end)

local left = call('ZRANGE', aside, 0, -1, 'WITHSCORES')
local back = {}
for i = 1, #left, 2 do
  back[i], back[i + 1] = left[i + 1], left[i]
end
if #back > 0 then
  call('ZADD', delayedSet, unpack(back))
  if not isDelayed then noteSnoozed(which, back) end
  call('DEL', aside)
end
if not isDone then return redis.error_reply(type(result) == 'table' and result.err or tostring(result)) end
local went = #jobIds - #back / 2
return { isLast and -1 or from + seen - went, went, result }
`;

/**
 * Removes or promotes some of the jobs in BullMQ's delayed set, by BullMQ's own script: they are set aside for it,
 * since it works on a whole set. What it leaves alone (a scheduler's next job) goes back to where it was, and so
 * does all if it fails.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] which ones: wait or prioritized, snoozed as such;
 *   delayed, not snoozed  ARGV[3] rank to begin at  ARGV[4] entries to look at  ARGV[5] jobs at most
 *   ARGV[6] only jobs at least as old: milliseconds since 1970; '': all. A job's age begins where BullMQ begins
 *   it, except that a delivery which ended in snoozing does not count.
 *   Returns [the rank to go on at, -1: these were the last; jobs that went; what BullMQ's script returned]
 */
export function setAsideScript(fate: Fate): Script {
  return madeLater(`toril${fate === 'remove' ? 'Remove' : 'Promote'}Waiting`, () => ({
    numberOfKeys: 1,
    lua: `${OWN_PREFIX_LUA}${SNOOZED_LUA}${bullFunctionLua(BULL_NAMES[fate])}${CHOOSE_LUA}${SET_ASIDE_LUA(fate)}`,
  }));
}

/**
 * Only chooses them, for BullMQ's own scripts to do it one by one.
 *
 *   KEYS and ARGV as above
 *   Returns [the rank to go on at if none of them goes, -1: these were the last; ids]
 */
export const CHOOSE: Script = {
  name: 'torilChooseWaiting',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}${SNOOZED_LUA}${CHOOSE_LUA}
return { isLast and -1 or from + seen, jobIds }
`,
};
