/** Shares searches among processes: each takes the next one when it has finished the one before. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Report, Task } from './explore.ts';

const SHARD = fileURLToPath(new URL('shard.ts', import.meta.url));

/** In no particular order; ends early when one has broken a promise. */
export async function exploreAll(
  tasks: readonly (() => Task)[],
  processes: number,
  told: (report: Report) => void,
): Promise<void> {
  const waiting = [...tasks];
  let failed = false;
  const work = async (): Promise<void> => {
    for (let task = waiting.shift(); task !== undefined && !failed; task = waiting.shift()) {
      const report = await inProcess(task());
      failed ||= report.found !== undefined;
      told(report);
    }
  };
  await Promise.all(Array.from({ length: Math.min(processes, tasks.length) }, work));
}

function inProcess(task: Task): Promise<Report> {
  return new Promise((resolve, reject) => {
    const child = fork(SHARD, [JSON.stringify(task)]);
    let report: Report | undefined;
    child.on('message', (message) => {
      report = message as Report;
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (report !== undefined) resolve(report);
      else reject(new Error(`a search ended with ${signal ?? code}`));
    });
  });
}
