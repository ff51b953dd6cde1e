import { randomUUID } from 'node:crypto';
import { createIORedisClient } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, describe, expect, it } from 'vitest';
import { ownPrefixOf } from '../../src/redis/own-keys.ts';
import { RedisTokens } from '../../src/lock/strict/tokens.ts';
import { redisUrl, startRedis } from '../support/servers.ts';

const redis = new Redis(redisUrl());
const queues: string[] = [];

afterAll(async () => {
  const keys = queues.map(sequenceKey);
  await redis.del(...keys, ...keys.map((key) => `${key}:dataSet{${key}}`));
  await redis.quit();
});

function sequenceKey(queue: string): string {
  return `${ownPrefixOf(`toril-test:${queue}:`)}sequence`;
}

function tokensOf(client: Redis, queue: string): RedisTokens {
  return new RedisTokens({ client: createIORedisClient(client), prefix: 'toril-test', queue });
}

function newQueue(): { queue: string; key: string } {
  const queue = randomUUID();
  queues.push(queue);
  return { queue, key: sequenceKey(queue) };
}

describe('drawing fencing tokens from Redis', () => {
  it('gives each of several clients its own, growing for each of them', async () => {
    const { queue, key } = newQueue();
    const other = redis.duplicate();
    const sources = [tokensOf(redis, queue), tokensOf(other, queue)];
    const drawn = await Promise.all(
      sources.map(async (source) => {
        const tokens: number[] = [];
        for (let n = 0; n < 200; n++) tokens.push((await source.drawToken()).token);
        return tokens;
      }),
    );
    await other.quit();
    for (const tokens of drawn) expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
    expect(new Set(drawn.flat()).size).toBe(400);
    expect(Number(await redis.get(key))).toBe(Math.max(...drawn.flat()));
  });

  it('counts every one of them where Lua would print an exponent', async () => {
    const { queue, key } = newQueue();
    const ahead = 8_999_999_999_999_990;
    await redis.set(key, String(ahead));
    const source = tokensOf(redis, queue);
    for (let n = 1; n <= 5; n++) expect((await source.drawToken()).token).toBe(ahead + n);
    expect(await redis.get(key)).toBe(String(ahead + 5));
  });

  it('goes on from the time when Redis has forgotten the last one', async () => {
    const { queue, key } = newQueue();
    const source = tokensOf(redis, queue);
    const { token: before } = await source.drawToken();
    await redis.del(key);
    expect((await source.drawToken()).token).toBeGreaterThan(before);
  });

  it('works on a server that has forgotten the script', async () => {
    const server = await startRedis();
    const client = new Redis(server.port, server.host);
    const source = tokensOf(client, 'q');
    const { token: before } = await source.drawToken();
    await client.script('FLUSH');
    expect((await source.drawToken()).token).toBeGreaterThan(before);
    await client.quit();
    await server.stop();
  });

  it('fails on a counter that is none', async () => {
    const { queue, key } = newQueue();
    await redis.set(key, 'nonsense');
    await expect(tokensOf(redis, queue).drawToken()).rejects.toThrow();
    expect(await redis.get(key)).toBe('nonsense');
  });

  it('tells of which data set they are, and tells an emptied one from it', async () => {
    const { queue, key } = newQueue();
    const other = redis.duplicate();
    const [one, two] = [tokensOf(redis, queue), tokensOf(other, queue)];
    const [first, second] = await Promise.all([one.drawToken(), two.drawToken()]);
    expect(second.dataSet).toEqual(first.dataSet);
    expect(first.dataSet.madeAt).toBeLessThanOrEqual(Math.min(first.token, second.token));
    await redis.del(`${key}:dataSet{${key}}`);
    const later = (await one.drawToken()).dataSet;
    expect(later.id).not.toBe(first.dataSet.id);
    expect(later.madeAt).toBeGreaterThan(Math.max(first.token, second.token));
    await other.quit();
  });
});
