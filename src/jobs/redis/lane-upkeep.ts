/**
 * What is done for all lanes of a queue, by walking through its keys: dropping entries whose jobs are gone, finding what
 * somebody without Toril did to jobs, taking the queue away. An operator's, and the lookout's; no job waits for it.
 */
import type { Lanes } from '../lanes.ts';
import { PRUNE_INDEX, REINDEX } from './index/lane-index.ts';
import type { QueueScripts } from './queue-scripts.ts';
import type { Script } from './scripts/script.ts';
import { NOW } from '../bullmq/state/timed.ts';
import { CALLED_COMMANDS, FORBIDDEN } from './scripts/permissions.ts';
import { SWEEP, UNAPPLIED } from './scripts/sweep.ts';

/** Entries of a lane that are looked at in one call. */
const ENTRIES_PER_SWEEP = 1_000;
/** Keys that a scan looks at in one call. */
const KEYS_PER_SCAN = 500;
/** Completed jobs that one look for those never applied takes in. */
const COMPLETED_PER_LOOK = 200;

/** What a destroyed queue leaves: the list of servers, since the cells stay, and what tells calls of producers that come again. */
const STAYS = /^(memcached$|producer:)/;

export class LaneUpkeep {
  readonly #scripts: QueueScripts;
  readonly #lookAt: Lanes['lookAt'];

  constructor(scripts: QueueScripts, lanes: Pick<Lanes, 'lookAt'>) {
    this.#scripts = scripts;
    this.#lookAt = (standing) => lanes.lookAt(standing);
  }

  /** Commands of its scripts that Redis' access list forbids: nothing before Redis 7, which does not tell. */
  async forbidden(): Promise<readonly string[]> {
    return (await this.#scripts.run(FORBIDDEN, CALLED_COMMANDS)) as string[];
  }

  /**
   * Takes entries out of all lanes whose jobs BullMQ has removed, so that nothing stays behind in
   * Redis. Lanes whose first job was among them go on.
   */
  async sweep(): Promise<void> {
    const sweep = async (from: number, lanes: readonly string[]): Promise<void> => {
      const reply = await this.#scripts.run(SWEEP, [from, ENTRIES_PER_SWEEP, ...lanes]);
      const more = reply as (string | number)[];
      for (let i = 0; i < more.length; i += 2) await sweep(Number(more[i + 1]), [String(more[i])]);
    };
    for await (const lanes of this.#scan('lane:*')) await sweep(0, lanes);
  }

  /**
   * A stretch at a time: keys of lanes whose first job is gone, or was completed though it is still there. On the way, the
   * index of lanes is put right, for what somebody without Toril has done, or an older version of it.
   */
  async *released(): AsyncGenerator<string[]> {
    for await (const keys of this.#reindexed()) {
      const sights = await this.#lookAt(keys.map((key) => ({ key, jobId: '' })));
      yield keys.filter((_, at) => sights[at] === 'released');
    }
  }

  /** Puts the index of lanes right, by a walk through all keys of Redis. */
  async reindex(): Promise<void> {
    const walk = this.#reindexed();
    while ((await walk.next()).done !== true);
  }

  /** Yields the keys of a stretch of lanes, which are in the index then. */
  async *#reindexed(): AsyncGenerator<string[]> {
    const { length } = `${this.#scripts.own}lane:`;
    for await (const lanes of this.#scan('lane:*')) {
      const keys = [...new Set(lanes.map((lane) => lane.slice(length)))];
      await this.#scripts.run(REINDEX, keys);
      yield keys;
    }
    for (let rank = 0; rank >= 0; ) {
      rank = Number(await this.#scripts.run(PRUNE_INDEX, [rank, ENTRIES_PER_SWEEP]));
    }
    await (await this.#scripts.client).set(`${this.#scripts.own}indexed`, '1');
  }

  /**
   * Of the newest completed jobs, those that were never applied.
   * @param since what was returned before; undefined: only from now on
   */
  async unapplied(since?: string): Promise<{ since: string; jobIds: string[] }> {
    const reply = await this.#scripts.run(UNAPPLIED, [since ?? '', COMPLETED_PER_LOOK]);
    const [until, ...jobIds] = reply as [string, ...string[]];
    return { since: until, jobIds };
  }

  /** Whether anybody has used the queue, BullMQ's part of it or Toril's: BullMQ makes one when it is opened. */
  async isUsed(): Promise<boolean> {
    return Number(await this.#scripts.run(IS_USED, [])) > 0;
  }

  /** What Redis says of itself (INFO), and its time: milliseconds since 1970. */
  async aboutRedis(): Promise<[info: string, nowMs: number]> {
    const client = await this.#scripts.client;
    const [info, nowMs] = await Promise.all([client.info(), this.#scripts.run(NOW, [])]);
    return [info, Number(nowMs)];
  }

  /** Whether nobody has done this, whatever it is, within the last milliseconds. */
  async claim(what: string, ms: number): Promise<boolean> {
    return (await this.#scripts.run(CLAIM, [ms], [`${this.#scripts.own}claim:${what}`])) === 1;
  }

  /**
   * Deletes what the queue knows of its keys. The sequence starts over from the time, past all that was drawn; the
   * list of memcached servers stays, since the cells do, unless it shall go `toTheLastKey`. They belong to a data set
   * that is no more: a key that is used again stops with REDIS_WENT_BACK.
   */
  async destroy({ toTheLastKey = false }: { toTheLastKey?: boolean } = {}): Promise<void> {
    const client = await this.#scripts.client;
    const stays = (key: string): boolean => STAYS.test(key.slice(this.#scripts.own.length));
    for await (const keys of this.#scan('*')) {
      const going = toTheLastKey ? keys : keys.filter((key) => !stays(key));
      if (going.length > 0) await client.del(...going);
    }
  }

  async *#scan(pattern: string): AsyncGenerator<string[]> {
    const client = await this.#scripts.client;
    const match = this.#scripts.own.replace(/[\\*?[\]]/g, String.raw`\$&`) + pattern;
    let cursor = '0';
    do {
      const [next, keys] = await client.scan(cursor, { MATCH: match, COUNT: KEYS_PER_SCAN });
      if (keys.length > 0) yield keys;
      cursor = next;
    } while (cursor !== '0');
  }
}

const IS_USED: Script = {
  name: 'torilIsUsed',
  numberOfKeys: 1,
  lua: `return redis.call('EXISTS', KEYS[1], ARGV[1] .. 'meta', ARGV[1] .. 'id')`,
};

const CLAIM: Script = {
  name: 'torilClaim',
  numberOfKeys: 2,
  lua: `return redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[2]) and 1 or 0`,
};
