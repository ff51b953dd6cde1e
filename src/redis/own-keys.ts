/**
 * Where Toril keeps its own state in Redis: beside BullMQ's keys, never among them. Below BullMQ's prefix of
 * a queue, every name is a job id, a part of a job or a list of BullMQ's: `removeOrphanedJobs` deletes what is
 * none of these, and a job with the id `copy:a:b` was taken for the copy of the key `a:b`.
 *
 *   bull:orders:           the queue's prefix, as BullMQ has it
 *   toril~12:bull:orders:  Toril's, with the length of BullMQ's, so that no two queues share a name: BullMQ's
 *                          prefixes may hold colons, and users' keys may hold anything
 *
 * No prefix of BullMQ's begins so (worker and queue refuse it), and a hash tag in the queue's prefix or name
 * comes before anything of the user's: all of a queue's keys stay in one slot of a cluster.
 */
export const OWN_MARK = 'toril~';

/** @param queuePrefix of BullMQ's keys, with the colon at its end */
export function ownPrefixOf(queuePrefix: string): string {
  return `${OWN_MARK}${Buffer.byteLength(queuePrefix)}:${queuePrefix}`;
}

/** A fragment for scripts whose ARGV[1] is BullMQ's prefix of the queue: `own` is Toril's. */
export const OWN_PREFIX_LUA: string = `local own = '${OWN_MARK}' .. #ARGV[1] .. ':' .. ARGV[1]
`;
