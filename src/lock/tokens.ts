/** Where fencing tokens come from: Redis, or memory for tests. */
import { assert } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import { ownPrefixOf } from '../base/own-keys.ts';
import { SEQUENCE_LUA } from '../base/sequence-lua.ts';
import type { TokenSource } from './lock.ts';

const COMMAND = 'torilDrawToken';

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

/** What is needed of an ioredis client, or of its Cluster. */
export interface ScriptClient {
  defineCommand(name: string, definition: { lua: string; numberOfKeys: number }): void;
}

type DrawCommand = (this: ScriptClient, sequenceKey: string) => Promise<unknown>;

export interface RedisTokensOptions {
  readonly client: ScriptClient;
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
  readonly #sequenceKey: string;

  constructor({ client, prefix, queue }: RedisTokensOptions) {
    this.#client = client;
    this.#sequenceKey = `${ownPrefixOf(`${prefix}:${queue}:`)}sequence`;
    client.defineCommand(COMMAND, { numberOfKeys: 1, lua: DRAW_TOKEN_LUA });
  }

  /** Rejects with the client's own error. */
  async drawToken(): Promise<number> {
    const draw = (this.#client as unknown as Record<string, DrawCommand>)[COMMAND];
    assert(draw !== undefined, 'defineCommand defined no command');
    const token = Number(await draw.call(this.#client, this.#sequenceKey));
    assert(Number.isSafeInteger(token) && token > 0, `the fencing token ${token}`);
    return token;
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
