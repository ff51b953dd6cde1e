/** The durable copies of a queue's cells, for readers: what Redis last acknowledged. Read only. */
import { type Clock, pause } from '../base/clock.ts';
import { OWN_PREFIX_LUA, ownPrefixOf } from '../redis/own-keys.ts';
import { redisFailed, TorilError } from '../errors.ts';

export interface Copy {
  readonly token: number;
  readonly watermark: number;
  /** `deleted`: also an expired one; `not-kept`: the queue's workers run with `durableCopies: false`. */
  readonly value: { readonly json: string } | 'deleted' | 'not-kept';
}

export interface ReadCopies {
  /** Of the Redis that they were read from; empty: it has none yet. */
  readonly dataSet: string;
  /** Keys of which nothing was ever acknowledged are not in it. */
  readonly copies: ReadonlyMap<string, Copy>;
}

export interface Copies {
  /** The queue's qualified name, as envelopes bear it ("bull:orders"). */
  readonly queue: string;
  /** @throws TorilError REDIS_FAILED */
  read(keys: readonly string[]): Promise<ReadCopies>;
}

/** What is needed of a Redis client; BullMQ's own abstraction fits, whatever the driver. */
interface ScriptClient {
  defineCommand(name: string, definition: { lua: string; numberOfKeys: number }): void;
  runCommand(name: string, args: unknown[]): Promise<unknown>;
}

export interface RedisCopiesOptions {
  readonly client: ScriptClient;
  readonly clock: Clock;
  /** BullMQ's prefix: `bull` unless it was changed. */
  readonly prefix: string;
  /** The queue's name. */
  readonly queue: string;
}

const COMMAND = 'torilReadCopies';
/** Keys per script call, so that none blocks Redis for long. */
const KEYS_PER_CALL = 200;
/** Milliseconds: a reader does not wait longer for a Redis that is away. */
const DEADLINE_MS = 2_000;

/**
 *   KEYS[1] the data set's name  ARGV[1] key prefix of the queue  ARGV[2...] keys
 *   Returns the data set's name, then per key [token, watermark, value]; token '0': there is no copy
 */
const READ_COPIES_LUA = `${OWN_PREFIX_LUA}
local time = redis.call('TIME')
local nowMs = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local result = { redis.call('GET', KEYS[1]) or '' }
for i = 2, #ARGV do
  local copy = redis.call('HMGET', own .. 'copy:' .. ARGV[i], 't', 'w', 'v', 'x')
  local value = copy[3] or '-'
  if copy[4] and tonumber(copy[4]) <= nowMs then value = '-' end
  result[i] = { copy[1] or '0', copy[2] or '0', value }
end
return result
`;

type Reply = [dataSet: string, ...copies: [token: string, watermark: string, value: string][]];

export class RedisCopies implements Copies {
  readonly queue: string;
  readonly #client: ScriptClient;
  readonly #clock: Clock;
  readonly #prefix: string;

  constructor({ client, clock, prefix, queue }: RedisCopiesOptions) {
    this.queue = `${prefix}:${queue}`;
    this.#client = client;
    this.#clock = clock;
    this.#prefix = `${this.queue}:`;
    client.defineCommand(COMMAND, { numberOfKeys: 1, lua: READ_COPIES_LUA });
  }

  async read(keys: readonly string[]): Promise<ReadCopies> {
    const calls: Promise<Reply>[] = [];
    for (let at = 0; at < keys.length; at += KEYS_PER_CALL) {
      calls.push(this.#call(keys.slice(at, at + KEYS_PER_CALL)));
    }
    const replies = await Promise.all(calls);
    const [dataSet = ''] = (replies[0]?.[0] ?? '').split(' ');
    const copies = new Map<string, Copy>();
    for (const [call, [, ...found]] of replies.entries()) {
      for (const [at, [token, watermark, value]] of found.entries()) {
        const key = keys[call * KEYS_PER_CALL + at] as string;
        if (token === '0') continue;
        copies.set(key, {
          token: Number(token),
          watermark: Number(watermark),
          value: decodeValue(value),
        });
      }
    }
    return { dataSet, copies };
  }

  async #call(keys: readonly string[]): Promise<Reply> {
    const over = new AbortController();
    const late = pause(this.#clock, DEADLINE_MS, over.signal).then(() => undefined);
    try {
      const args = [`${ownPrefixOf(this.#prefix)}dataSet`, this.#prefix, ...keys];
      const asked = this.#client.runCommand(COMMAND, args) as Promise<Reply>;
      const reply = await Promise.race([asked, late]);
      if (reply !== undefined) return reply;
      asked.catch(() => undefined); // nobody waits for it any more
    } catch (thrown) {
      throw redisFailed(thrown);
    } finally {
      over.abort();
    }
    throw new TorilError(
      'REDIS_FAILED',
      `Redis did not give out copies within ${DEADLINE_MS} ms. Is it running, is the address right?`,
    );
  }
}

function decodeValue(text: string): Copy['value'] {
  if (text[0] === '+') return { json: text.slice(1) };
  return text[0] === '0' ? 'not-kept' : 'deleted';
}
