/** Of options from which no Redis client could be made: here, since the user's own factory of clients throws. */
import { RedisConnection } from 'bullmq';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { torilBackend } from '../../../src/jobs/bullmq/bull-backend.ts';
import { rawClientOf } from '../../../src/redis/redis-client.ts';
import { OpenRedis } from '../../../src/redis/redis-connection.ts';

const connection = { host: '127.0.0.1', port: 1 };

beforeEach(() => {
  RedisConnection.clientFactory = () => {
    throw new Error('no client today');
  };
});
afterEach(() => {
  Reflect.deleteProperty(RedisConnection, 'clientFactory');
});

test('there is no client to be had', () => {
  expect(rawClientOf(new RedisConnection(connection))).toBeUndefined();
});

test('a backend can be abandoned all the same', () => {
  const backend = torilBackend()('q', { connection }, {});
  backend.on('error', () => undefined);
  expect(() => backend.abandon()).not.toThrow();
});

test('a Redis of its own says so at once', () => {
  expect(() => new OpenRedis(connection)).toThrow(
    expect.objectContaining({
      code: 'INVALID_OPTIONS',
      message: expect.stringContaining('no client could be made of it'),
    }),
  );
});
