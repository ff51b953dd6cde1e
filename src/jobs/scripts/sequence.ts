import { OWN_PREFIX_LUA } from '../../base/own-keys.ts';
import { SEQUENCE_LUA } from '../../base/sequence-lua.ts';

/**
 * A queue's counter, for scripts whose ARGV[1] is its prefix. Where there is none, Redis is new to
 * the queue or has lost all that it knew: when that was is kept, since a cell from before it is no
 * commit that waits for its acknowledgement, but one that Redis has forgotten.
 */
export const QUEUE_SEQUENCE_LUA: string = `${OWN_PREFIX_LUA}${SEQUENCE_LUA}
if lastDrawn == 0 then redis.call('SET', own .. 'sequenceBegan', string.format('%.0f', nowMicros)) end
`;
