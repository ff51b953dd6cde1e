/** Flags that several commands share, and how their values are read. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { systemClock } from '../../base/clock.ts';
import { TorilError } from '../../errors.ts';
import {
  type MemcachedSettings,
  PROTOCOLS,
  type ProtocolSetting,
} from '../../memcached/options.ts';

export const REDIS_VARIABLE = 'TORIL_REDIS';
export const MEMCACHED_VARIABLE = 'TORIL_MEMCACHED';
const REDIS_DEFAULT = 'redis://127.0.0.1:6379';
/** Spelled as the docs spell it: another spelling is another list of servers. */
const MEMCACHED_DEFAULT = 'localhost:11211';
const QUEUE_DEFAULT = 'toril';
const PREFIX_DEFAULT = 'bull';

export interface QueueFlags {
  readonly queue: string;
  readonly prefix: string;
}

export interface RedisFlags {
  readonly redis?: string;
}

export interface MemcachedFlags {
  readonly memcached?: string;
  readonly memcachedTls?: boolean;
  readonly memcachedProtocol?: ProtocolSetting;
  readonly memcachedUnproven?: boolean;
  readonly requestDeadlineMs?: number;
}

/** Of commands that work on a queue and on its values. */
export interface ServerFlags extends QueueFlags, RedisFlags, MemcachedFlags {}

export function addServerFlags(command: Command): Command {
  return addMemcachedFlags(addRedisFlags(addQueueFlags(command)));
}

export function addQueueFlags(command: Command): Command {
  return command
    .addOption(
      new Option('-q, --queue <name>', 'the BullMQ queue')
        .env('TORIL_QUEUE')
        .default(QUEUE_DEFAULT),
    )
    .option('--prefix <text>', "prefix of BullMQ's keys in Redis", PREFIX_DEFAULT);
}

export function addRedisFlags(command: Command): Command {
  return command.addOption(redisOption(REDIS_DEFAULT));
}

export function addMemcachedFlags(command: Command): Command {
  return command
    .addOption(memcachedOption(MEMCACHED_DEFAULT))
    .option('--memcached-tls', 'speak TLS with memcached')
    .addOption(
      new Option(
        '--memcached-protocol <name>',
        'what to speak with memcached (default: auto)',
      ).choices(PROTOCOLS),
    )
    .option(
      '--memcached-unproven',
      'also with what does not tell its settings: then locks exclude nobody for certain',
    )
    .option(
      '--request-deadline-ms <ms>',
      'within which memcached must answer (default: 1000)',
      wholeNumber(1, 60_000),
    );
}

/** For commands that start private servers where none are named (own-servers.ts). */
export function addNamedServers(command: Command): Command {
  const byDefault = 'a private one, started from the PATH';
  return command.addOption(redisOption(byDefault)).addOption(memcachedOption(byDefault));
}

/** The defaults are said, not set: what the flag holds was given by somebody. */
function redisOption(byDefault: string): Option {
  return new Option(
    '--redis <url>',
    `redis://[user:password@]host:port/db, rediss://... or host:port (default: ${byDefault})`,
  ).env(REDIS_VARIABLE);
}

function memcachedOption(byDefault: string): Option {
  return new Option(
    '--memcached <list>',
    `host:port or memcached://user:password@host:port, several with commas (default: ${byDefault})`,
  ).env(MEMCACHED_VARIABLE);
}

export function addJsonFlag(command: Command): Command {
  return command.option('--json', 'print JSON, one object per line');
}

/** A parser for a whole number in a range. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (text.trim() !== '' && Number.isInteger(number) && number >= min && number <= max) {
      return number;
    }
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

/** The URL of the Redis that the flag names. @throws TorilError INVALID_OPTIONS */
export function redisUrl(flags: RedisFlags): string {
  const text = isSet(flags.redis) ? flags.redis : REDIS_DEFAULT;
  const url = text.includes('://') ? text : `redis://${text}`;
  if (URL.canParse(url)) {
    const { protocol, hostname } = new URL(url);
    if ((protocol === 'redis:' || protocol === 'rediss:') && hostname !== '') return url;
  }
  // The text is not repeated: it may hold a password.
  throw new TorilError(
    'INVALID_OPTIONS',
    `--redis (or ${REDIS_VARIABLE}) is no address of a Redis. Write redis://host:port, rediss://host:port or host:port.`,
  );
}

/** What Toril's own options call the memcached servers. They are checked where they are used. */
export function memcachedSettings(flags: MemcachedFlags): MemcachedSettings {
  const text = isSet(flags.memcached) ? flags.memcached : MEMCACHED_DEFAULT;
  return {
    servers: text.split(',').map((server) => server.trim()),
    tls: flags.memcachedTls,
    protocol: flags.memcachedProtocol,
    unproven: flags.memcachedUnproven === true ? 'accept' : undefined,
    requestDeadlineMs: flags.requestDeadlineMs,
  };
}

/** An empty variable is as good as none. */
export function isSet(text: string | undefined): text is string {
  return text !== undefined && text.trim() !== '';
}

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Milliseconds since 1970. @throws TorilError INVALID_OPTIONS */
export function timeFlag(flag: string, text: string): number {
  const [, amount, unit] = /^(\d+)([smhd])$/.exec(text) ?? [];
  if (unit !== undefined) return systemClock.wallMs() - Number(amount) * (UNIT_MS[unit] as number);
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(time) && time >= 0) return time;
  throw new TorilError(
    'INVALID_OPTIONS',
    `${flag} ${JSON.stringify(text)} is no time. Write ISO 8601 (2026-03-01T12:00:00Z), or how long ago it was (90s, 15m, 2h, 7d).`,
  );
}

/** A parser for a share of a whole. */
export function share(text: string): number {
  const number = Number(text);
  if (text.trim() !== '' && number > 0 && number <= 1) return number;
  throw new InvalidArgumentError('It must be a number above 0 and at most 1.');
}
