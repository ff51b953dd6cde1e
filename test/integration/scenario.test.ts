/**
 * Fourteen kinds of trouble on a live queue, caused for real. Of each, the page (HTML and JSON), `toril why` and a worker's metrics
 * say the same true thing within 2 s; what is offered cures it, or what is missing comes back; and the job that waited is
 * applied once.
 */
import { type Job, type JobsOptions, Worker as BullWorker } from 'bullmq';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { defineUpdate, type LaneAction, type Worker } from '../../src/index.ts';
import { cellName } from '../../src/memcached/item-names.ts';
import { gate } from '../support/gate.ts';
import { writeItem } from '../support/items.ts';
import { eventually } from '../support/memcached.ts';
import { metricOf, OperatorsView, type Seen, untimed } from '../support/operators-view.ts';
import { startProcess } from '../support/processes.ts';
import { type PrivateServer, startMemcached, startRedis } from '../support/servers.ts';
import { allUpdates, log, logOr } from '../support/updates.ts';
import {
  expectExact,
  type Stage,
  stage,
  type StageWorkerOptions,
  quickly,
} from '../support/workers.ts';

const WITHIN_MS = 2_000;
/** A process is known to be frozen when it has not been heard of for 5 s (`KnownWorker`). */
const FROZEN_MS = 5_000;
const GOES_ON_BY_ITSELF_MS = 4_000;

let redis: PrivateServer;
let memcached: PrivateServer;
beforeAll(async () => {
  [redis, memcached] = await Promise.all([startRedis(), startMemcached()]);
});
afterAll(async () => {
  await Promise.all([redis.stop(), memcached.stop()]);
});

/** One queue with one key, and whoever operates it. */
class Scene {
  readonly here: Stage;
  readonly key: string;
  readonly view: OperatorsView;
  /** Jobs of the key that are applied, and those that wait. */
  readonly done: Job[] = [];
  readonly waiting: Job[] = [];
  readonly #gate: ReturnType<typeof gate>;
  #count = 0;

  private constructor(here: Stage, view: OperatorsView, free: ReturnType<typeof gate>) {
    this.here = here;
    this.key = here.key('k');
    this.view = view;
    this.#gate = free;
  }

  static async open(): Promise<Scene> {
    const free = gate();
    const gated = defineUpdate({
      name: 'gated',
      key: ({ key }: { key: string }) => key,
      initial: () => 0,
      apply: async (value: number) => {
        await free.opened;
        return value + 1;
      },
    });
    const updates = [...allUpdates, gated];
    const servers = { redis: redis.address, memcached: quickly(memcached.address) };
    const here = stage({ ...servers, updates });
    const view = await OperatorsView.open(here, here.key('k'), memcached.address);
    onTestFinished(free.open);
    return new Scene(here, view, free);
  }

  /** Of which the metrics are looked at. */
  worker(options: StageWorkerOptions = {}): Promise<Worker> {
    const { observer } = this.view;
    return this.here.worker({ observer, closeMs: 50, ...options });
  }

