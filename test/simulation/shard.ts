/** One process of many (shards.ts): runs its seeds and sends what came out. */
import { CANARIES } from './canaries.ts';
import { runSimulation } from './simulate.ts';
import type { ShardResult, ShardTask } from './shards.ts';

process.on('disconnect', () => process.exit()); // nobody waits for the result any more
const task = JSON.parse(process.argv[2] as string) as ShardTask;
const damage = CANARIES[task.canary ?? ''] ?? {};
const failed: number[] = [];
const counts: Record<string, number> = {};
let runs = 0;
let events = 0;
let hash = 0;
for (let seed = task.first; seed < task.end; seed += task.stride) {
  const report = await runSimulation({ seed, damage, transactions: task.transactions === true });
  runs += 1;
  if (report.violations.length > 0) failed.push(seed);
  events += report.events;
  hash = (hash ^ Number.parseInt(report.hash, 16)) >>> 0;
  for (const [name, times] of Object.entries(report.counts)) {
    counts[name] = (counts[name] ?? 0) + times;
  }
  if (task.untilFailure === true && failed.length > 0) break;
}
const result: ShardResult = { runs, failed, events, hash, counts };
if (process.send === undefined) console.log(JSON.stringify(result));
else process.send(result, () => process.disconnect());
