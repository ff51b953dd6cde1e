import { FIELD } from '../../bullmq/state/layout.ts';
import { ALONE_FIELD, type Script } from './script.ts';

/**
 * A fragment: what is kept of the times at which a job was begun alone. `<stalls> <attempts> <token> <token>...`: the
 * stalls and attempts at the last start, its token (`+` before it: its process has lived through it, or it is among the dead already), and the tokens of
 * those of which a process died. A start has the fencing token of its lease for a name, so later ones have higher ones.
 *
 * `survive` takes the tokens of starts, with spaces between them, that a process says it has lived through: one may have been
 * counted as a death already, since the job was begun elsewhere before the process could say so; or may arrive only now.
 */
export const SURVIVED_LUA: string = `
local function startsOf(jobKey)
  local text = redis.call('HGET', jobKey, '${ALONE_FIELD}') or ''
  local stalls, attempts, lived, last, dead = string.match(text, '^(%d+) (%d+) (%+?)(%d+)([ %d]*)$')
  return { stalls = stalls or '0', attempts = attempts or '0', lived = lived == '+', last = last or '0', dead = dead or '' }
end

local function keepStarts(jobKey, starts)
  local lived = starts.lived and '+' or ''
  local text = starts.stalls .. ' ' .. starts.attempts .. ' ' .. lived .. starts.last .. starts.dead
  redis.call('HSET', jobKey, '${ALONE_FIELD}', text)
end

local function survive(starts, tokens)
  for token in string.gmatch(tokens, '%d+') do
    starts.dead = string.sub(string.gsub(starts.dead .. ' ', ' ' .. token .. ' ', ' '), 1, -2)
    if tonumber(token) >= tonumber(starts.last) then starts.last, starts.lived = token, true end
  end
end

local function noteSurvived(jobKey, tokens)
  if tokens == '' or redis.call('HEXISTS', jobKey, 'name') == 0 then return end
  local starts = startsOf(jobKey)
  survive(starts, tokens)
  keepStarts(jobKey, starts)
end
`;

/**
 * A job that stalled before is about to be applied alone: notes it, in case the process dies of it, unless so many died of others that
 * it is not begun: its process may end while it waits for their last word (simulation with transactions, seed 79403). A process died of it if
 * the job has stalled once more when it is begun again, without an attempt charged in between (a start that ended with an
 * error does not count), unless its process says that it lives.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] job id  ARGV[3] the token of this start
 *   ARGV[4] of those before it that this process has lived through  ARGV[5] deaths with which it is not begun
 *   Returns of how many starts a process died, and 1 for this one; 0 if the job is gone.
 */
export const START_ALONE: Script = {
  name: 'torilStartAlone',
  numberOfKeys: 1,
  lua: `${SURVIVED_LUA}
local jobKey, token = ARGV[1] .. ARGV[2], ARGV[3]
local job = redis.call('HMGET', jobKey, 'name', '${FIELD.stalls}', '${FIELD.attemptsMade}')
if not job[1] then return 0 end
local stalls, attempts = job[2] or '0', job[3] or '0'
local starts = startsOf(jobKey)
survive(starts, ARGV[4])
local isNew = tonumber(token) > tonumber(starts.last)
if isNew and starts.last ~= '0' and not starts.lived and starts.stalls ~= stalls and starts.attempts == attempts then
  starts.dead, starts.lived = starts.dead .. ' ' .. starts.last, true
end
local deaths = select(2, string.gsub(starts.dead, ' ', ''))
-- One that arrives when it was survived, or when a later one has begun, is nobody's any more.
if deaths < tonumber(ARGV[5]) and (isNew or (token == starts.last and not starts.lived)) then
  starts.stalls, starts.attempts, starts.last, starts.lived = stalls, attempts, token, false
end
keepStarts(jobKey, starts)
return deaths + 1
`,
};

/**
 * A process has lived through starts of a job, and BullMQ's scripts are about to be told something that says nothing of it.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] job id  ARGV[3] the tokens of these starts
 */
export const NOTE_SURVIVED: Script = {
  name: 'torilNoteSurvived',
  numberOfKeys: 1,
  lua: `${SURVIVED_LUA}
noteSurvived(ARGV[1] .. ARGV[2], ARGV[3])
`,
};
