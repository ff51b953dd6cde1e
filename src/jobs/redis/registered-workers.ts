/**
 * The workers of a queue: who they are, what they can do, and when each was last heard of. For operators: no promise
 * depends on it. BullMQ's own list of clients has no such facts, and counts a process that is frozen as one that works.
 */
import type { QueueScripts } from './queue-scripts.ts';
import { NOW_MS_LUA } from '../bullmq/state/timed.ts';
import { OWN_PREFIX_LUA } from '../../redis/own-keys.ts';
import type { Script } from './scripts/script.ts';

/** What a worker says of itself. */
export interface WorkerCard {
  /** BullMQ's id of the worker. */
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  readonly bullmq: string;
  readonly node: string;
  /** Names of the updates that it knows. */
  readonly updates: readonly string[];
  readonly concurrency: number;
  readonly leaseMs: number;
  /** The fingerprint of its list of memcached servers. */
  readonly memcached: string;
  /** Why its fast path is off; empty: it is on. */
  readonly fastPathOff: readonly string[];
  /** It leaves transactions alone whose update it does not know. An older Toril says nothing of them. */
  readonly knowsTransactions?: true;
}

export interface RegisteredWorker extends WorkerCard {
  /** Milliseconds since it was last heard of. */
  readonly silentMs: number;
}

/** Milliseconds between two signs of life. */
export const BEAT_MS = 2_000;
/** Milliseconds after which a worker that is silent is forgotten. */
const FORGOTTEN_MS = 3_600_000;

export class RegisteredWorkers {
  readonly #scripts: QueueScripts;

  constructor(scripts: QueueScripts) {
    this.#scripts = scripts;
  }

  /** A sign of life. */
  async beat(card: WorkerCard): Promise<void> {
    if ((await this.#scripts.run(BEAT, [card.id, ''])) === 1) return;
    await this.#scripts.run(BEAT, [card.id, JSON.stringify(card)]);
  }

  /** It says something else of itself. */
  async tell(card: WorkerCard): Promise<void> {
    await this.#scripts.run(BEAT, [card.id, JSON.stringify(card)]);
  }

  async leave(id: string): Promise<void> {
    await this.#scripts.run(LEAVE, [id]);
  }

  /** Those last heard of last come last. */
  async all(): Promise<RegisteredWorker[]> {
    const reply = (await this.#scripts.run(WORKERS, [])) as [string, number][];
    return reply.map(([card, silentMs]) => ({ ...(JSON.parse(card) as WorkerCard), silentMs }));
  }
}

/**
 *   KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] the worker's id  ARGV[3] its card, or ''
 *   Returns 1; 0 if its card is not known
 */
const BEAT: Script = {
  name: 'torilBeat',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}${NOW_MS_LUA}
local cards, seen = own .. 'workers', own .. 'workersSeen'
if ARGV[3] ~= '' then
  redis.call('HSET', cards, ARGV[2], ARGV[3])
elseif redis.call('HEXISTS', cards, ARGV[2]) == 0 then
  return 0
end
redis.call('ZADD', seen, nowMs, ARGV[2])
local gone = redis.call('ZRANGEBYSCORE', seen, '-inf', nowMs - ${FORGOTTEN_MS}, 'LIMIT', 0, 100)
if #gone > 0 then
  redis.call('ZREM', seen, unpack(gone))
  redis.call('HDEL', cards, unpack(gone))
end
return 1
`,
};

/** KEYS[1] sequence (unused)  ARGV[1] key prefix  ARGV[2] the worker's id */
const LEAVE: Script = {
  name: 'torilLeave',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}
redis.call('ZREM', own .. 'workersSeen', ARGV[2])
return redis.call('HDEL', own .. 'workers', ARGV[2])
`,
};

/** KEYS[1] sequence (unused)  ARGV[1] key prefix.  Returns [card, milliseconds since it was heard of] of each */
const WORKERS: Script = {
  name: 'torilWorkers',
  numberOfKeys: 1,
  lua: `${OWN_PREFIX_LUA}${NOW_MS_LUA}
local seen, workers = redis.call('ZREVRANGE', own .. 'workersSeen', 0, 999, 'WITHSCORES'), {}
for i = 1, #seen, 2 do
  local card = redis.call('HGET', own .. 'workers', seen[i])
  if card then workers[#workers + 1] = { card, math.max(0, nowMs - seen[i + 1]) } end
end
return workers
`,
};
