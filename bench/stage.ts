/** Everything that measurements share: servers, the processes that fill queues, and names for runs. */
import { Redis } from 'ioredis';
import { type Child, Launcher } from './children/launcher.ts';
import type {
  FillOrder,
  Filled,
  KeysOrder,
  PaceOrder,
  ProducerOrder,
} from './children/producer-process.ts';
import { MemcachedClient } from './memcached-client.ts';
import { type ServerReading, readServers } from './server-meter.ts';
import type { ProducerSettings, Site } from './system.ts';
import type { SystemName } from './systems.ts';
import type { Plan } from './work.ts';

const KEYS_PER_SCAN = 2_000;

export interface ReadBack {
  readonly hashes: readonly (number | undefined)[];
  /** Of the first key, if it is a document. */
  readonly text: string | undefined;
}

export class Stage {
  readonly site: Site;
  readonly launcher: Launcher;
  readonly #redis: Redis;
  readonly #memcached: MemcachedClient;
  readonly #ownsLauncher: boolean;
  #producer: Child;
  #runs = 0;

  private constructor(
    site: Site,
    redis: Redis,
    memcached: MemcachedClient,
    launcher: Launcher | undefined,
  ) {
    this.site = site;
    this.#redis = redis;
    this.#memcached = memcached;
    this.#ownsLauncher = launcher === undefined;
    this.launcher = launcher ?? Launcher.compile();
    this.#producer = this.launcher.producer();
  }

  /** @param launcher of another stage, to share what it has compiled */
  static async open(site: Site, launcher?: Launcher): Promise<Stage> {
    const redis = new Redis(site.redis, { maxRetriesPerRequest: null });
    await redis.ping();
    return new Stage(site, redis, await MemcachedClient.connect(site.memcached), launcher);
  }

  /** A name for a queue and its keys that nobody else uses. */
  newRun(): string {
    this.#runs++;
    return `bench-${process.pid}-${Date.now().toString(36)}-${this.#runs}`;
  }

  /** Adds jobs `from` to `to` of the plan, in order. */
  async fill(
    system: SystemName,
    plan: Plan,
    { from = 0, to = plan.jobs, settings = {} as ProducerSettings } = {},
    producer: Child = this.#producer,
  ): Promise<Filled> {
    const order: FillOrder = { ...this.#order(system, plan), from, to, settings };
    return (await producer.call('fill', order)) as Filled;
  }

  /** Adds all jobs of the plan at a steady pace. */
  async pace(system: SystemName, plan: Plan, perSecond: number): Promise<void> {
    const order: PaceOrder = { ...this.#order(system, plan), jobs: plan.jobs, perSecond };
    await this.#producer.call('pace', order);
  }

  /** Undefined: the system keeps no values. */
  async read(system: SystemName, plan: Plan, keys = plan.keys): Promise<ReadBack | undefined> {
    const order: KeysOrder = { ...this.#order(system, plan), keys };
    return (await this.#producer.call('read', order)) as ReadBack | undefined;
  }

  /** Removes all that the run has left in Redis and memcached. */
  async forget(system: SystemName, plan: Plan, keys = plan.keys): Promise<void> {
    const order: KeysOrder = { ...this.#order(system, plan), keys };
    const stream = this.#redis.scanStream({ match: `*${plan.run}*`, count: KEYS_PER_SCAN });
    for await (const found of stream) {
      const names = found as string[];
      if (names.length > 0) await this.#redis.unlink(...names);
    }
    await this.#producer.call('forget', order);
  }

  readServers(): Promise<ServerReading> {
    return readServers(this.#redis, this.#memcached);
  }

  async redisInfo(): Promise<string> {
    return this.#redis.info('everything');
  }

  async redisKeys(pattern: string): Promise<string[]> {
    const names = new Set<string>();
    const stream = this.#redis.scanStream({ match: pattern, count: KEYS_PER_SCAN });
    for await (const found of stream) for (const name of found as string[]) names.add(name);
    return [...names];
  }

  /** Bytes of one key, its name and what Redis keeps for it included. */
  async redisBytesOf(name: string): Promise<number> {
    return (await this.#redis.memory('USAGE', name, 'SAMPLES', 0)) ?? 0;
  }

  async memcachedVersion(): Promise<string> {
    return (await this.#memcached.stats()).get('version') ?? 'unknown';
  }

  async close(): Promise<void> {
    await this.#producer.end();
    this.#redis.disconnect();
    this.#memcached.close();
    if (this.#ownsLauncher) this.launcher.close();
  }

  #order(system: SystemName, plan: Plan): ProducerOrder {
    return { system, site: this.site, plan };
  }
}
