/**
 * Whether a worker is alive and whether it can work. Alive means that no restart is needed: it can still take jobs. Ready
 * means that its servers are there. A worker whose servers are away is alive: it goes on by itself once they are back.
 */
import { type Clock, settlesWithin } from '../../base/clock.ts';
import { messageOf, TorilError } from '../../errors.ts';
import type { RegisteredServers } from '../../jobs/redis/registered-servers.ts';
import { lockName } from '../../memcached/item-names.ts';
import type { MemcachedServer } from '../../memcached/server.ts';
import { type MemcachedServers, serversIn } from '../../memcached/servers.ts';
import type { WorkerStatus } from '../worker-status.ts';
import type { SlotProgress } from './slot-progress.ts';

/** Something that answers for certain, and is nobody's key. */
const PROBE_ITEM: string = lockName('toril:health');
const DEADLINE_MS = 1_000;
const STUCK_MS = 600_000;

export interface HealthOptions {
  /** Milliseconds within which Redis and memcached must answer. Default 1,000. */
  readonly deadlineMs?: number;
  /**
   * Milliseconds for which all slots may be taken by the same jobs before the worker counts as stuck: longer than the
   * slowest update. Default 600,000.
   */
  readonly stuckMs?: number;
}

export interface HealthProblem {
  /** `live`: only a restart helps; `ready`: it may pass. */
  readonly concerns: 'live' | 'ready';
  /** `redis`, or the address of a memcached server; undefined: it is the worker's own. */
  readonly server: string | undefined;
  readonly code: string;
  readonly message: string;
}

export interface WorkerHealth {
  /** It can still take jobs, now or once its servers are back. */
  readonly live: boolean;
  /** Redis and at least one memcached server answer, and the list of servers is the registered one. */
  readonly ready: boolean;
  /** What is not as it should be; also a memcached server that is away while others answer, which does not count. */
  readonly problems: readonly HealthProblem[];
}

export interface HealthSite {
  readonly clock: Clock;
  readonly status: WorkerStatus;
  readonly servers: MemcachedServers;
  readonly list: Pick<RegisteredServers, 'read'>;
  readonly slots: SlotProgress;
}

type Trouble = Omit<HealthProblem, 'concerns'>;

/** Answers within `deadlineMs`, whatever the servers do. */
export async function healthOf(
  site: HealthSite,
  { deadlineMs = DEADLINE_MS, stuckMs = STUCK_MS }: HealthOptions = {},
): Promise<WorkerHealth> {
  const dead = troublesOfWorker(site, stuckMs);
  const [redis, ...memcached] = await Promise.all([
    within(site.clock, deadlineMs, redisTrouble(site), 'redis'),
    ...site.servers.all.map((server) =>
      within(site.clock, deadlineMs, memcachedTrouble(server), server.address),
    ),
  ]);
  const away = memcached.filter((trouble) => trouble !== undefined);
  const own = startingTrouble(site.status);
  const unready = [own, redis, ...away].filter((trouble) => trouble !== undefined);
  const isReady =
    own === undefined && redis === undefined && away.length < Math.max(1, memcached.length);
  return {
    live: dead.length === 0,
    ready: dead.length === 0 && isReady,
    problems: [
      ...dead.map((trouble) => ({ concerns: 'live', ...trouble }) as const),
      ...unready.map((trouble) => ({ concerns: 'ready', ...trouble }) as const),
    ],
  };
}

/** What only a restart cures. */
function troublesOfWorker({ status, slots }: HealthSite, stuckMs: number): Trouble[] {
  const { state, cause } = status;
  if (state === 'stopped' && cause !== undefined)
    return [{ server: undefined, code: cause.code, message: `it has given up: ${cause.message}` }];
  if (state === 'closed')
    return [{ server: undefined, code: 'CLOSED', message: 'the worker was closed.' }];
  const takenMs = slots.takenMs();
  if (takenMs <= stuckMs) return [];
  const message = `all of its ${slots.count()} slots have been taken by the same jobs for ${Math.round(takenMs / 1_000)} s: their updates do not settle. Give them a timeoutMs.`;
  return [{ server: undefined, code: 'UPDATE_TIMED_OUT', message }];
}

function startingTrouble({ state }: WorkerStatus): Trouble | undefined {
  if (state === 'closing')
    return { server: undefined, code: 'CLOSED', message: 'the worker is closing.' };
  return undefined;
}

/** One question for both: whether Redis answers, and whether the list is the registered one. */
async function redisTrouble({ list, servers }: HealthSite): Promise<Trouble | undefined> {
  const registered = await list.read();
  if (registered === servers.fingerprint) return undefined;
  const message =
    registered === undefined
      ? 'no list of memcached servers is registered for the queue yet.'
      : `the queue uses the memcached servers ${serversIn(registered)}, and this worker has ${serversIn(servers.fingerprint)}.`;
  return { server: 'redis', code: 'SERVER_LIST_CHANGED', message };
}

/** Asks: a connection to a server that is frozen looks like any other. */
async function memcachedTrouble(server: MemcachedServer): Promise<Trouble | undefined> {
  const connection = server.current ?? (await server.connection());
  const outcome = await connection.get(PROBE_ITEM);
  if (outcome.kind === 'done' || outcome.kind === 'refused') {
    if (outcome.kind === 'refused' && outcome.reason === 'not-sent')
      return trouble(server.address, 'MEMCACHED_CLOSED', 'the connection has just ended.');
    return undefined;
  }
  return trouble(server.address, outcome.cause.code, outcome.cause.message);
}

async function within(
  clock: Clock,
  deadlineMs: number,
  looking: Promise<Trouble | undefined>,
  server: string,
): Promise<Trouble | undefined> {
  const told = looking.catch((thrown: unknown) =>
    trouble(server, thrown instanceof TorilError ? thrown.code : codeOf(server), messageOf(thrown)),
  );
  if (await settlesWithin(clock, deadlineMs, told)) return told;
  return trouble(server, silentCode(server), `no answer within ${deadlineMs} ms.`);
}

function trouble(server: string, code: string, message: string): Trouble {
  return { server, code, message };
}

const codeOf = (server: string): string => (server === 'redis' ? 'REDIS_FAILED' : 'INTERNAL');
const silentCode = (server: string): string =>
  server === 'redis' ? 'REDIS_FAILED' : 'MEMCACHED_TIMED_OUT';
