/** docs/half-hour.md: its files and commands, in a project with Toril installed, print what the page says. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Queue } from '../../src/index.ts';
import { eventually } from '../support/memcached.ts';
import { isAsShown, stepsOf } from '../support/pages.ts';
import { type PrivateServer, startMemcached, startRedis } from '../support/servers.ts';
import { UserProject } from '../support/user-project.ts';

const PAGE = readFileSync(new URL('../../docs/half-hour.md', import.meta.url), 'utf8');
const PAGE_MS = 300_000;
const QUEUE = 'bank';

let project: UserProject;
let servers: PrivateServer[];
let worker: ChildProcess | undefined;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  project = new UserProject();
  const [redis, memcached] = await Promise.all([startRedis(), startMemcached()]);
  servers = [redis, memcached];
  mkdirSync(project.at('node_modules/.bin'), { recursive: true });
  const main = project.at('node_modules/toril/dist/cli/main.js');
  const toril = project.at('node_modules/.bin/toril');
  writeFileSync(toril, `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`);
  chmodSync(toril, 0o755);
  env = {
    ...project.env,
    PATH: [project.at('node_modules/.bin'), join(process.execPath, '..'), process.env['PATH']].join(
      ':',
    ),
    TORIL_REDIS: `redis://127.0.0.1:${redis.port}`,
    TORIL_MEMCACHED: `127.0.0.1:${memcached.port}`,
  };
});

afterAll(async () => {
  if (worker !== undefined && worker.exitCode === null) {
    const isOver = once(worker, 'exit');
    worker.kill('SIGTERM');
    await isOver;
  }
  await Promise.all(servers.map((server) => server.stop()));
  project.remove();
});

/** What a shell prints of it, both streams. */
async function run(line: string): Promise<string[]> {
  const child = spawn('/bin/sh', ['-c', `exec 2>&1; ${line}`], { cwd: project.folder, env });
  child.stdin.end();
  let text = '';
  child.stdout.on('data', (piece) => (text += String(piece)));
  await once(child, 'close');
  return text.split('\n').slice(0, -1);
}

async function startInBackground(line: string): Promise<void> {
  const child = spawn('/bin/sh', ['-c', `exec ${line}`], { cwd: project.folder, env });
  worker = child;
  let text = '';
  child.stdout.on('data', (piece) => (text += String(piece)));
  child.stderr.on('data', (piece) => (text += String(piece)));
  await eventually('the worker', () => text.includes('started') || child.exitCode !== null, 60_000);
  expect(text).toContain('started');
}

/** The page goes on when all is done; with you, it is done before you have typed on. */
async function settled(jobs: number): Promise<void> {
  const queue = new Queue(QUEUE, { connection: { url: env['TORIL_REDIS'] ?? '' } });
  const completed = async (): Promise<boolean> => (await queue.getCompletedCount()) === jobs;
  await eventually('the jobs', completed, 60_000);
  await queue.close();
}

test('every command prints what the page says', { timeout: PAGE_MS }, async () => {
  const steps = stepsOf(PAGE);
  const files = steps.filter((step) => step.kind === 'file');
  const commands = steps.filter((step) => step.kind === 'command');
  expect(files.map(({ name }) => name)).toEqual(['updates.js', 'traffic.jsonl']);
  expect(commands.length).toBeGreaterThanOrEqual(14);
  for (const { name, content } of files) project.write(name, content);
  const others: string[] = [];
  for (const { line, shown } of commands) {
    if (line.endsWith(' &')) {
      await startInBackground(line.slice(0, -2));
      continue;
    }
    const printed = await run(line);
    if (!isAsShown(printed, shown)) {
      others.push(`$ ${line}\n${printed.join('\n')}\n--- but the page:\n${shown.join('\n')}`);
    }
    if (line.startsWith('toril enqueue')) await settled(7);
  }
  expect(others.join('\n\n')).toBe('');
});
