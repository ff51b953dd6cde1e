import { FINISHING_LUA, type FinishSettings } from './finish.ts';
import type { Script } from '../../redis/scripts/script.ts';
import { NOW_MS_LUA } from '../state/timed.ts';

/** One token per slot. */
export type FillArguments = readonly [...settings: FinishSettings, ...tokens: string[]];

/**
 * Fetches jobs for several slots: what BullMQ's `moveToActive` does for one. Of a short wait list it
 * takes no more than half, since other workers may be free, too.
 *
 *   KEYS[1] sequence (unused)
 *   ARGV[1] key prefix  ARGV[2...] FillArguments
 *   Returns an answer per slot, as FINISH does; fewer if nothing was fetched for the last ones.
 */
export const FILL: Script = {
  name: 'torilFill',
  numberOfKeys: 1,
  lua: `
local call, prefix = redis.call, ARGV[1]
${NOW_MS_LUA}${FINISHING_LUA}
local lockMs, workerName = ARGV[2], ARGV[3]
if not eventsLimit() then return told({ 'fetch' }) end
local share = math.max(1, math.ceil(call('LLEN', prefix .. 'wait') / 2))
local slots, places, answers = {}, {}, {}
for n = 1, math.min(#ARGV - 3, share) do
  slots[n], places[n], answers[n] = { '', ARGV[3 + n] }, n, 0
end
fetch(places, slots, lockMs, workerName, answers)
return told(answers)
`,
};
