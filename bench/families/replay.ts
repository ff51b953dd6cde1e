/**
 * How fast a recording is replayed, and in how much memory: a trivial update, one job per commit.
 * Each run has a process of its own, so that its memory is its own.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bench } from '../bench.ts';
import type { Replayed, RecordingOrder, WriteOrder } from '../children/replay-process.ts';
import type { Sample } from '../measure.ts';
import { type Row, rowOf } from '../row.ts';

const COMMITS = [100_000, 1_000_000];
const COMMITS_QUICK = [100_000];
const KEYS = 1_000;
const WANTED_PER_SECOND = 200_000;
/** With fewer commits, a large part of the time goes into compiling the code. */
const WANTED_COMMITS = 1_000_000;
const NO_SERVERS = {
  ...{ redisCpuSeconds: 0, redisCommands: 0, redisBytes: 0 },
  ...{ memcachedCpuSeconds: 0, memcachedCommands: 0, memcachedBytes: 0 },
};

export async function replay(bench: Bench): Promise<Row[]> {
  const { options, progress } = bench;
  const [system] = bench.choose(['toril']);
  if (system === undefined) return [];
  const folder = mkdtempSync(join(tmpdir(), 'toril-bench-'));
  try {
    const rows: Row[] = [];
    for (const commits of options.quick ? COMMITS_QUICK : COMMITS) {
      const samples = await replayAll(bench, join(folder, `${commits}.jsonl`), commits);
      const work = `${commits.toLocaleString('en')} commits`;
      const cell = { family: 'replay', work, keys: KEYS, concurrency: 1, processes: 1 };
      const wanted = samples.map((sample) => ({ ...sample, jobsPerSecond: WANTED_PER_SECOND }));
      const target = commits < WANTED_COMMITS ? undefined : 1;
      const row = rowOf(cell, system, samples, wanted, target);
      progress.say(`replay, ${work}: ${Math.round(row.jobsPerSecond ?? 0)}/s`);
      rows.push(row);
    }
    return rows;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function replayAll(bench: Bench, file: string, commits: number): Promise<Sample[]> {
  const { stage, options, progress } = bench;
  const { product } = stage.site;
  progress.now(`replay: makes a recording of ${commits} commits`);
  await inOwnProcess(bench, 'write', { product, file, commits, keys: KEYS });
  const samples: Sample[] = [];
  for (let run = 0; run < options.runs; run++) {
    progress.now(`replay, ${commits} commits: run ${run + 1} of ${options.runs}`);
    const replayed = await inOwnProcess(bench, 'replay', { product, file });
    samples.push(sampleOf(replayed as Replayed, commits));
  }
  return samples;
}

async function inOwnProcess(
  { stage }: Bench,
  method: 'write' | 'replay',
  order: WriteOrder | RecordingOrder,
): Promise<unknown> {
  const child = stage.launcher.replayer();
  try {
    return await child.call(method, order);
  } finally {
    await child.end();
  }
}

function sampleOf(replayed: Replayed, expected: number): Sample {
  const { ms, cpuSeconds, peakRssBytes, commits, agrees } = replayed;
  const isRight = agrees && commits === expected;
  return {
    jobs: commits,
    jobsPerSecond: (commits * 1000) / ms,
    verdict: undefined,
    effort: { jobs: commits, workerCpuSeconds: cpuSeconds, peakRssBytes, servers: NO_SERVERS },
    trouble: isRight ? undefined : 'the recording did not replay to the same values',
  };
}
