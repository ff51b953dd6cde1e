/**
 * Makes the recordings of the examples anew: real servers, two worker processes, and `toril record`.
 *
 *   node scripts/run.mjs --servers -- node --import tsx examples/record.ts [NAME...]
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Queue } from 'toril';

const NAMES = ['ledger', 'shared-document', 'seat-map'];
const MAIN = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));
const POLL_MS = 100;

function toril(args: readonly string[], stdin: 'ignore' | ChildProcess['stdout']): ChildProcess {
  const command = ['--import', 'tsx', MAIN, ...args];
  return spawn(process.execPath, command, { stdio: [stdin ?? 'ignore', 'ignore', 'inherit'] });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  // A worker that was not needed may not even have begun to listen for the signal.
  if (child.exitCode !== 0 && child.signalCode !== 'SIGTERM') {
    throw new Error(`it ended with ${child.exitCode ?? child.signalCode}`);
  }
}

async function makeRecording(name: string): Promise<void> {
  const file = (path: string): string => fileURLToPath(new URL(`${name}/${path}`, import.meta.url));
  const queueName = `example-${name}`;
  const updates = ['--queue', queueName, '--updates', file('updates.ts')];
  const traffic = spawn(process.execPath, ['--import', 'tsx', file('traffic.ts')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await ended(toril(['enqueue', '-', ...updates], traffic.stdout));

  const queue = new Queue(queueName, { connection: { url: process.env['TORIL_REDIS'] as string } });
  const workers = [1, 2].map(() =>
    toril(
      ['worker', ...updates, '--history', '--concurrency', '2', '--batch-jobs-max', '4'],
      'ignore',
    ),
  );
  while ((await queue.getJobCountByTypes('wait', 'active', 'delayed')) > 0) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  for (const worker of workers) worker.kill('SIGTERM');
  await Promise.all(workers.map(ended));
  await ended(toril(['record', '--queue', queueName, '--out', file('recording.jsonl')], 'ignore'));
  await queue.obliterate({ force: true });
  await queue.close();
}

const chosen = process.argv.slice(2);
for (const name of chosen.length > 0 ? chosen : NAMES) await makeRecording(name);
