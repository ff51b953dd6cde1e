/** Shares many seeds among processes. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Summary } from './report.ts';

export interface ShardsOptions {
  readonly from: number;
  readonly count: number;
  readonly canary: string | undefined;
  readonly processes: number;
}

/** What a shard is asked for: every `stride`-th seed. */
export interface ShardTask {
  readonly first: number;
  readonly end: number;
  readonly stride: number;
  readonly canary?: string | undefined;
}

export interface ShardResult {
  readonly failed: readonly number[];
  readonly events: number;
  readonly hash: number;
  readonly counts: Readonly<Record<string, number>>;
}

const SHARD = fileURLToPath(new URL('shard.ts', import.meta.url));

export async function runShards(options: ShardsOptions): Promise<Summary> {
  const { from, count, canary, processes } = options;
  const startMs = performance.now();
  const tasks = Array.from(
    { length: processes },
    (_, index): ShardTask => ({
      first: from + index,
      end: from + count,
      stride: processes,
      canary,
    }),
  );
  const results = await Promise.all(tasks.map(runShard));
  const counts: Record<string, number> = {};
  for (const result of results) {
    for (const [name, times] of Object.entries(result.counts))
      counts[name] = (counts[name] ?? 0) + times;
  }
  return {
    from,
    count,
    failed: results.flatMap(({ failed }) => failed).toSorted((a, b) => a - b),
    seconds: (performance.now() - startMs) / 1000,
    events: results.reduce((sum, { events }) => sum + events, 0),
    hash: results.reduce((mixed, { hash }) => (mixed ^ hash) >>> 0, 0),
    counts,
  };
}

function runShard(task: ShardTask): Promise<ShardResult> {
  return new Promise((resolve, reject) => {
    const child = fork(SHARD, [JSON.stringify(task)]);
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
