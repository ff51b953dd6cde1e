import { LANE_FIELD, type Script } from '../../redis/scripts/script.ts';
import { isKnownBullMQ } from './known-bullmq.ts';
import { FIELD } from './layout.ts';

/** What BullMQ and Toril write into the hash of a job that they do not look at: of it, nothing is worth keeping. */
const WRITTEN_ANEW = [
  ...['processedOn', 'delay', 'priority', FIELD.attemptsStarted, FIELD.processedBy],
  ...[FIELD.stalls, FIELD.attemptsMade, FIELD.deferredFailure],
];

/**
 * A job was delivered of which BullMQ does not know the name: its hash was deleted, evicted, or is something
 * else by now. BullMQ's own scripts make a new one when they deliver it, and leave the id in its lists when they
 * are told to complete it.
 *
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] job id  ARGV[3] token of the delivery
 *   Returns dropped; damaged, if more of the job is left; elsewhere, if it is there again or somebody else has it; missing, if
 *   BullMQ is unknown, whose own scripts are to drop it
 */
export const DROP_MISSING: Script = {
  name: 'torilDropMissing',
  numberOfKeys: 1,
  lua: `
local prefix, jobId = ARGV[1], ARGV[2]
local jobKey = prefix .. jobId
local lock = redis.call('GET', jobKey .. ':lock')
if lock and lock ~= ARGV[3] then return 'elsewhere' end
local fields = redis.pcall('HGETALL', jobKey)
local isHash = not fields.err
if isHash then
  local anew = {}
  for _, name in ipairs({ '${WRITTEN_ANEW.join("', '")}' }) do anew[name] = true end
  for i = 1, #fields, 2 do
    if fields[i] == 'name' then return 'elsewhere' end
    if not anew[fields[i]] and string.sub(fields[i], 1, 5) ~= 'toril' and fields[i] ~= '${LANE_FIELD}' then return 'damaged' end
  end
end
if not ${isKnownBullMQ()} then return 'missing' end
redis.call('LREM', prefix .. 'active', 0, jobId)
redis.call('LREM', prefix .. 'wait', 0, jobId)
redis.call('SREM', prefix .. 'stalled', jobId)
redis.call('DEL', jobKey .. ':lock')
if isHash then redis.call('DEL', jobKey) end
return 'dropped'
`,
};
