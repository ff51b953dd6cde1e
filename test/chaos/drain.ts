/** The liveness end: once faults have stopped, everything must drain within a named time (P6). */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { bullPrefix, ownPrefix } from './end-state.ts';

/** Milliseconds: many leases, and all that waited for them. */
export const DRAIN_MAX_MS = 60_000;
const POLL_MS = 20;

/** Which queues of BullMQ must be empty, and the command that counts them. */
const LISTS = ['wait', 'active', 'paused'];
const SETS = ['delayed', 'prioritized', 'waiting-children'];
/** Toril's own: commits of several keys whose cells are not known to be written. */
const BEHIND = 'behind';

/** Milliseconds until nothing waits any more, or what is left after DRAIN_MAX_MS. */
export async function drain(
  redis: Redis,
  queue: string,
): Promise<{ readonly tookMs: number; readonly left: string | undefined }> {
  const startedMs = performance.now();
  for (;;) {
    const left = await whatIsLeft(redis, queue);
    const tookMs = performance.now() - startedMs;
    if (left === undefined) return { tookMs, left };
    if (tookMs > DRAIN_MAX_MS) {
      return { tookMs, left: `${left}; ${await lanesOf(redis, queue)}` };
    }
    await sleep(POLL_MS);
  }
}

async function whatIsLeft(redis: Redis, queue: string): Promise<string | undefined> {
  const prefix = bullPrefix(queue);
  const own = ownPrefix(queue);
  const left: string[] = [];
  const note = (what: string, count: number): void => {
    if (count > 0) left.push(`${count} in ${what}`);
  };
  // In one moment: a job that moves from one to the other in between would be in neither.
  const count = redis.multi();
  for (const name of LISTS) count.llen(prefix + name);
  for (const name of SETS) count.zcard(prefix + name);
  count.zcard(own + BEHIND);
  const replies = (await count.exec()) ?? [];
  [...LISTS, ...SETS, BEHIND].forEach((name, at) => note(name, Number(replies[at]?.[1])));
  // Lanes that are empty do not exist. There are few keys in all when there is nothing else to wait for.
  if (left.length === 0) {
    for await (const keys of redis.scanStream({ match: `${own}lane:*`, count: 10_000 })) {
      for (const key of keys as string[]) note(key.slice(own.length), await redis.zcard(key));
    }
  }
  return left.length === 0 ? undefined : left.join(', ');
}

/** What is delayed; and each lane's head, what BullMQ says of it, and when it is due. */
async function lanesOf(redis: Redis, queue: string): Promise<string> {
  const prefix = bullPrefix(queue);
  const own = ownPrefix(queue);
  const told: string[] = [];
  const delayed = await redis.zrange(`${prefix}delayed`, '0', '9', 'WITHSCORES');
  if (delayed.length > 0) {
    const hash = await redis.hgetall(prefix + delayed[0]);
    told.push(`delayed: ${delayed.join(' ')}, ${JSON.stringify(hash)}`);
  }
  for (const lane of await redis.keys(`${own}lane:*`)) {
    const [head = ''] = await redis.zrange(lane, '0', '0');
    const [attempts, starts, stalls] = await redis.hmget(prefix + head, 'atm', 'ats', 'stc');
    const score = await redis.zscore(`${prefix}delayed`, head);
    const due = score === null ? 'not delayed' : `due in ${Number(score) / 4096 - Date.now()} ms`;
    told.push(
      `${lane.slice(own.length)}: ${await redis.zcard(lane)} jobs, head ${head} (attempts ${attempts}, started ${starts}, stalled ${stalls}), ${due}`,
    );
  }
  return told.join('; ');
}
