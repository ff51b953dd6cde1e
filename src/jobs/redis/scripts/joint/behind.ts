import { SNAPSHOT_BYTES_MAX } from '../../../joint-lanes.ts';
import { COPY_GRACE_MS } from '../../../lanes.ts';
import { OWN_PREFIX_LUA } from '../../../../redis/own-keys.ts';
import type { Script } from '../script.ts';
import { QUEUE_SEQUENCE_LUA } from '../../../../redis/sequence-lua.ts';

/** Toril's sorted set of a queue: joint commits whose cells are not known to be written. `[token, key...]` as JSON, by token. */
export const BEHIND_KEY = 'behind';
/** Commits that are told at a time. */
const COMMITS_MAX = 100;

/** Behind a number that is told of a copy: it is of such a commit. */
export const BEHIND_MARK = 'b';

/**
 * A fragment: whether the commit of a token is one of them. There are few at a time, and all of them are new: most copies are
 * older than the oldest, which is asked about once.
 */
export const IS_BEHIND_LUA: string = `
local oldestBehind
local function isBehind(token)
  if token == '0' then return false end
  if not oldestBehind then
    local oldest = redis.call('ZRANGE', own .. '${BEHIND_KEY}', 0, 0, 'WITHSCORES')[2]
    oldestBehind = oldest and tonumber(oldest) or math.huge
  end
  return tonumber(token) >= oldestBehind and redis.call('ZCOUNT', own .. '${BEHIND_KEY}', token, token) > 0
end
`;

/** Behind a token: copies of the commit may expire. */
export const EXPIRES_MARK = 'x';

/**
 * Joint commits' cells are written. Copies that expire were kept in case they had to be put right.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2...] tokens, with EXPIRES_MARK where copies may expire
 */
export const SETTLED: Script = {
  name: 'torilSettled',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}
local behindKey = own .. '${BEHIND_KEY}'
local function letGo(token)
  local time = redis.call('TIME')
  local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
  local behind = redis.call('ZRANGEBYSCORE', behindKey, token, token)
  for n = 1, #behind do
    local commit = cjson.decode(behind[n])
    for k = 2, #commit do
      local copyKey = own .. 'copy:' .. commit[k]
      local copy = redis.call('HMGET', copyKey, 't', 'x')
      if copy[1] == commit[1] and copy[2] then
        redis.call('PEXPIRE', copyKey, string.format('%.0f', math.max(0, copy[2] - nowMs) + ${COPY_GRACE_MS}))
      end
    end
  end
end

for i = 2, #ARGV do
  local token, mayExpire = string.match(ARGV[i], '^(%d+)(${EXPIRES_MARK}?)$')
  if mayExpire ~= '' then letGo(token) end
  redis.call('ZREMRANGEBYSCORE', behindKey, token, token)
end
return 1
`,
};

/**
 * Joint commits that are behind. Read only.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2], ARGV[3] their lowest and highest token
 *   Returns `[token, key...]` as JSON of each
 */
export const BEHIND: Script = {
  name: 'torilBehind',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}
return redis.call('ZRANGEBYSCORE', own .. '${BEHIND_KEY}', ARGV[2], ARGV[3], 'LIMIT', 0, ${COMMITS_MAX})
`,
};

/**
 * The copies of several keys, as of one moment. Read only.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2...] keys
 *   Returns token, watermark, value, cascade of each, or of the first ones, as far as their values fit
 */
export const SNAPSHOT: Script = {
  name: 'torilSnapshot',
  numberOfKeys: 1,
  lua: `${QUEUE_SEQUENCE_LUA}
local result, nowMs, bytes = {}, math.floor(nowMicros / 1000), 0
for i = 2, #ARGV do
  local copy = redis.call('HMGET', own .. 'copy:' .. ARGV[i], 't', 'w', 'v', 'c', 'x')
  local value = copy[3] or '-'
  if not copy[1] or (copy[5] and tonumber(copy[5]) <= nowMs) then value = '-' end
  bytes = bytes + #value
  if i > 2 and bytes > ${SNAPSHOT_BYTES_MAX} then break end
  result[i - 1] = { copy[1] or '0', copy[2] or '0', value, copy[4] or '0' }
end
return result
`,
};
