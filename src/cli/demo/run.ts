/**
 * The demo: worker processes at work on shared values while one of them is killed, one is frozen for
 * longer than its leases last, and memcached is restarted. Then the evidence is gathered.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { systemRandom, seededFraction } from '../../base/random.ts';
import type { Queue } from '../../jobs/queue.ts';
import { Completion } from '../fleet/completion.ts';
import { asking, closeQuietly, openQueue, removeQueue } from '../servers/connections.ts';
import { Fleet } from '../fleet/fleet.ts';
import { MEMCACHED_VARIABLE, REDIS_VARIABLE } from '../flags/flags.ts';
import { deleteCells, openMemcached } from '../servers/memcached.ts';
import type { OwnServers } from '../servers/own-servers.ts';
import { type Progress, startProgress } from '../terminal/progress.ts';
import { whenAborted } from '../terminal/signals.ts';
import { auditJobs, auditValues, type JobAudit, type ValueAudit } from './audit.ts';
import { DEMO_UPDATES_FILE, post } from './demo-updates.ts';
import { readCompletions, readJobs, readValues } from './evidence.ts';
import { makePlan, type Plan } from './plan.ts';

/** Short, so that recovering takes seconds: memcached must answer within a third of it. */
const LEASE_MS = 1_500;
const REQUEST_DEADLINE_MS = 500;
const FREEZE_MS: number = 2 * LEASE_MS;
const JOBS_PER_ADD = 500;
/** Shares of all jobs: added before a fault, done when it strikes, so that it strikes busy workers. */
const KILL = { added: 0.4, done: 0.15 };
const FREEZE = { added: 0.7, done: 0.45 };
const RESTART = { added: 0.95, done: 0.8 };
/** BullMQ announces several things of each job. */
const EVENTS_PER_JOB = 10;
/** What a worker of the demo is told besides its queue. */
const WORKER_FLAGS: readonly string[] = [
  ...['--lease-ms', String(LEASE_MS), '--request-deadline-ms', String(REQUEST_DEADLINE_MS)],
  ...['--lock-duration-ms', '2000', '--stalled-interval-ms', '1000', '--close-ms', '5000'],
];

export interface DemoOptions {
  readonly jobs: number;
  readonly keys: number;
  readonly workers: number;
  readonly seed: string;
}

export interface DemoResult extends ValueAudit, JobAudit {
  readonly seconds: number;
  readonly jobsPerSecond: number;
  readonly takeovers: number;
  readonly refusedCommits: number;
  readonly recoveredCommits: number;
  readonly restoredCells: number;
  readonly lostLeases: number;
  readonly memcachedRestarted: boolean;
  /** The jobs were waited for to the end. */
  readonly drained: boolean;
}

/** Throws the signal's reason if it aborts. Leaves nothing behind in Redis. */
export async function runDemo(
  options: DemoOptions,
  servers: OwnServers,
  signal: AbortSignal,
): Promise<DemoResult> {
  const name = `toril-demo-${systemRandom.id()}`;
  const plan = makePlan({ ...options, prefix: `${name}:` });
  const queue = await openQueue(
    { queue: name, prefix: 'bull', redis: servers.redis },
    { updates: [post], eventsMax: options.jobs * EVENTS_PER_JOB },
  );
  const memcached = openMemcached({ memcached: servers.memcached });
  const fleet = new Fleet({
    args: ['--updates', DEMO_UPDATES_FILE, '--queue', name, '--prefix', 'bull', ...WORKER_FLAGS],
    env: { [REDIS_VARIABLE]: servers.redis, [MEMCACHED_VARIABLE]: servers.memcached },
  });
  const progress = startProgress('working', options.jobs, 'jobs');
  const run = new DemoRun(options, plan, servers, queue, fleet, progress, signal);
  try {
    const { seconds, drained } = await Promise.race([
      run.run(),
      fleet.failure,
      whenAborted(signal),
    ]);
    progress.stop();
    return {
      ...auditValues(plan.jobs, await readValues(memcached, plan.keys)),
      ...auditJobs(plan.jobs, await readJobs(queue), await readCompletions(queue)),
      seconds,
      jobsPerSecond: Math.round(options.jobs / seconds),
      takeovers: fleet.count('leaseTakenOver'),
      refusedCommits: fleet.count('commitRefused') + fleet.count('acknowledgementRefused'),
      recoveredCommits: fleet.count('commitRecovered'),
      restoredCells: fleet.count('cellRestored'),
      lostLeases: fleet.count('leaseLost'),
      memcachedRestarted: servers.restartMemcached !== undefined,
      drained,
    };
  } finally {
    progress.stop();
    await fleet.stop();
    await removeQueue(queue);
    await deleteCells(memcached, plan.keys);
    await closeQuietly(queue, memcached);
  }
}

