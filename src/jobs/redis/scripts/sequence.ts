import { OWN_PREFIX_LUA } from '../../../redis/own-keys.ts';
import { SEQUENCE_LUA } from '../../../redis/sequence-lua.ts';

/** A queue's counter, for scripts whose ARGV[1] is its prefix. */
export const QUEUE_SEQUENCE_LUA: string = `${OWN_PREFIX_LUA}local dataSetKey = own .. 'dataSet'
${SEQUENCE_LUA}`;
