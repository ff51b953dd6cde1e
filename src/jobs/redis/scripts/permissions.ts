import type { Script } from './script.ts';

/**
 * Commands that Toril's and BullMQ's scripts call. Redis does not undo a script that its access list stops half-way: a worker
 * that may not call HDEL has its commit made the copy, and cannot take the jobs out of their lane; it would apply them again.
 */
export const CALLED_COMMANDS: readonly string[] = [
  ...['DECR', 'DEL', 'EXISTS', 'GET', 'INCR', 'INCRBY', 'MGET', 'PERSIST', 'PEXPIRE', 'PEXPIREAT'],
  ...['PTTL', 'RENAME', 'SET', 'SETNX', 'SETRANGE', 'TIME', 'TYPE', 'UNLINK'],
  ...['HDEL', 'HEXISTS', 'HGET', 'HGETALL', 'HINCRBY', 'HLEN', 'HMGET', 'HMSET', 'HSET'],
  ...['LINDEX', 'LLEN', 'LPOP', 'LPOS', 'LPUSH', 'LRANGE', 'LREM', 'LSET', 'LTRIM', 'RPOP'],
  ...['RPOPLPUSH', 'RPUSH', 'SADD', 'SCARD', 'SISMEMBER', 'SMEMBERS', 'SPOP', 'SREM'],
  ...['XADD', 'XDEL', 'XLEN', 'XRANGE', 'XREAD', 'XREVRANGE', 'XTRIM'],
  ...['ZADD', 'ZCARD', 'ZCOUNT', 'ZLEXCOUNT', 'ZMSCORE', 'ZPOPMIN', 'ZRANGE', 'ZRANGEBYLEX'],
  ...['ZRANGEBYSCORE', 'ZRANK', 'ZREM', 'ZREMRANGEBYRANK', 'ZREMRANGEBYSCORE', 'ZREVRANGE'],
  ...['ZREVRANGEBYSCORE', 'ZSCORE'],
];

/**
 * What the access list forbids this login of `CALLED_COMMANDS`, at BullMQ's keys and at Toril's. Redis tells from 7.0 on;
 * before, nothing. Read only.
 *
 *   KEYS[1] sequence  ARGV[1] key prefix  ARGV[2...] commands
 *   Returns commands
 */
export const FORBIDDEN: Script = {
  name: 'torilForbidden',
  numberOfKeys: 1,
  lua: `local forbidden = {}
if not redis.acl_check_cmd then return forbidden end
for i = 2, #ARGV do
  for _, key in ipairs({ KEYS[1], ARGV[1] .. 'id' }) do
    -- Those of two keys find them in any two arguments.
    if not redis.acl_check_cmd(ARGV[i], key, key, key) then
      forbidden[#forbidden + 1] = ARGV[i]
      break
    end
  end
end
return forbidden
`,
};
