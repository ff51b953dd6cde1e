import { FIELDS_LUA, KEYS_FIELD, type Script } from './script.ts';
import { REINDEX_LUA } from '../index/lane-index.ts';
import { QUEUE_SEQUENCE_LUA } from '../../../redis/sequence-lua.ts';

/**
 * After Redis has gone back, and an operator has said what is true: the counter goes past a number that it gave
 * out before, and jobs that got a number at or below the copy's watermark get new ones, in their order.
 *
 *   KEYS[1] sequence  ARGV[1] key prefix  ARGV[2] lane's key  ARGV[3] the number
 */
export const RENUMBER: Script = {
  name: 'torilRenumber',
  numberOfKeys: 1,
  lua: `${QUEUE_SEQUENCE_LUA}${FIELDS_LUA}${REINDEX_LUA}
local laneKey = own .. 'lane:' .. ARGV[2]
local copy = redis.call('HMGET', own .. 'copy:' .. ARGV[2], 't', 'w')
local token, watermark = tonumber(copy[1] or '0'), tonumber(copy[2] or '0')
lastDrawn = math.max(lastDrawn, tonumber(ARGV[3]), token, watermark)
local jobIds = redis.call('ZRANGEBYSCORE', laneKey, '-inf', string.format('%.0f', watermark))
for i = 1, #jobIds do
  local sequence = draw()
  redis.call('ZADD', laneKey, sequence, jobIds[i])
  -- One of several keys keeps one number in all its lanes.
  local job = fieldsOf(ARGV[1] .. jobIds[i], '${KEYS_FIELD}')
  for _, key in ipairs(job[1] and cjson.decode(job[1]) or {}) do
    redis.call('ZADD', own .. 'lane:' .. key, 'XX', sequence, jobIds[i])
    reindex(own, ARGV[1], key)
  end
end
reindex(own, ARGV[1], ARGV[2])
saveDrawn()
return 1
`,
};
