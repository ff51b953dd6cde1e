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
  /** Jobs that wait, are active or wait for a time, by BullMQ's lists. */
  readonly listed: number;
  /** Of all that were ever added, those that are not finished: the same, where none was removed. */
  readonly unfinished: number;
  /** The key whose first job is the oldest; '': there is none. */
  readonly oldest: string;
}

/** KEYS: none  ARGV[1] BullMQ's prefix  ARGV[2] Toril's */
const SCAN = `
local prefix, own = ARGV[1], ARGV[2]
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

-- A hundred thousand hashes would block Redis for seconds: BullMQ's count of all that were ever added, less what is finished.
local unfinished = tonumber(redis.call('GET', prefix .. 'id') or '0')
  - redis.call('ZCARD', prefix .. 'completed') - redis.call('ZCARD', prefix .. 'failed')
local listed = redis.call('LLEN', prefix .. 'wait') + redis.call('LLEN', prefix .. 'active')
  + redis.call('ZCARD', prefix .. 'prioritized') + redis.call('ZCARD', prefix .. 'delayed')
return cjson.encode({ wrong = wrong, keys = #lanes, held = held, listed = listed, unfinished = unfinished, oldest = oldest })
`;

export async function scan(redis: Redis, queue: string): Promise<Scan> {
  const prefix = `bull:${queue}:`;
  const own = `toril~${prefix.length}:${prefix}`;
  const told = JSON.parse((await redis.eval(SCAN, 0, prefix, own)) as string) as Scan;
  return { ...told, wrong: Array.isArray(told.wrong) ? told.wrong : [] }; // an empty list is an object to Lua
}
