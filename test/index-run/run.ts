/**
 * Jobs over many keys, some of which end up held, with worker processes that are killed again and again; meanwhile, and in
 * the end, the index of lanes is held against a full scan.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { Queue } from '../../src/index.ts';
import { WorkerFleet } from '../support/worker-fleet.ts';
import type { ProcessOrders } from '../support/worker-process.ts';
import { allUpdates, log, logOr } from '../support/updates.ts';
import { scan, type Scan } from './scan.ts';

const WORKER = fileURLToPath(new URL('../support/worker-process.ts', import.meta.url));
const BULK = 500;
/** Of so many keys, one is held by its second job. */
const HELD_EVERY = 100;
const POLL_MS = 10;
const TRIES_MAX = 200;

export interface IndexRun {
  readonly redis: string;
  readonly memcached: readonly string[];
  readonly jobs: number;
  readonly keys: number;
  readonly workers: number;
  readonly kills: number;
  /** Milliseconds between two looks. */
  readonly lookEveryMs: number;
  readonly deadlineMs: number;
  readonly say: (line: string) => void;
}

export interface IndexRunEnd {
  readonly looks: number;
  readonly kills: number;
  readonly keysMost: number;
  readonly heldMost: number;
}

/** @throws Error that says what the index said wrongly */
export async function indexRun(run: IndexRun): Promise<IndexRunEnd> {
  const running = new Running(run);
  try {
    return await running.toTheEnd();
  } finally {
    await running.close();
  }
}

class Running {
  readonly #run: IndexRun;
  readonly #name = `index-${process.pid}-${Date.now()}`;
  readonly #redis: Redis;
  readonly #queue: Queue;
  readonly #workers: WorkerFleet;
  readonly #untilMs: number;
  #end: IndexRunEnd = { looks: 0, kills: 0, keysMost: 0, heldMost: 0 };

  constructor(run: IndexRun) {
    this.#run = run;
    this.#redis = new Redis(run.redis);
    this.#queue = new Queue(this.#name, { connection: { url: run.redis }, updates: allUpdates });
    this.#workers = new WorkerFleet(WORKER, this.#orders());
    this.#untilMs = performance.now() + run.deadlineMs;
  }

  async toTheEnd(): Promise<IndexRunEnd> {
    const { workers, kills, say } = this.#run;
    await this.#workers.start(workers);
    const producing = this.#produce();
    const killing = this.#kill(kills);
    const noneRuns = async (): Promise<boolean> => (await this.#queue.laneCounts()).runnable === 0;
    await this.#looksUntil(noneRuns, Promise.all([producing, killing]));
    const { held } = await this.#look();
    say(`only held keys are left: ${held}`);
    await this.#agrees();
    await this.#dropAll();
    await this.#looksUntil(async () => (await this.#queue.laneCounts()).keys === 0);
    await this.#look();
    await this.#agrees();
    return this.#end;
  }

  async close(): Promise<void> {
    await this.#workers.end();
    await this.#queue.obliterate({ force: true });
    await this.#queue.close();
    this.#redis.disconnect();
  }

  async #produce(): Promise<void> {
    const { jobs, keys } = this.#run;
    for (let from = 0; from < jobs; from += BULK) {
      const some = Array.from({ length: Math.min(BULK, jobs - from) }, (_, n) => from + n);
      await this.#queue.enqueueBulk(
        some.map((n) => {
          const [key, round] = [n % keys, Math.floor(n / keys)];
          const fails = key % HELD_EVERY === 0 && round === 1;
          const data = { key: `${this.#name}-${key}`, n, ...(fails && { failures: 1 }) };
          return { update: fails ? logOr.hold : log, data };
        }),
      );
    }
  }

  async #kill(times: number): Promise<void> {
    const pauseMs = this.#run.lookEveryMs * 2;
    for (let n = 0; n < times; n++) {
      await sleep(pauseMs);
      await this.#workers.killOldest();
      this.#end = { ...this.#end, kills: this.#end.kills + 1 };
    }
  }

  #orders(): ProcessOrders {
    const { redis, memcached } = this.#run;
    return {
      queue: this.#name,
      options: {
        ...{ connection: { url: redis }, memcached: [...memcached], concurrency: 50 },
        ...{ lockDuration: 2_000, stalledInterval: 500, leaseMs: 1_500, blockedMs: 200 },
      },
    };
  }

  /** Looks again and again, and at the condition only once `also` is over. */
  async #looksUntil(holds: () => Promise<boolean>, also?: Promise<unknown>): Promise<void> {
    let isOver = also === undefined;
    also?.then(
      () => (isOver = true),
      () => (isOver = true),
    );
    let lookAtMs = 0;
    while (!isOver || !(await holds())) {
      if (performance.now() > this.#untilMs) throw new Error('the queue was not done in time');
      if (performance.now() >= lookAtMs) {
        await this.#look();
        lookAtMs = performance.now() + this.#run.lookEveryMs;
      }
      await sleep(POLL_MS);
    }
    await also;
  }

  async #look(): Promise<Scan> {
    const seen = await scan(this.#redis, this.#name);
    const { looks, kills, keysMost, heldMost } = this.#end;
    this.#end = {
      ...{ looks: looks + 1, kills },
      keysMost: Math.max(keysMost, seen.keys),
      heldMost: Math.max(heldMost, seen.held),
    };
    const { keys, held, listed, unfinished, wrong: inIndex } = seen;
    const lost = listed === unfinished ? [] : [`${listed} jobs are listed`];
    const wrong = [...inIndex, ...lost];
    this.#run.say(`${unfinished} jobs, ${keys} keys, ${held} held: ${wrong.join('; ') || 'right'}`);
    if (wrong.length > 0) throw new Error(`the index is wrong: ${wrong.join('; ')}`);
    return seen;
  }

  /**
   * What the queue tells is what a scan finds, once no job of a held key is on its way to be snoozed again: the two are
   * asked one after the other.
   */
  async #agrees(): Promise<void> {
    let difference: string | undefined;
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      difference = await this.#difference();
      if (difference === undefined) return;
    }
    throw new Error(difference);
  }

  async #difference(): Promise<string | undefined> {
    const seen = await scan(this.#redis, this.#name);
    const { keys, held, waiting, active, delayed, oldest } = await this.#queue.laneCounts();
    const told = { keys, held, unfinished: waiting + active + delayed, oldest: oldest?.key ?? '' };
    const { wrong: _, listed: __, ...found } = seen;
    const [text, wanted] = [
      JSON.stringify(told, sorted(told)),
      JSON.stringify(found, sorted(found)),
    ];
    return text === wanted ? undefined : `laneCounts() tells ${text}, and there are ${wanted}`;
  }

  async #dropAll(): Promise<void> {
    for (;;) {
      const { lanes } = await this.#queue.lanes({ state: 'held', limit: 500 });
      if (lanes.length === 0) return;
      for (const { key } of lanes) await this.#queue.lane(key).drop().catch(unlessOnTheWay);
    }
  }
}

/** It is decided that the job holds its lane, and BullMQ is about to be told that it has failed: it is listed again. */
function unlessOnTheWay(thrown: unknown): void {
  if ((thrown as { code?: unknown }).code !== 'LANE_NOT_HELD') throw thrown;
}

function sorted(object: object): string[] {
  return Object.keys(object).toSorted();
}
