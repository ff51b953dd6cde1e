/** What Redis and memcached say they have done, before and after. */
import type { Redis } from 'ioredis';
import type { MemcachedClient } from './memcached-client.ts';

export interface ServerReading {
  readonly redisCpuSeconds: number;
  /** Commands, those inside scripts included. */
  readonly redisCommands: number;
  readonly redisBytes: number;
  readonly memcachedCpuSeconds: number;
  readonly memcachedCommands: number;
  readonly memcachedBytes: number;
}

const MEMCACHED_COMMANDS = ['cmd_get', 'cmd_set', 'cmd_touch', 'delete_hits', 'delete_misses'];

export async function readServers(
  redis: Redis,
  memcached: MemcachedClient,
): Promise<ServerReading> {
  const [info, stats] = await Promise.all([redis.info('everything'), memcached.stats()]);
  const fields = parseInfo(info);
  const sum = (from: ReadonlyMap<string, string>, names: readonly string[]): number =>
    names.reduce((total, name) => total + Number(from.get(name) ?? 0), 0);
  return {
    redisCpuSeconds: sum(fields, ['used_cpu_sys', 'used_cpu_user']),
    redisCommands: commandCalls(fields),
    redisBytes: sum(fields, ['total_net_input_bytes', 'total_net_output_bytes']),
    memcachedCpuSeconds: sum(stats, ['rusage_user', 'rusage_system']),
    memcachedCommands: sum(stats, MEMCACHED_COMMANDS),
    memcachedBytes: sum(stats, ['bytes_read', 'bytes_written']),
  };
}

export function parseInfo(info: string): Map<string, string> {
  const lines = info.split('\r\n').filter((line) => line.includes(':'));
  return new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1)];
    }),
  );
}

/** `cmdstat_hset:calls=3,usec=...`; our own looking does not count. */
function commandCalls(fields: ReadonlyMap<string, string>): number {
  let calls = 0;
  for (const [name, value] of fields) {
    if (!name.startsWith('cmdstat_') || name === 'cmdstat_info') continue;
    calls += Number(/^calls=(\d+)/.exec(value)?.[1] ?? 0);
  }
  return calls;
}

export function difference(after: ServerReading, before: ServerReading): ServerReading {
  const names = Object.keys(after) as (keyof ServerReading)[];
  return Object.fromEntries(
    names.map((name) => [name, after[name] - before[name]]),
  ) as unknown as ServerReading;
}
