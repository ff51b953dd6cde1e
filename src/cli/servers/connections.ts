/** Opening the queue for a command that does one thing and ends: what fails, fails at once. */
import { messageOf, TorilError } from '../../errors.ts';
import { Queue } from '../../jobs/queue.ts';
import type { AnyUpdate } from '../../updates/update.ts';
import { isTorilError } from '../terminal/failure.ts';
import { type QueueFlags, type RedisFlags, redisUrl } from '../flags/flags.ts';
import { redisAdvice } from './redis-advice.ts';

const CONNECT_DEADLINE_MS = 5_000;
/** Milliseconds within which Redis must answer a request: nobody sees a command that just hangs. */
const ANSWER_DEADLINE_MS = 10_000;
/** Milliseconds; a connection that is out of order may not keep the command from ending. */
const CLOSE_DEADLINE_MS = 2_000;

export interface OpenQueueOptions {
  /** With it, a job of any other name is refused. */
  readonly updates?: readonly AnyUpdate[];
  /** Entries that BullMQ keeps of the queue's events; its own default is 10,000. */
  readonly eventsMax?: number;
  /** Does not make the queue, as BullMQ does when it is opened. */
  readonly isReadOnly?: boolean;
}

/**
 * The queue, connected. It does not reconnect: requests that are under way when the connection ends
 * would be sent twice, and a job would be there twice.
 * @throws TorilError INVALID_OPTIONS, REDIS_FAILED
 */
export async function openQueue(
  flags: QueueFlags & RedisFlags,
  options: OpenQueueOptions = {},
): Promise<Queue> {
  const url = redisUrl(flags);
  const { updates, eventsMax, isReadOnly = false } = options;
  const queue = checkedQueue(flags.queue, {
    connection: {
      url,
      connectTimeout: CONNECT_DEADLINE_MS,
      commandTimeout: ANSWER_DEADLINE_MS,
      maxRetriesPerRequest: 0,
      retryStrategy: () => null,
    },
    prefix: flags.prefix,
    enqueueMs: ANSWER_DEADLINE_MS,
    skipMetasUpdate: isReadOnly,
    ...(updates && { updates }),
    ...(eventsMax !== undefined && { streams: { events: { maxLen: eventsMax } } }),
  });
  const failed = new Promise<never>((_, reject) => queue.on('error', reject));
  failed.catch(() => undefined); // what comes later is reported by the request that fails of it
  const { promise: late, cancel } = after(CONNECT_DEADLINE_MS);
  const silent = late.then(() => {
    throw new Error(`it takes connections, and does not answer within ${CONNECT_DEADLINE_MS} ms`);
  });
  try {
    await Promise.race([queue.waitUntilReady(), failed, silent]);
  } catch (cause) {
    queue.backend.abandon();
    throw unreachable(url, cause);
  } finally {
    cancel();
  }
  return queue;
}

/**
 * The same for a command that only looks, or acts on what is there: a queue that nobody has used is said to be so, and
 * is not made. @throws TorilError QUEUE_MISSING
 */
export async function openExistingQueue(flags: QueueFlags & RedisFlags): Promise<Queue> {
  const queue = await openQueue(flags, { isReadOnly: true });
  const isThere = await asking(queue.inRedis.upkeep.isUsed()).catch(async (thrown: unknown) => {
    await closeQuietly(queue);
    throw thrown;
  });
  if (isThere) return queue;
  await closeQuietly(queue);
  throw new TorilError('QUEUE_MISSING', missingText(flags));
}

export function missingText({ queue, prefix }: QueueFlags): string {
  return `Redis has no queue "${queue}" with the prefix "${prefix}". Is the name right (--queue, --prefix), and the Redis (--redis)?`;
}

/** BullMQ refuses some names with plain errors. */
function checkedQueue(name: string, options: ConstructorParameters<typeof Queue>[1]): Queue {
  try {
    return new Queue(name, options);
  } catch (cause) {
    if (isTorilError(cause)) throw cause;
    throw new TorilError('INVALID_OPTIONS', `--queue: ${messageOf(cause)}.`, { cause });
  }
}

function unreachable(url: string, cause: unknown): TorilError {
  const { hostname, port } = new URL(url);
  const code: unknown = (cause as { code?: unknown }).code;
  const why = typeof code === 'string' ? code : messageOf(cause);
  return new TorilError(
    'REDIS_FAILED',
    `no use of Redis at ${hostname}:${port === '' ? '6379' : port} (${why}). ${redisAdvice(cause)}`,
    { cause },
  );
}

/** Whatever a request to BullMQ throws that is not Toril's own error comes from Redis. */
export async function asking<T>(request: Promise<T>): Promise<T> {
  try {
    return await request;
  } catch (cause) {
    if (isTorilError(cause)) throw cause;
    throw new TorilError('REDIS_FAILED', `Redis failed a request: ${messageOf(cause)}.`, { cause });
  }
}

/** Takes a queue of a run's own out of Redis, to the last key; its workers must be stopped. Never throws. */
export async function removeQueue(queue: Queue): Promise<void> {
  try {
    await queue.obliterate({ force: true });
    // Obliterate leaves the list of servers, in case the name is used again; nobody uses this one.
    await queue.inRedis.upkeep.destroy({ toTheLastKey: true });
  } catch {
    // Redis is out of reach: what failed before says so.
  }
}

/** Never throws, never hangs: the work is done, or has failed already. */
export async function closeQuietly(
  ...open: readonly { close(): Promise<unknown> }[]
): Promise<void> {
  const closed = Promise.allSettled(open.map((one) => one.close()));
  const { promise: late, cancel } = after(CLOSE_DEADLINE_MS);
  await Promise.race([closed, late]);
  cancel();
}

function after(ms: number): { promise: Promise<void>; cancel: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const promise = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  return { promise, cancel: () => clearTimeout(timer) };
}
