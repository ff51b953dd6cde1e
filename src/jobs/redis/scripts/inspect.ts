import { DATA_SET_LUA } from '../../../redis/data-set.ts';
import { FIELDS_LUA, KEYS_FIELD, type Script } from './script.ts';
import { QUEUE_SEQUENCE_LUA } from '../../../redis/sequence-lua.ts';

export type InspectReply = [
  copyToken: string,
  watermark: string,
  value: string,
  cascadeTo: string,
  length: number,
  pace: string,
  head: string[],
  dataSet: string,
  nextToken: string,
];

/**
 * What an operator sees of a lane. Changes nothing, but gives the data set a name if it has none.
 *
 *   KEYS[1] sequence  ARGV[1] key prefix  ARGV[2] lane's key  ARGV[3] jobs at most
 *   ARGV[4] a name for the data set if it has none
 *   Returns an InspectReply: pace in ms, head as job id, sequence, its keys as JSON or '', ..., the token that would be drawn next
 */
export const INSPECT: Script = {
  name: 'torilInspect',
  numberOfKeys: 1,
  lua: `${QUEUE_SEQUENCE_LUA}${DATA_SET_LUA}${FIELDS_LUA}
local laneKey = own .. 'lane:' .. ARGV[2]
local copy = redis.call('HMGET', own .. 'copy:' .. ARGV[2], 't', 'w', 'v', 'c', 'p', 'x')
local value = copy[3] or '-'
local nowMs = math.floor(nowMicros / 1000)
if copy[6] and tonumber(copy[6]) <= nowMs then value = '-' end
local entries, head = redis.call('ZRANGE', laneKey, 0, tonumber(ARGV[3]) - 1, 'WITHSCORES'), {}
for i = 1, #entries, 2 do
  local n = #head
  head[n + 1], head[n + 2] = entries[i], string.format('%.0f', tonumber(entries[i + 1]))
  head[n + 3] = fieldsOf(ARGV[1] .. entries[i], '${KEYS_FIELD}')[1] or ''
end
return { copy[1] or '0', copy[2] or '0', value, copy[4] or '0', redis.call('ZCARD', laneKey), copy[5] or '0', head,
  dataSetOr(ARGV[4]), draw() }
`,
};