class DemoRun {
  readonly #options: DemoOptions;
  readonly #plan: Plan;
  readonly #servers: OwnServers;
  readonly #queue: Queue;
  readonly #fleet: Fleet;
  readonly #progress: Progress;
  readonly #signal: AbortSignal;
  readonly #completion: Completion;
  readonly #fraction: () => number;
  #added = 0;

  constructor(
    options: DemoOptions,
    plan: Plan,
    servers: OwnServers,
    queue: Queue,
    fleet: Fleet,
    progress: Progress,
    signal: AbortSignal,
  ) {
    this.#options = options;
    this.#plan = plan;
    this.#servers = servers;
    this.#queue = queue;
    this.#fleet = fleet;
    this.#progress = progress;
    this.#signal = signal;
    this.#completion = new Completion({ queue, progress, signal });
    this.#fraction = seededFraction(`faults of ${options.seed}`);
  }

  async run(): Promise<{ seconds: number; drained: boolean }> {
    await this.#fleet.start(this.#options.workers);
    const startedMs = performance.now();
    await this.#reach(KILL);
    await this.#killOne();
    await this.#reach(FREEZE);
    await this.#freezeOne();
    await this.#reach(RESTART);
    await this.#restartMemcached();
    await this.#add(1);
    const drained = await this.#completion.reach(this.#options.jobs);
    return { seconds: (performance.now() - startedMs) / 1000, drained };
  }

  async #reach({ added, done }: { added: number; done: number }): Promise<void> {
    await this.#add(added);
    await this.#completion.reach(this.#options.jobs * done);
  }

  /** Adds jobs up to a share of all. The last ones, one for each key, come after the last fault. */
  async #add(share: number): Promise<void> {
    const { jobs, keys } = this.#plan;
    const end = share === 1 ? jobs.length : Math.floor((jobs.length - keys.length) * share);
    while (this.#added < end) {
      const chunk = jobs.slice(this.#added, Math.min(this.#added + JOBS_PER_ADD, end));
      await asking(this.#queue.enqueueBulk(chunk.map((data) => ({ update: post, data }))));
      this.#added += chunk.length;
    }
  }

  async #killOne(): Promise<void> {
    const victim = this.#pick();
    await this.#fleet.kill(victim);
    this.#progress.say(`killed worker ${victim.pid} (SIGKILL); starting another one`);
    await this.#fleet.start(1);
  }

  async #freezeOne(): Promise<void> {
    const victim = this.#pick();
    victim.freeze();
    this.#progress.say(
      `froze worker ${victim.pid} (SIGSTOP) for ${FREEZE_MS} ms; its leases last ${LEASE_MS} ms`,
    );
    await sleep(FREEZE_MS, undefined, { signal: this.#signal });
    await this.#add(RESTART.added); // others are at work on its keys when it wakes up
    victim.thaw();
    this.#progress.say(`let worker ${victim.pid} go on (SIGCONT)`);
  }

  async #restartMemcached(): Promise<void> {
    const { restartMemcached } = this.#servers;
    if (restartMemcached === undefined) return;
    await restartMemcached();
    this.#progress.say('restarted memcached: all cells are gone');
  }

  #pick(): ReturnType<Fleet['pick']> {
    return this.#fleet.pick(this.#fraction());
  }
}
