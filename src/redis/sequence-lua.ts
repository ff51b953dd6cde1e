import { OWN_PREFIX_LUA } from './own-keys.ts';

/**
 * The counter that numbers lanes and leases: `max(last + 1, time in µs)`, so that it never falls
 * behind a number that was used, not even after a failover to a Redis that lost its last writes.
 * A fragment for Lua scripts whose KEYS[1] is the counter, and whose `dataSetKey` is where its data
 * set's name stands. Tokens are written with %d: Lua alone prints numbers from 1e14 on with an
 * exponent, and %.0f takes twice as long (0.5 µs). `draw()` returns a string; `saveDrawn()` must come
 * after the last draw. The data set's name (data-set.ts) comes along, since that costs no command of
 * its own.
 */
export const SEQUENCE_LUA = `
local time = redis.call('TIME')
local nowMicros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local known = redis.call('MGET', KEYS[1], dataSetKey)
local lastSaved, dataSet = tonumber(known[1] or '0'), known[2]
local lastDrawn = lastSaved
local function draw()
  lastDrawn = math.max(lastDrawn + 1, nowMicros)
  return string.format('%d', lastDrawn)
end
local function saveDrawn()
  if lastDrawn > lastSaved then redis.call('SET', KEYS[1], string.format('%d', lastDrawn)) end
end
`;

/** A queue's counter, for scripts whose ARGV[1] is its prefix. */
export const QUEUE_SEQUENCE_LUA: string = `${OWN_PREFIX_LUA}local dataSetKey = own .. 'dataSet'
${SEQUENCE_LUA}`;
