/** Fencing tokens from Redis. */
import { assert, AssertionError } from '../../base/assert.ts';
import { type Clock, pause, systemClock } from '../../base/clock.ts';
import { DATA_SET_LUA, readDataSet } from '../../redis/data-set.ts';
import { systemRandom } from '../../base/random.ts';
import { mayPass } from '../../redis/redis-replies.ts';
import { ownPrefixOf } from '../../redis/own-keys.ts';
import { SEQUENCE_LUA } from '../../redis/sequence-lua.ts';
import { redisFailed } from '../../errors.ts';
import type { Drawing, DrawnToken, TokenSource } from '../lock.ts';

const COMMAND = 'torilDrawToken';
/** Milliseconds between two requests to a Redis that cannot answer now. */
const RETRY_MS = 100;

/**
 * Draws one token.
 *   KEYS[1] sequence  KEYS[2] the data set's name  ARGV[1] a name for it if it has none
 * Returns the token and the data set.
 */
const DRAW_TOKEN_LUA = `local dataSetKey = KEYS[2]
${SEQUENCE_LUA}${DATA_SET_LUA}
local token = draw()
saveDrawn()
return { token, dataSetOr(ARGV[1]) }
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
  readonly #keys: readonly [sequence: string, dataSet: string];

  constructor({ client, clock = systemClock, prefix, queue }: RedisTokensOptions) {
    this.#client = client;
    this.#clock = clock;
    const sequence = `${ownPrefixOf(`${prefix}:${queue}:`)}sequence`;
    // In the counter's slot of a cluster, also without a hash tag in prefix or name.
    this.#keys = [sequence, `${sequence}:dataSet{${sequence}}`];
    client.defineCommand(COMMAND, { numberOfKeys: 2, lua: DRAW_TOKEN_LUA });
  }

  /** @throws TorilError REDIS_FAILED */
  async drawToken(drawing?: Drawing): Promise<DrawnToken> {
    for (;;) {
      try {
        // A name of its own each time: a Redis that is emptied must not get the same one again.
        const args = [...this.#keys, systemRandom.id()];
        const answer = (await this.#client.runCommand(COMMAND, args)) as [string, string] | null;
        const [drawn, dataSet = ''] = answer ?? [];
        const token = Number(drawn);
        assert(Number.isSafeInteger(token) && token > 0, `the fencing token ${token}`);
        return { token, dataSet: readDataSet(dataSet) };
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
