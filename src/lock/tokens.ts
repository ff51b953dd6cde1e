/** Where fencing tokens come from: Redis, or memory for tests. */
import { assert, AssertionError } from '../base/assert.ts';
import { type Clock, pause, systemClock } from '../base/clock.ts';
import { mayPass } from '../base/redis-replies.ts';
import { ownPrefixOf } from '../base/own-keys.ts';
import { SEQUENCE_LUA } from '../base/sequence-lua.ts';
import { redisFailed } from '../errors.ts';
import type { Drawing, TokenSource } from './lock.ts';

const COMMAND = 'torilDrawToken';
/** Milliseconds between two requests to a Redis that cannot answer now. */
const RETRY_MS = 100;

/**
 * Draws one token.
 *   KEYS[1] sequence
 * Returns the token as a string.
 */
const DRAW_TOKEN_LUA = `${SEQUENCE_LUA}
local token = draw()
saveDrawn()
return token
`;

/** What is needed of a Redis client; BullMQ's own abstraction fits, whatever the driver. */
export interface ScriptClient {
  defineCommand(name: string, definition: { lua: string; numberOfKeys: number }): void;
  runCommand(name: string, args: unknown[]): Promise<unknown>;
}

export interface RedisTokensOptions {
  readonly client: ScriptClient;
  readonly clock?: Clock;
  /** BullMQ's prefix: `bull` unless it was changed. */
  readonly prefix: string;
  /** Locks that fence the same resources must use the same queue name, or any one name. */
  readonly queue: string;
}

/**
 * Draws from the counter that numbers the queue's lanes, too. A Redis
 * that fails over and forgets the last numbers goes on from its own time, in microseconds: that is
 * past them as long as its clock is not behind by more than the failover took.
 */
export class RedisTokens implements TokenSource {
  readonly #client: ScriptClient;
  readonly #clock: Clock;
  readonly #sequenceKey: string;

  constructor({ client, clock = systemClock, prefix, queue }: RedisTokensOptions) {
    this.#client = client;
    this.#clock = clock;
    this.#sequenceKey = `${ownPrefixOf(`${prefix}:${queue}:`)}sequence`;
    client.defineCommand(COMMAND, { numberOfKeys: 1, lua: DRAW_TOKEN_LUA });
  }

  /** @throws TorilError REDIS_FAILED */
  async drawToken(drawing?: Drawing): Promise<number> {
    for (;;) {
      try {
        const token = Number(await this.#client.runCommand(COMMAND, [this.#sequenceKey]));
        assert(Number.isSafeInteger(token) && token > 0, `the fencing token ${token}`);
        return token;
      } catch (thrown) {
        if (!(thrown instanceof Error) || thrown instanceof AssertionError) throw thrown;
        const cause = redisFailed(thrown);
        if (!mayPass(thrown) || drawing === undefined) throw cause;
        drawing.troubled(cause);
        await pause(this.#clock, RETRY_MS, drawing.signal);
        if (drawing.signal.aborted) throw cause;
      }
    }
  }
}

/** The same rule in memory. Share one between everything that shares a memcached. */
export class MemoryTokens implements TokenSource {
  readonly #clock: Clock;
  #last = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  drawToken(): Promise<number> {
    this.#last = Math.max(this.#last + 1, Math.floor(this.#clock.wallMs() * 1000));
    return Promise.resolve(this.#last);
  }
}
