/** A test bed is what production does: the same table of calls on real servers and on a bed, and the same comes of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Job } from 'bullmq';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type OpenCells, openCells, Queue, Worker } from '../../src/index.ts';
import { createTestBed } from '../../src/testing.ts';
import { parityRows, parityUpdates, type Row, TableError, type World } from '../support/parity.ts';
import { memcachedAddresses, redisUrl } from '../support/servers.ts';
import { QUICK, quickly } from '../support/workers.ts';

const POLL_MS = 5;
const DEADLINE_MS = 30_000;
const IS_DONE: ReadonlySet<string> = new Set(['completed', 'failed', 'unknown']);

/** What came of a row. Ids, times and keys are each world's own. */
interface Seen {
  readonly said: unknown;
  readonly values: readonly unknown[];
  readonly jobs: readonly unknown[];
  /** By job, in their order: what the worker told of it. */
  readonly told: Readonly<Record<string, readonly string[]>>;
}

class Watcher {
  readonly ids = new Set<string>();
  readonly told: Record<string, string[]> = {};
  readonly #own: (name: string) => string;

  constructor(own: (name: string) => string) {
    this.#own = own;
  }

  listen(worker: Worker): () => void {
    const onCompleted = (job: Job, result: unknown): void => this.#note(job, ['completed', result]);
    const onFailed = (job: Job | undefined, error: Error & { code?: string }): void =>
      this.#note(job as Job, ['failed', error.name, error.code, error.message]);
    worker.on('completed', onCompleted);
    worker.on('failed', onFailed);
    return () => {
      worker.off('completed', onCompleted);
      worker.off('failed', onFailed);
    };
  }

  #note(job: Job, words: readonly unknown[]): void {
    const { key, who } = job.data as { key: string; who: string };
    if (!key.startsWith(this.#own(''))) return;
    if (job.finishedOn !== undefined || words[0] === 'completed') this.ids.add(job.id as string);
    (this.told[who] ??= []).push(JSON.stringify(words).replaceAll(this.#own(''), ''));
  }
}

/** Without what names the world. */
function told(thrown: unknown, own: string): unknown {
  const { name, code, message } = thrown as Error & { code?: string };
  return { name, code, message: message.replaceAll(own, '').replace(/queue "[^"]+"/, 'queue') };
}

async function outcomeOf(
  row: Row,
  world: World,
  queue: Queue,
): Promise<Pick<Seen, 'said' | 'jobs'>> {
  const jobs: Job[] = [];
  const remember = async (some: readonly Job[]): Promise<void> => {
    jobs.push(...some);
    await world.done(some);
  };
  const said = await row
    .run({ ...world, done: remember })
    .then((answer: unknown) => (typeof answer === 'object' ? 'accepted' : answer))
    .catch((thrown: unknown) => {
      if (thrown instanceof TableError) throw thrown;
      return told(thrown, world.key(''));
    });
  const after = await Promise.all(
    jobs.map(async ({ id, data }) => {
      const { who } = data as { who: string };
      const job = await queue.getJob(id as string);
      if (job === undefined) return { who, state: 'gone' };
      const { attemptsMade, failedReason, returnvalue } = job;
      const state = await job.getState();
      return { who, state, attemptsMade, failedReason, returnvalue };
    }),
  );
  return {
    said,
    jobs: JSON.parse(JSON.stringify(after).replaceAll(world.key(''), '')) as unknown[],
  };
}

/** The bed adds to the error of an update that took too long what it was given in real time (docs/testing.md). */
function withoutHint<T>(seen: T): T {
  return JSON.parse(
    JSON.stringify(seen).replaceAll(/ On this test bed it really had .*?useFakeTimers\)\./g, ''),
  ) as T;
}

let rows = 0;

describe('a bed and real servers', () => {
  const name = `parity-${process.pid}-${Date.now()}`;
  let queue: Queue;
  let worker: Worker;
  let cells: OpenCells;

  beforeAll(async () => {
    const connection = { url: redisUrl() };
    const memcached = quickly(memcachedAddresses());
    queue = new Queue(name, { connection, updates: parityUpdates });
    const options = { connection, memcached, updates: parityUpdates, concurrency: 8, ...QUICK };
    worker = new Worker(name, options);
    cells = openCells({ memcached });
    await worker.waitUntilReady();
  });
  afterAll(async () => {
    await worker.close();
    await queue.obliterate({ force: true });
    await queue.close();
    await cells.close();
  });

  async function onServers(row: Row): Promise<Seen> {
    const own = (key = 'k'): string => `${name}-${rows}-${key}`;
    const watcher = new Watcher(own);
    const stop = watcher.listen(worker);
    const done = async (jobs: readonly Job[]): Promise<void> => {
      const until = performance.now() + DEADLINE_MS;
      for (const { id } of jobs) {
        while (!IS_DONE.has(await queue.getJobState(id as string))) {
          if (performance.now() > until) throw new Error(`job ${id} is not done`);
          await sleep(POLL_MS);
        }
      }
      // What a worker tells comes a moment after Redis knows.
      const isTold = (): boolean => jobs.every(({ id }) => watcher.ids.has(id as string));
      while (!isTold() && performance.now() < until - DEADLINE_MS + 1_000) await sleep(POLL_MS);
    };
    const outcome = await outcomeOf(row, { queue, done, key: own }, queue);
    const values = await Promise.all((row.keys ?? ['k']).map((key) => cells.get(own(key))));
    stop();
    return { ...outcome, values, told: watcher.told };
  }

  async function onBed(row: Row): Promise<Seen> {
    const own = (key = 'k'): string => `${name}-${rows}-${key}`;
    const bed = createTestBed({ updates: parityUpdates, realWaitMs: 50, workers: 1 });
    const watcher = new Watcher(own);
    watcher.listen(bed.asWorker());
    const played = bed.asQueue();
    const outcome = await outcomeOf(
      row,
      { queue: played, done: () => bed.drain(), key: own },
      played,
    );
    const values = (row.keys ?? ['k']).map((key) => bed.value(own(key)));
    return { ...outcome, values, told: watcher.told };
  }

  test.each(parityRows.map((row) => [row.name, row] as const))('%s', async (_, row) => {
    rows += 1;
    const real = await onServers(row);
    const played = await onBed(row);
    expect(withoutHint(played)).toEqual(withoutHint(real));
    expect(Object.keys(real.told).length + real.jobs.length > 0 || real.said !== undefined).toBe(
      true,
    );
  });

  test('are compared by sixty rows at least', () => {
    expect(parityRows.length).toBeGreaterThanOrEqual(60);
    expect(new Set(parityRows.map((row) => row.name)).size).toBe(parityRows.length);
  });
});
