/**
 * What waiting jobs take up in Redis, beside BullMQ's own, each in a Redis of its own; and what a
 * key keeps there when its jobs are gone.
 */
import { startRedis } from '../../scripts/servers.ts';
import type { Bench } from '../bench.ts';
import { Crew } from '../children/crew.ts';
import { emptyRow, type Row, verdictFields } from '../row.ts';
import { verdictOf } from '../measure.ts';
import { parseInfo } from '../server-meter.ts';
import { Stage } from '../stage.ts';
import { CEILING, type SystemName } from '../systems.ts';
import type { Plan } from '../work.ts';

const JOBS = 1_000_000;
const JOBS_QUICK = 50_000;
const JOBS_PER_KEY = 10;
const TARGET = 1.3;
/** Jobs and keys whose traces are looked for. */
const TRACE_JOBS = 1_000;
const TRACE_KEYS = 100;
/** Jobs between two lines of progress. */
const STEP = 100_000;

export async function memory(bench: Bench): Promise<Row[]> {
  const { options, progress } = bench;
  const jobs = options.jobs ?? (options.quick ? JOBS_QUICK : JOBS);
  const [system] = bench.choose(['toril']);
  if (system === undefined) return [];
  const plain = await waitingBytes(bench, CEILING, jobs);
  const ours = await waitingBytes(bench, system, jobs);
  const kept = await keptRow(bench, system);
  progress.say(
    `memory: ${perJob(plain, jobs)} bytes per waiting job in plain BullMQ, ${perJob(ours, jobs)} in Toril (${(ours / plain).toFixed(2)})`,
  );
  return [waitingRow(CEILING, jobs, plain, plain), waitingRow(system, jobs, ours, plain), kept];
}

function perJob(bytes: number, jobs: number): number {
  return Math.round(bytes / jobs);
}

function cellOf(work: string, keys: number) {
  return { family: 'memory', work, keys, concurrency: 1, processes: 1 };
}

function waitingRow(system: SystemName, jobs: number, bytes: number, plain: number): Row {
  const ratio = bytes / plain;
  return {
    ...emptyRow(cellOf('jobs waiting, 10 per key', Math.ceil(jobs / JOBS_PER_KEY)), system, jobs),
    runs: 1,
    ratio,
    ratioSpread: { min: ratio, max: ratio },
    ratioOf: 'cost',
    target: system === CEILING ? null : TARGET,
    memory: { redisBytes: bytes, bytesPerJob: perJob(bytes, jobs) },
  };
}

/** Bytes that the waiting jobs add to an empty Redis. */
async function waitingBytes(bench: Bench, system: SystemName, jobs: number): Promise<number> {
  return withOwnRedis(bench, async (stage) => {
    const keys = Math.ceil(jobs / JOBS_PER_KEY);
    const plan: Plan = { run: stage.newRun(), jobs, keys };
    const before = await usedMemory(stage);
    for (let from = 0; from < jobs; from += STEP) {
      bench.progress.now(`memory: ${system} enqueues ${from} of ${jobs} jobs`);
      await stage.fill(system, plan, { from, to: Math.min(jobs, from + STEP) });
    }
    return (await usedMemory(stage)) - before;
  });
}

async function usedMemory(stage: Stage): Promise<number> {
  return Number(parseInfo(await stage.redisInfo()).get('used_memory'));
}

/** Runs some jobs that leave nothing of themselves, and lists what is there afterwards. */
async function keptRow(bench: Bench, system: SystemName): Promise<Row> {
  const { stage } = bench;
  const plan: Plan = { run: stage.newRun(), jobs: TRACE_JOBS, keys: TRACE_KEYS };
  const crew = new Crew(stage.launcher, stage.site, system, 1);
  try {
    await stage.fill(system, plan, { settings: { removeOnComplete: true } });
    await crew.open({ run: plan.run, concurrency: 64, keys: TRACE_KEYS, documentBytes: 0 });
    crew.start();
    await crew.settled(TRACE_JOBS);
    const reports = await crew.finish();
    const names = await stage.redisKeys(`*${plan.run}*`);
    const back = await stage.read(system, plan);
    return {
      ...emptyRow(cellOf('left of a key when its jobs are gone', TRACE_KEYS), system, TRACE_JOBS),
      runs: 1,
      ...verdictFields([back && verdictOf(plan, back, reports)]),
      memory: { redisBytes: 0, bytesPerJob: 0, keptPerKey: keptPerKey(names, plan) },
    };
  } finally {
    await crew.dismiss();
    await stage.forget(system, plan);
  }
}

/** Redis keys that there are for each of our keys, by kind: `{ copy: 1 }`. */
export function keptPerKey(names: readonly string[], { run, keys }: Plan): Record<string, number> {
  const kinds: Record<string, number> = {};
  for (const name of names) {
    const kind = new RegExp(`${run}:(\\w+):${run}:\\d+$`).exec(name)?.[1];
    const job = /:\d+(:\w+)?$/.test(name) && kind === undefined ? 'job' : kind;
    if (job !== undefined) kinds[job] = (kinds[job] ?? 0) + 1;
  }
  return Object.fromEntries(Object.entries(kinds).map(([kind, count]) => [kind, count / keys]));
}

async function withOwnRedis<T>({ stage }: Bench, use: (own: Stage) => Promise<T>): Promise<T> {
  const redis = await startRedis();
  try {
    const own = await Stage.open({ ...stage.site, redis: redis.address }, stage.launcher);
    try {
      return await use(own);
    } finally {
      await own.close();
    }
  } finally {
    await redis.stop();
  }
}
