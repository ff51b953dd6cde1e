/** What tests of memcached connections share: reading outcomes, waiting, clients. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
// Loaded beforehand: a deadline of 100 ms is for connecting alone.
import '../../src/memcached/binary/binary-protocol.ts';
import { ENGINES } from '../../src/memcached/open-servers.ts';
import { type MemcachedSettings, resolveMemcached } from '../../src/memcached/options.ts';
import type { NewItem, Outcome } from '../../src/memcached/server.ts';
import { SocketServer } from '../../src/memcached/socket/socket-server.ts';

const POLL_MS = 5;
/** A bound, not a wait: under load, a command line took 6 s to start. */
const EVENTUALLY_MS = 15_000;

/** Asks again and again until the answer is true; fails, saying `what`, after the deadline. */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  deadlineMs: number = EVENTUALLY_MS,
): Promise<void> {
  const until = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > until) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await sleep(POLL_MS);
  }
}

/** The value of an outcome that must be `done`. */
export function valueOf<T>(outcome: Outcome<T>): T {
  if (outcome.kind === 'done') return outcome.value;
  throw new Error(`not done: ${textOf(outcome)}`);
}

/** `done`, `refused: exists`, `unknown: MEMCACHED_CLOSED`. */
export function textOf(outcome: Outcome<unknown>): string {
  if (outcome.kind === 'refused') return `refused: ${outcome.reason}`;
  return outcome.kind === 'unknown' ? `unknown: ${outcome.cause.code}` : 'done';
}

export function newItem(value: string | Buffer, ttlSeconds = 0, flags = 0): NewItem {
  return { value: Buffer.from(value), flags, ttlSeconds };
}

/** A client of one server, over the binary protocol unless it is said. */
export function clientOf(
  address: string,
  settings: Omit<MemcachedSettings, 'servers'> = {},
  clock: Clock = systemClock,
): SocketServer {
  const [options] = resolveMemcached({ servers: address, protocol: 'binary', ...settings });
  if (options === undefined) throw new Error('no server');
  return new SocketServer(options, ENGINES[options.protocol], clock, systemRandom);
}
