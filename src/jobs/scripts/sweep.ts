import type { Script } from './script.ts';

/**
 * Takes entries out of lanes whose jobs BullMQ no longer has.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2...] Redis keys of lanes
 */
export const SWEEP: Script = {
  name: 'torilSweep',
  numberOfKeys: 1,
  lua: `
local removed = 0
for i = 2, #ARGV do
  for _, jobId in ipairs(redis.call('ZRANGE', ARGV[i], 0, -1)) do
    if redis.call('EXISTS', ARGV[1] .. jobId) == 0 then
      removed = removed + redis.call('ZREM', ARGV[i], jobId)
    end
  end
end
return removed
`,
};
