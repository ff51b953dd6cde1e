import type { Script } from '../../redis/scripts/script.ts';
import { isKnownBullMQ } from './known-bullmq.ts';
import { FIELD } from './layout.ts';

/**
 * Before a step is repeated that Redis did not carry out. Redis does not undo a script that it stops half-way,
 * and meanwhile the job's lock may have run out: a worker that still has the job gets it back as it was. With
 * an unknown BullMQ nothing is put back: such a job is delivered again when it counts as stalled.
 *
 *   KEYS[1] sequence (unused)
 *   ARGV[1] key prefix  ARGV[2] job id  ARGV[3] its lock's token  ARGV[4] ms that a lock lasts
 *   ARGV[5] attempts made when it was delivered, or ''
 *   Returns 'held': it is active, and the lock is ours; 'finished'; 'gone': there is no such job (any more);
 *   'lost': somebody else has it, or it is back in the queue
 */
export const RECLAIM: Script = {
  name: 'torilReclaim',
  numberOfKeys: 1,
  lua: `
local call, prefix, jobId = redis.call, ARGV[1], ARGV[2]
local jobKey = prefix .. jobId
if call('HEXISTS', jobKey, 'name') == 0 then return 'gone' end
local lock = call('GET', jobKey .. ':lock')
if lock and lock ~= ARGV[3] then return 'lost' end
local mayPutBack = ${isKnownBullMQ()}
if not lock and not mayPutBack then return 'lost' end
if not call('LPOS', prefix .. 'active', jobId) then
  for _, set in ipairs({ 'completed', 'failed' }) do
    if call('ZSCORE', prefix .. set, jobId) then return 'finished' end
  end
  for _, list in ipairs({ 'wait', 'paused' }) do
    if call('LPOS', prefix .. list, jobId) then return 'lost' end
  end
  for _, set in ipairs({ 'delayed', 'prioritized', 'waiting-children' }) do
    if call('ZSCORE', prefix .. set, jobId) then return 'lost' end
  end
  if not mayPutBack then return 'lost' end
  -- In no list: a script was stopped between taking it out of one and putting it into another.
  if ARGV[5] ~= '' then call('HSET', jobKey, '${FIELD.attemptsMade}', ARGV[5]) end
  call('HDEL', jobKey, 'finishedOn', 'returnvalue')
  call('LPUSH', prefix .. 'active', jobId) -- last: it tells that the rest is done
end
if mayPutBack then call('SET', jobKey .. ':lock', ARGV[3], 'PX', ARGV[4]) end
return 'held'
`,
};