  /** The key's next job. */
  async enqueue(
    more: { readonly failures?: number } = {},
    options: JobsOptions = {},
    update: typeof log = log,
  ): Promise<void> {
    const data = { key: this.key, n: this.#count++, ...more };
    this.waiting.push(await this.here.queue.enqueue(update, data, options));
  }

  /** So many jobs, each with a commit of its own. */
  async commits(count: number): Promise<void> {
    for (let n = 0; n < count; n++) {
      await this.enqueue();
      this.done.push(...(await this.here.finished(this.waiting.splice(0))));
    }
  }

  /** Another key's update has a worker slot until `free`. */
  async occupySlot(): Promise<void> {
    await this.here.queue.add('gated', { key: this.here.key('other') });
    await eventually('it is active', async () => (await this.here.queue.getActiveCount()) === 1);
  }

  free(): void {
    this.#gate.open();
  }
}

type Cured = (scene: Scene) => Promise<unknown>;

interface Trouble {
  readonly what: string;
  /** Causes it, with a job of the key that waits. Returns what brings back what was taken away; undefined: it goes on by itself. */
  readonly cause: (scene: Scene) => Promise<Cured | undefined | void>;
  readonly sentence: RegExp;
  readonly code: string;
  /** What the worker's metrics say of it, if not that a key is in a state of this code. */
  readonly metric?: (metrics: string) => boolean;
  /** What the page offers, and cures it. */
  readonly action?: LaneAction;
  readonly withinMs?: number;
}

const oldest = (metrics: string, state: string): boolean =>
  metricOf(metrics, 'toril_queue_keys_oldest', { toril_lane_state: state }) === 1;
const stopped = (code: string) => (metrics: string) =>
  metricOf(metrics, 'toril_keys_stopped', { error_type: code }) === 1;

const TROUBLES: readonly Trouble[] = [
  {
    what: 'its first job has failed for good',
    async cause(scene) {
      await scene.worker();
      await scene.enqueue({ failures: 1 }, {}, logOr.hold);
    },
    ...{ code: 'held', sentence: /^held by job 1, which failed for good.*: attempt 1 of job 0$/ },
    metric: (metrics) =>
      oldest(metrics, 'held') && metricOf(metrics, 'toril_queue_keys_held') === 1,
    action: 'retry',
  },
  {
    what: 'the worker that has its lease is frozen',
    async cause(scene) {
      const fault = { at: 'folded', nth: 1, signal: 'SIGSTOP' } as const;
      const frozen = await startProcess(scene.here, { fault, leaseMs: 10_000 });
      await scene.enqueue();
      await frozen.said('fault');
      await scene.worker();
    },
    ...{
      code: 'lease',
      sentence: /^waits for the lease of worker [\w-]+, silent since .*, takeover in /,
    },
    withinMs: FROZEN_MS + WITHIN_MS,
  },
  {
    what: 'its memcached is away',
    async cause(scene) {
      await scene.worker();
      await scene.commits(1);
      await memcached.kill();
      await scene.enqueue();
      return () => memcached.start();
    },
    code: 'memcached',
    sentence: /^memcached 127\.0\.0\.1:\d+ cannot be used \(MEMCACHED_UNREACHABLE\): /,
    metric: (metrics) =>
      metricOf(metrics, 'toril_server_available', { server_address: memcached.address }) === 0 &&
      metricOf(metrics, 'toril_server_available', { server_address: 'redis' }) === 1,
  },
  {
    what: 'no worker knows its update',
    async cause(scene) {
      await scene.worker({ updates: [logOr.hold] });
      await scene.enqueue();
      return () => scene.here.worker();
    },
    code: 'unknown-update',
    sentence: /^its update log is known to no living worker \(job 1; 1 asked\)$/,
  },
  {
    what: 'it waits for a backoff',
    async cause(scene) {
      await scene.worker();
      await scene.enqueue({ failures: 1 }, { attempts: 2, backoff: GOES_ON_BY_ITSELF_MS });
    },
    code: 'backoff',
    sentence: /^waits for the backoff of job 1, due in .*; attempt 1 failed: attempt 1 of job 0$/,
  },
  {
    what: 'the queue is paused',
    async cause(scene) {
      await scene.worker();
      await scene.here.queue.pause();
      await scene.enqueue();
    },
    ...{ code: 'paused', sentence: /^paused$/, action: 'resume' },
  },
  {
    what: 'the rate is limited',
    async cause(scene) {
      await scene.here.queue.setGlobalRateLimit(1, GOES_ON_BY_ITSELF_MS);
      await scene.worker();
      await scene.commits(1);
      await scene.enqueue();
    },
    ...{ code: 'rate-limited', sentence: /^limited: the queue's rate limit is reached, for / },
  },
  {
    what: 'as many jobs are active as may be',
    async cause(scene) {
      await scene.here.queue.setGlobalConcurrency(1);
      await scene.worker({ concurrency: 2 });
      await scene.occupySlot();
      await scene.enqueue();
      return () => scene.here.queue.setGlobalConcurrency(2);
    },
    code: 'concurrency-limited',
    sentence: /^limited: as many jobs are active as the queue allows \(1\)$/,
  },
  {
    what: 'all worker slots are taken',
    async cause(scene) {
      await scene.worker({ concurrency: 1 });
      await scene.occupySlot();
      await scene.enqueue();
      return () => scene.here.worker();
    },
    ...{ code: 'queued', sentence: /^waits for a free worker slot, 0 jobs before it: job 2$/ },
    metric: (metrics) => oldest(metrics, 'queued') && oldest(metrics, 'working'),
  },
  {
    what: 'Redis is full',
    async cause(scene) {
      await scene.worker({ concurrency: 1 });
      await scene.occupySlot();
      await scene.enqueue();
      await scene.here.redis.config('SET', 'maxmemory', '1');
      scene.free();
      return () => scene.here.redis.config('SET', 'maxmemory', '0');
    },
    ...{ code: 'redis', sentence: /^Redis cannot be used \(REDIS_FAILED\): OOM / },
    metric: (metrics) =>
      (metricOf(metrics, 'toril_queue_keys_oldest', { toril_lane_state: 'redis' }) ?? 0) >= 1,
  },
  {
    what: 'no worker works',
    async cause(scene) {
      const worker = await scene.worker({ autorun: false });
      await scene.enqueue();
      return async () => void worker.run();
    },
    ...{ code: 'no-workers', sentence: /^no worker of the queue lives$/ },
  },
  {
    what: 'a plain worker has completed its job',
    async cause(scene) {
      const worker = await scene.worker({ autorun: false });
      const plain = new BullWorker(scene.here.name, async () => 1, {
        connection: { url: scene.here.redisUrl },
      });
      await scene.enqueue();
      await scene.here.finished(scene.waiting);
      await plain.close();
      return async () => {
        await (await scene.here.queue.getJob('1'))?.retry('completed');
        void worker.run();
      };
    },
    ...{
      code: 'not-applied',
      sentence: /^its first job 1 was completed by somebody who is no worker/,
    },
  },
  {
    what: 'somebody wrote over its cell',
    async cause(scene) {
      await scene.worker();
      await scene.commits(1);
      await writeItem(cellName(scene.key), 'not ours', 0, memcached.address);
      await scene.enqueue();
    },
    ...{ code: 'cell', sentence: /^the cell cannot be used \(FOREIGN_VALUE\): / },
    ...{ metric: stopped('FOREIGN_VALUE'), action: 'trust-copy' },
  },
  {
    what: 'Redis has gone back',
    async cause(scene) {
      await scene.worker();
      await scene.commits(1);
      await scene.here.redis.save();
      await scene.commits(2);
      await redis.kill();
      await redis.start();
      await scene.enqueue();
    },
    ...{ code: 'cell', sentence: /^the cell cannot be used \(REDIS_WENT_BACK\): / },
    ...{ metric: stopped('REDIS_WENT_BACK'), action: 'trust-cell' },
  },
];

/** Whether all ways say this; else what they say. */
function agreed({ cli, json, page, metrics }: Seen, trouble: Trouble): true | object {
  const { code, sentence, metric = (text: string) => oldest(text, code) } = trouble;
  const same = untimed(cli.sentence);
  const isSaid = sentence.test(cli.sentence) && cli.code === code && json.code === code;
  const isSame = untimed(json.sentence) === same && untimed(page).endsWith(same);
  const { action } = trouble;
  const isOffered = action === undefined || json.actions.includes(action);
  if (isSaid && isSame && isOffered && metric(metrics)) return true;
  const told = metrics.split('\n').filter((line) => /^toril_(queue|keys|server)/.test(line));
  return { cli, json: json.sentence, page, told };
}

describe('of a key that does not move since', () => {
  test.each(TROUBLES)('$what', async (trouble) => {
    const scene = await Scene.open();
    const { view, key, here } = scene;
    const cure = await trouble.cause(scene);

    // A look that was begun in time counts, however long the answers take.
    const untilMs = performance.now() + (trouble.withinMs ?? WITHIN_MS);
    let found: true | object = {};
    do found = agreed(await view.look(key), trouble);
    while (found !== true && performance.now() < untilMs);
    expect(found).toBe(true);

    if (trouble.action !== undefined) await view.act(trouble.action);
    else await cure?.(scene);
    const all = [...scene.done, ...(await here.finished(scene.waiting))];
    scene.free();
    expect(await expectExact(here, key, all)).toEqual(all.map((_, n) => n));

    await eventually('nothing is said of it any more', async () => {
      const { cli, json, page, metrics } = await view.look(key);
      const isGone = [cli.code, json.code].every((code) => code === 'empty');
      const isStopped = metrics.includes('toril_keys_stopped{');
      const away = metrics
        .split('\n')
        .filter((line) => /^toril_server_available\{.* 0$/.test(line));
      return isGone && page.endsWith('nothing waits') && !isStopped && away.length === 0;
    });
  });
});
