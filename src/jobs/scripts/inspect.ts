import { OWN_PREFIX_LUA } from '../../base/own-keys.ts';
import type { Script } from './script.ts';

/**
 * What an operator sees of a lane. Read only.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] lane's key  ARGV[3] jobs at most
 *   Returns [copy token, watermark, value, cascade to, length, pace in ms, [job id, sequence, ...],
 *     when the sequence began]
 */
export const INSPECT: Script = {
  name: 'torilInspect',
  numberOfKeys: 1,
  lua: `
${OWN_PREFIX_LUA}local laneKey = own .. 'lane:' .. ARGV[2]
local copy = redis.call('HMGET', own .. 'copy:' .. ARGV[2], 't', 'w', 'v', 'c', 'p', 'x')
local value = copy[3] or '-'
local time = redis.call('TIME')
local nowMs = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if copy[6] and tonumber(copy[6]) <= nowMs then value = '-' end
local head = redis.call('ZRANGE', laneKey, 0, tonumber(ARGV[3]) - 1, 'WITHSCORES')
for i = 2, #head, 2 do head[i] = string.format('%.0f', tonumber(head[i])) end
return { copy[1] or '0', copy[2] or '0', value, copy[4] or '0', redis.call('ZCARD', laneKey), copy[5] or '0', head,
  redis.call('GET', own .. 'sequenceBegan') or '0' }
`,
};
