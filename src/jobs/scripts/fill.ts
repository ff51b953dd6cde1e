import { FINISHING_LUA, type FinishSettings } from './finish.ts';
import type { Script } from './script.ts';

/** One token per slot. */
export type FillArguments = readonly [...settings: FinishSettings, ...tokens: string[]];

/**
 * Fetches jobs for several slots: what BullMQ's `moveToActive` does for one. Of a short wait list it
 * takes no more than half, since other workers may be free, too.
 *
 *   KEYS[1] sequence (unused)
 *   ARGV[1] key prefix  ARGV[2...] FillArguments
 *   Returns as JSON an answer per slot, as FINISH does; fewer if nothing was fetched for the last ones.
 */
export const FILL: Script = {
  name: 'torilFill',
  numberOfKeys: 1,
  lua: `
local call, prefix = redis.call, ARGV[1]
${FINISHING_LUA}
local now, lockMs, workerName = ARGV[2], ARGV[3], ARGV[4]
if not eventsLimit() then return '["fetch"]' end
local share = math.max(1, math.ceil(call('LLEN', prefix .. 'wait') / 2))
local slots, places, answers = {}, {}, {}
for n = 1, math.min(#ARGV - 4, share) do
  slots[n], places[n], answers[n] = { '', ARGV[4 + n] }, n, 0
end
fetch(places, slots, now, lockMs, workerName, answers)
return cjson.encode(answers)
`,
};
