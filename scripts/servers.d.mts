/** Types of servers.mjs for the tests; the scripts themselves are checked by scripts/tsconfig.json. */

export interface StartOptions {
  /** Command line flags after our own, so that they win. */
  readonly flags?: string[];
  /** This port and no other. */
  readonly port?: number;
}

/** A Redis or memcached of one's own on 127.0.0.1. It dies with this process. */
export interface PrivateServer {
  readonly name: 'redis' | 'memcached';
  readonly host: string;
  readonly port: number;
  /** As TORIL_REDIS or TORIL_MEMCACHED take it. */
  readonly address: string;
  readonly running: boolean;
  /** Undefined while it does not run. */
  readonly pid: number | undefined;
  /** Starts it, again after `kill`, at the same address and with the same folder. */
  start(): Promise<void>;
  /** Ends it at once, as a crash would. Its folder and address stay, for `start`. */
  kill(): Promise<void>;
  /** Stops its process where it stands: it keeps its port, silently. */
  freeze(): void;
  /** Lets it go on after `freeze`. */
  thaw(): void;
  /** Ends it for good and removes its folder. */
  stop(): Promise<void>;
}

export function getServers(env?: NodeJS.ProcessEnv): Promise<{
  /** TORIL_REDIS and TORIL_MEMCACHED, where they were not set already, and the like. */
  readonly env: Readonly<Record<string, string>>;
  readonly stop: () => Promise<void>;
}>;

export function startRedis(options?: StartOptions): Promise<PrivateServer>;
export function startMemcached(options?: StartOptions): Promise<PrivateServer>;
