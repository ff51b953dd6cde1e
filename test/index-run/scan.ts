/**
 * The index of lanes held against a full scan of Redis, in one step, so that it may be done while workers work. Shares
 * nothing with the product: what a lane, a held job and the index are is written down here once more.
 */
import type { Redis } from 'ioredis';

export interface Scan {
  /** What the index says wrongly; empty: it is right. */
  readonly wrong: readonly string[];
  readonly keys: number;
  readonly held: number;
  /** Jobs that are not finished, by their hashes; 0 if they were not looked at. */
  readonly unfinished: number;
  /** The key whose first job is the oldest; '': there is none. */
  readonly oldest: string;
}

/** KEYS: none  ARGV[1] BullMQ's prefix  ARGV[2] Toril's  ARGV[3] the highest job id; 0: no job is looked at */
const SCAN = `
local prefix, own, jobs = ARGV[1], ARGV[2], tonumber(ARGV[3])
local wrong = {}
local function say(text) if #wrong < 10 then wrong[#wrong + 1] = text end end

local lanes = redis.call('KEYS', own .. 'lane:*')
local held, oldest, oldestScore, entries = 0, '', math.huge, 0
for _, lane in ipairs(lanes) do
  local key = string.sub(lane, #own + 6)
  local first = redis.call('ZRANGE', lane, 0, 0, 'WITHSCORES')
  entries = entries + redis.call('ZCARD', lane)
  if redis.call('ZSCORE', own .. 'lanes', key) ~= first[2] then
    say(key .. ' begins at ' .. first[2] .. ', not at ' .. tostring(redis.call('ZSCORE', own .. 'lanes', key)))
  end
  local job = redis.call('HMGET', prefix .. first[1], 'finishedOn', 'returnvalue', 'torilDirective')
  local isHeld = (job[1] and not job[2]) or string.sub(job[3] or '', 1, 4) == 'held'
  if isHeld then held = held + 1 end
  if (redis.call('ZSCORE', own .. 'held', key) and true or false) ~= (isHeld and true or false) then
    say(key .. (isHeld and ' is held, and not known to be' or ' is not held, and said to be'))
  end
  if tonumber(first[2]) < oldestScore then oldest, oldestScore = key, tonumber(first[2]) end
end
if redis.call('ZCARD', own .. 'lanes') ~= #lanes then say(redis.call('ZCARD', own .. 'lanes') .. ' keys, not ' .. #lanes) end
if redis.call('ZCARD', own .. 'held') ~= held then say(redis.call('ZCARD', own .. 'held') .. ' held keys, not ' .. held) end
if (redis.call('ZRANGE', own .. 'lanes', 0, 0)[1] or '') ~= oldest then say('the oldest is not ' .. oldest) end

local unfinished = 0
for id = 1, jobs do
  local job = redis.call('HMGET', prefix .. id, 'name', 'finishedOn')
  if job[1] and not job[2] then unfinished = unfinished + 1 end
end
-- All jobs are looked at now and then: a hundred thousand take half a second.
local listed = jobs == 0 and 0 or redis.call('LLEN', prefix .. 'wait') + redis.call('LLEN', prefix .. 'active')
  + redis.call('ZCARD', prefix .. 'prioritized') + redis.call('ZCARD', prefix .. 'delayed')
if listed ~= unfinished then say(listed .. ' jobs are listed, ' .. unfinished .. ' are not finished') end
return cjson.encode({ wrong = wrong, keys = #lanes, held = held, unfinished = unfinished, oldest = oldest })
`;

export async function scan(redis: Redis, queue: string, jobs: number): Promise<Scan> {
  const prefix = `bull:${queue}:`;
  const own = `toril~${prefix.length}:${prefix}`;
  const told = JSON.parse((await redis.eval(SCAN, 0, prefix, own, jobs)) as string) as Scan;
  return { ...told, wrong: Array.isArray(told.wrong) ? told.wrong : [] }; // an empty list is an object to Lua
}
