/** Shares many seeds among processes. */
import { fork } from 'node:child_process';
import { bundleShard } from './bundle.ts';
import type { Summary } from './report.ts';

export interface ShardsOptions {
  readonly from: number;
  readonly count: number;
  readonly canary: string | undefined;
  readonly processes: number;
  readonly transactions?: boolean;
  /** Each process ends with its first failing seed; the first of all is among them. */
  readonly untilFailure: boolean;
}

/** What a shard is asked for: every `stride`-th seed. */
export interface ShardTask {
  readonly first: number;
  readonly end: number;
  readonly stride: number;
  readonly canary?: string | undefined;
  readonly transactions?: boolean;
  readonly untilFailure?: boolean;
}

export interface ShardResult {
  readonly runs: number;
  readonly failed: readonly number[];
  readonly events: number;
  readonly hash: number;
  readonly counts: Readonly<Record<string, number>>;
}

export async function runShards(options: ShardsOptions): Promise<Summary> {
  const { from, count, canary, processes, untilFailure, transactions = false } = options;
  const startMs = performance.now();
  const tasks = Array.from(
    { length: processes },
    (_, index): ShardTask => ({
      first: from + index,
      end: from + count,
      stride: processes,
      canary,
      transactions,
      untilFailure,
    }),
  );
  const results = await runAll(tasks);
  const counts: Record<string, number> = {};
  for (const result of results) {
    for (const [name, times] of Object.entries(result.counts))
      counts[name] = (counts[name] ?? 0) + times;
  }
  return {
    from,
    count: results.reduce((sum, { runs }) => sum + runs, 0),
    failed: results.flatMap(({ failed }) => failed).toSorted((a, b) => a - b),
    seconds: (performance.now() - startMs) / 1000,
    events: results.reduce((sum, { events }) => sum + events, 0),
    hash: results.reduce((mixed, { hash }) => (mixed ^ hash) >>> 0, 0),
    counts,
  };
}

async function runAll(tasks: readonly ShardTask[]): Promise<ShardResult[]> {
  const bundle = await bundleShard();
  try {
    return await Promise.all(tasks.map((task) => runShard(bundle.path, task)));
  } finally {
    bundle.remove();
  }
}

function runShard(path: string, task: ShardTask): Promise<ShardResult> {
  return new Promise((resolve, reject) => {
    const child = fork(path, [JSON.stringify(task)], { execArgv: [] });
    let result: ShardResult | undefined;
    child.on('message', (message) => {
      result = message as ShardResult;
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (result !== undefined) resolve(result);
      else reject(new Error(`a shard of the simulation ended with ${signal ?? code}`));
    });
  });
}
