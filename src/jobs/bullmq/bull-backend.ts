/**
 * BullMQ's own Redis backend, and what Toril adds to it, layer by layer (backend/):
 *
 *   scripted    the client knows Toril's scripts; every time is Redis's
 *   scheduling  cron patterns go by Redis's clock
 *   waiting     what lies in the delayed set until its turn is shown as waiting
 *   adding      jobs enter their lanes in the step that adds them, and leave them in the one that removes them
 *   settling    what became of a delivered job is told to Redis until it takes it
 *   completing  many jobs completed and fetched at a time
 *
 * Here: what a lane asks of the jobs that wait for it, and how it all ends.
 */
import {
  type BackendFactory,
  createRedisBackend,
  isRedisInstance,
  QueueKeys,
  type QueueBaseOptions,
  type RedisQueueBackend,
} from 'bullmq';
import { systemClock } from '../../base/clock.ts';
import { Gather } from '../../base/gather.ts';
import { TorilError } from '../../errors.ts';
import { abandonClient, rawClientOf } from '../../redis/redis-client.ts';
import { OWN_MARK } from '../../redis/own-keys.ts';
import { CompletingBackend } from './backend/completing-backend.ts';
import type { Owner } from './backend/owner.ts';
import {
  type Away,
  NONE_SNOOZED,
  snoozeAhead,
  type SnoozedAhead,
  type SnoozingSite,
  scheduleSnoozed,
} from './snoozing-ahead.ts';
import { checkBullMQ, isKnownBullMQ } from './state/known-bullmq.ts';
import { DELIVER_NEXT } from './state/snoozing/promote.ts';

const LOOKS = { atMost: Number.POSITIVE_INFINITY, callsMax: 1 };

/** As they stand in the job's hash; BullMQ's name for `keepLogs`. */
interface JobOptions {
  readonly kl?: number;
}

export class TorilBackend extends CompletingBackend {
  protected override readonly owner: Owner;
  readonly #waking = new Gather<undefined, undefined>(systemClock, LOOKS, async (asked) => {
    await this.snoozed.wakePromoted();
    return asked.map(() => undefined);
  });

  constructor(owner: Owner, ...bull: ConstructorParameters<typeof RedisQueueBackend>) {
    super(...bull);
    this.owner = owner;
  }

  /** Snoozes the jobs of a lane that are next in BullMQ's wait list, before they are delivered. */
  async snoozeAhead(lane: string): Promise<SnoozedAhead> {
    if (!isKnownBullMQ()) return NONE_SNOOZED;
    return snoozeAhead(await this.#snoozingSite(), lane);
  }

  /** Says of them when they come back. */
  async scheduleSnoozed(lane: string, snoozed: SnoozedAhead, away: Away): Promise<void> {
    await scheduleSnoozed(await this.#snoozingSite(), lane, snoozed, away, systemClock);
  }

  async #snoozingSite(): Promise<SnoozingSite> {
    const client = await this.scripts();
    return { keys: this.keys, run: ({ name }, args) => client.runCommand(name, args) };
  }

  /** Has BullMQ deliver a job before all others: its lane waits for it. */
  async deliverNext(jobId: string): Promise<void> {
    if (!isKnownBullMQ()) return this.#deliverNextByBullMQ(jobId);
    await this.runScript(DELIVER_NEXT, [jobId]);
  }

  /** One with a priority loses it: BullMQ delivers nothing before those without, and these come back again and again. */
  async #deliverNextByBullMQ(jobId: string): Promise<void> {
    await this.snoozed.wakeFirst(jobId);
    if ((await this.getState(jobId)) === 'prioritized') await this.changePriority(jobId, 0, true);
  }

  /** Jobs were decided. Where no script of ours may promote those that were snoozed, BullMQ's own does: one look at a time. */
  decided(): Promise<void> {
    return this.#waking.call(undefined);
  }

  /** As `job.log`: keeps as many rows as the job's `keepLogs` says. */
  async log(jobId: string, row: string): Promise<void> {
    const client = await this.scripts();
    const options = JSON.parse(
      (await client.hget(this.toKey(jobId), 'opts')) ?? '{}',
    ) as JobOptions;
    await this.addLog(jobId, row, options.kl);
  }

  override async close(force?: boolean): Promise<void> {
    await this.owner.beforeClose?.();
    this.repeating.stop();
    await this.slots.settled();
    return super.close(force);
  }

  /** Ends the connections at once, but not a client that was given. */
  abandon(): void {
    this.abandoned.abort();
    this.repeating.stop();
    const connections = [this.blockingConnection];
    if (!isRedisInstance(this.queue.opts.connection)) connections.push(this.connection);
    for (const connection of connections) {
      const client = connection && rawClientOf(connection);
      if (client !== undefined) abandonClient(client);
    }
  }
}

/** For BullMQ's Queue and Worker: its own connections, our backend around them. @throws TorilError BULLMQ_UNSUPPORTED */
export function torilBackend(owner: Owner = {}): BackendFactory<TorilBackend> {
  return (name, opts, flags) => {
    checkBullMQ();
    const plain = createRedisBackend(name, opts as QueueBaseOptions, flags);
    // It forwards its connection's errors to itself; we listen to the same connection and report them.
    plain.on('error', () => undefined);
    const keys = new QueueKeys(checkedPrefix(opts));
    return new TorilBackend(
      owner,
      plain.connection,
      name,
      keys.getKeys(name),
      (type) => keys.toKey(name, type),
      opts as QueueBaseOptions,
      plain.blockingConnection,
    );
  };
}

function checkedPrefix(opts: object): string | undefined {
  const { prefix } = opts as { prefix?: string };
  if (prefix?.startsWith(OWN_MARK) !== true) return prefix;
  throw new TorilError(
    'INVALID_OPTIONS',
    `the prefix "${prefix}" begins with "${OWN_MARK}", as the names of Toril's own keys in Redis do. Choose another one.`,
  );
}
