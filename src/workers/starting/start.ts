/**
 * How a worker begins. It waits for servers that are away, silent or frozen, as it does later on: it may
 * begin once the list of memcached servers is known to be the queue's and one of them answers; the keys of
 * the others stand until they do. A fault that waiting cannot cure ends the attempt.
 */
import { type Clock, pause, settlesWithin } from '../../base/clock.ts';
import { messageOf, redisFailed, TorilError } from '../../errors.ts';
import type { LaneUpkeep } from '../../jobs/redis/lane-upkeep.ts';
import type { RegisteredServers } from '../../jobs/redis/registered-servers.ts';
import { mayComeLater } from '../../memcached/server.ts';
import { type MemcachedServers, serversIn } from '../../memcached/servers.ts';
import type { EventReporter } from '../worker-events.ts';
import { MemcachedWatch, ServerState, type ServerStatus } from './server-state.ts';

/** Milliseconds for which Redis may take its time before that is told. */
const REDIS_SILENCE_MS = 1_000;
/** Milliseconds between two questions to a Redis that cannot answer now. */
const ASK_AGAIN_MS = 200;
/**
 * Milliseconds for which the other servers' first word is waited for, once one answers: whether one of them
 * is set up wrongly is then known at the start, and does not depend on who answers first.
 */
const FIRST_WORD_MS = 200;

export interface StartOptions {
  readonly clock: Clock;
  /** The queue's name, for messages. */
  readonly queue: string;
  readonly servers: MemcachedServers;
  /** Of the queue's memcached servers. */
  readonly list: Pick<RegisteredServers, 'register'>;
  readonly upkeep: Pick<LaneUpkeep, 'forbidden'>;
  readonly report: EventReporter;
  /** An attempt has failed, or a server later reports a fault that waiting cannot cure. */
  readonly failed: (cause: TorilError) => void;
}

export class Start {
  readonly #redis: ServerState;
  readonly #options: StartOptions;
  readonly #memcached: readonly MemcachedWatch[];
  readonly #closing = new AbortController();
  #redisTrouble: Error | undefined;
  #attempt: Promise<void>;
  #outcome: 'none yet' | 'ready' | TorilError = 'none yet';

  /** Begins with the first attempt. */
  constructor(options: StartOptions) {
    const { servers, clock, report } = options;
    this.#options = options;
    this.#redis = new ServerState('redis', report);
    this.#memcached = servers.all.map(
      (server) => new MemcachedWatch(server, clock, report, (cause) => this.#refused(cause)),
    );
    this.#attempt = this.#try();
  }

  /** What has become of the last attempt. */
  get outcome(): 'none yet' | 'ready' | TorilError {
    return this.#outcome;
  }

