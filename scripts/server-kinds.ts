/** The two servers that Toril needs, and where a machine gets them from. */
import {
  MEMCACHED_PROGRAM,
  REDIS_PROGRAM,
  type ServerProgram,
} from '../src/cli/servers/server-programs.ts';

export interface ServerKind {
  readonly program: ServerProgram;
  /** Names a server to use instead of a private one. */
  readonly variable: string;
  readonly debianPackage: string;
  readonly brewPackage: string;
  readonly usualPort: number;
}

export const REDIS: ServerKind = {
  program: REDIS_PROGRAM,
  variable: 'TORIL_REDIS',
  debianPackage: 'redis-server',
  brewPackage: 'redis',
  usualPort: 6379,
};

export const MEMCACHED: ServerKind = {
  program: MEMCACHED_PROGRAM,
  variable: 'TORIL_MEMCACHED',
  debianPackage: 'memcached',
  brewPackage: 'memcached',
  usualPort: 11211,
};

export const SERVER_KINDS: readonly ServerKind[] = [REDIS, MEMCACHED];
