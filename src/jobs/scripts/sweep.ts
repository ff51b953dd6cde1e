import type { Script } from './script.ts';

/**
 * Takes entries out of lanes whose jobs BullMQ no longer has. Looks at a stretch of each lane, so that
 * no call blocks Redis for long.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] rank to begin at  ARGV[3] entries at most
 *   ARGV[4...] Redis keys of lanes
 *
 *   Returns [heads, more]: heads are the new first jobs of lanes that have lost theirs, unless they
 *   wait for a retry; more are lanes that go on, each with the rank to go on at
 */
export const SWEEP: Script = {
  name: 'torilSweep',
  numberOfKeys: 1,
  lua: `
local prefix, from, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local heads, more = {}, {}
for i = 4, #ARGV do
  local lane = ARGV[i]
  local jobIds = redis.call('ZRANGE', lane, from, from + most - 1)
  local removed, lostHead = 0, false
  for at = 1, #jobIds do
    if redis.call('EXISTS', prefix .. jobIds[at]) == 0 then
      redis.call('ZREM', lane, jobIds[at])
      removed = removed + 1
      if from == 0 and at == 1 then lostHead = true end
    end
  end
  local head = lostHead and redis.call('ZRANGE', lane, 0, 0)[1]
  if head and (redis.call('HGET', prefix .. head, 'atm') or '0') == '0' then heads[#heads + 1] = head end
  if #jobIds == most then
    more[#more + 1] = lane
    more[#more + 1] = from + most - removed
  end
end
return { heads, more }
`,
};