  /** Redis first. */
  get servers(): ServerStatus[] {
    return [this.#redis.status, ...this.#memcached.map(({ status }) => status)];
  }

  /** The last attempt. @throws TorilError SERVER_LIST_CHANGED, MEMCACHED_PROTOCOL, MEMCACHED_AUTH, MEMCACHED_CAS_DISABLED, CLOSED */
  get ready(): Promise<void> {
    return this.#attempt;
  }

  /** The same, or a new one if that has failed. */
  again(): Promise<void> {
    if (this.#outcome instanceof TorilError) this.#attempt = this.#try();
    return this.#attempt;
  }

  close(): void {
    this.#closing.abort();
  }

  /** What its client says of a connection that ends, or cannot be made, comes before it does. */
  redisSays(trouble: Error): void {
    this.#redisTrouble = trouble;
  }

  /** A connection to it has ended, or could not be made. */
  redisIsGone(): void {
    if (!this.#closing.signal.aborted) this.#redis.isUnavailable(notConnected(this.#redisTrouble));
  }

  /** A connection is there; at the start, it has yet to answer. */
  redisIsBack(): void {
    this.#redisTrouble = undefined;
    if (this.#outcome === 'ready') this.#redis.isAvailable();
  }

  #try(): Promise<void> {
    this.#outcome = 'none yet';
    const attempt = this.#carryOut();
    attempt.then(
      () => (this.#outcome = 'ready'),
      (cause: TorilError) => {
        this.#outcome = cause;
        if (!this.#closing.signal.aborted) this.#options.failed(cause);
      },
    );
    return attempt;
  }

  async #carryOut(): Promise<void> {
    const over = new AbortController();
    try {
      const { signal } = this.#closing;
      const ready = Promise.all([
        listIsRegistered(this.#options, this.#redis, signal),
        serversAnswer(this.#options.clock, this.#memcached, over.signal),
      ]);
      await Promise.race([ready, whenAborted(signal, over.signal)]);
    } finally {
      over.abort();
    }
  }

  /** It answers for the first time while others are worked on already, or was restarted otherwise. */
  #refused(cause: TorilError): void {
    if (this.#outcome === 'ready' && !this.#closing.signal.aborted) this.#options.failed(cause);
  }
}

async function listIsRegistered(
  { clock, servers, queue, list, upkeep }: StartOptions,
  redis: ServerState,
  closing: AbortSignal,
): Promise<void> {
  const { fingerprint } = servers;
  while (!closing.aborted) {
    const asking = allowed(upkeep).then(() => list.register(fingerprint));
    if (!(await settlesWithin(clock, REDIS_SILENCE_MS, asking, closing)) && !closing.aborted)
      redis.isUnavailable(noAnswer());
    let registered: string;
    try {
      registered = await asking;
    } catch (thrown) {
      if (closing.aborted) return;
      redis.isUnavailable(redisFailed(thrown));
      await pause(clock, ASK_AGAIN_MS, closing);
      continue;
    }
    redis.isAvailable();
    if (registered !== fingerprint) throw listChanged(queue, registered, fingerprint);
    return;
  }
}

/** One of them at least; all that have said something by then can be used, or may be later. */
async function serversAnswer(
  clock: Clock,
  memcached: readonly MemcachedWatch[],
  over: AbortSignal,
): Promise<void> {
  const answers = memcached.map((watch) => answer(watch, over));
  for (const one of answers) one.catch(() => undefined); // each may be the second to fail
  await Promise.race(answers);
  const firstWords = memcached.map((watch) => watch.nextWord());
  await settlesWithin(clock, FIRST_WORD_MS, Promise.all(firstWords));
  for (const { status } of memcached) {
    const { cause } = status;
    if (cause !== undefined && !mayComeLater(cause)) throw cause;
  }
}

/** Resolves when it can be used. */
async function answer(watch: MemcachedWatch, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    const word = await watch.nextWord();
    if (word === undefined) return;
    if (!mayComeLater(word)) throw word;
  }
}

function whenAborted(signal: AbortSignal, over: AbortSignal): Promise<never> {
  const aborted = new Promise<never>((_, reject) => {
    const abort = (): void => reject(new TorilError('CLOSED', 'the worker was closed.'));
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true, signal: over });
  });
  aborted.catch(() => undefined);
  return aborted;
}

function notConnected(trouble: Error | undefined): TorilError {
  const why = trouble === undefined ? '' : ` (${messageOf(trouble)})`;
  return new TorilError(
    'REDIS_FAILED',
    `there is no connection to Redis${why}; the worker waits for one. Check that Redis runs, and that the option "connection" names it.`,
    { cause: trouble },
  );
}

/** Before anything is taken: a script that is stopped half-way has done a part. */
async function allowed(upkeep: StartOptions['upkeep']): Promise<void> {
  const forbidden = await upkeep.forbidden();
  if (forbidden.length === 0) return;
  throw new TorilError(
    'REDIS_FAILED',
    `the access list of Redis forbids this worker's user ${forbidden.join(', ')} at the queue's keys; the worker waits until it may. docs/guide/security.md has the rules to set.`,
  );
}

function noAnswer(): TorilError {
  return new TorilError('REDIS_FAILED', 'Redis does not answer; the worker waits for it.');
}

function listChanged(queue: string, registered: string, given: string): TorilError {
  return new TorilError(
    'SERVER_LIST_CHANGED',
    `the queue "${queue}" uses the memcached servers ${serversIn(registered)}, but this worker was given ${serversIn(given)}. Two lists would keep two locks for one key, and one server spelled in two ways is two lists. Spell it as above; or, to change the list, stop all workers, then run "toril servers --accept" with the new one; values move by way of their copies.`,
  );
}
