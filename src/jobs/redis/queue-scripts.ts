/** The scripts of one queue, run by its Redis client, which learns each one when it is first needed. */
import { redisFailed } from '../../errors.ts';
import { ownPrefixOf } from '../../redis/own-keys.ts';
import type { Script } from './scripts/script.ts';

/** What is needed of a Redis client; BullMQ's own abstraction fits, whatever the driver. */
export interface ScriptClient {
  defineCommand(name: string, definition: { numberOfKeys: number; lua: string }): void;
  runCommand(name: string, args: unknown[]): Promise<unknown>;
  get(key: string): Promise<string | null>;
  set(key: string, value: string): Promise<unknown>;
  del(...keys: string[]): Promise<number>;
  info(): Promise<string>;
  scan(cursor: string, options: { MATCH: string; COUNT: number }): Promise<[string, string[]]>;
}

/** Rejects if what is asked is not answered in time. */
export type InTime = <T>(asked: Promise<T>) => Promise<T>;

const NO_KEYS: readonly string[] = [];

export class QueueScripts {
  readonly client: Promise<ScriptClient>;
  /** Of BullMQ's keys, with the colon at its end (`bull:orders:`). */
  readonly prefix: string;
  /** Of Toril's own keys. */
  readonly own: string;
  readonly #known = new Set<string>();
  readonly #inTime: InTime | undefined;

  /** @param inTime undefined: a script waits for Redis as long as its client does */
  constructor(client: Promise<ScriptClient>, prefix: string, inTime?: InTime) {
    this.client = client;
    this.prefix = prefix;
    this.own = ownPrefixOf(prefix);
    this.#inTime = inTime;
    client.catch(() => undefined); // each call reports it
  }

  /** @throws TorilError REDIS_FAILED */
  run(
    script: Script,
    args: readonly (string | number)[],
    moreKeys: readonly string[] = NO_KEYS,
  ): Promise<unknown> {
    const all = [`${this.own}sequence`, ...moreKeys, this.prefix, ...args];
    const asked = this.#run(script, all);
    return this.#inTime === undefined ? asked : this.#inTime(asked);
  }

  async #run(script: Script, all: unknown[]): Promise<unknown> {
    const { name } = script;
    try {
      const client = await this.client;
      if (!this.#known.has(name)) this.#define(client, script);
      return await client.runCommand(name, all);
    } catch (thrown) {
      throw redisFailed(thrown); // only here: what other code throws is no fault of Redis
    }
  }

  #define(client: ScriptClient, { name, numberOfKeys, lua }: Script): void {
    client.defineCommand(name, { numberOfKeys, lua });
    this.#known.add(name);
  }
}
