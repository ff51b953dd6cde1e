/** The README's quick start: its files as they stand, in an empty folder, print what the README says. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { startMemcached, startRedis } from '../support/servers.ts';

const ROOT = join(fileURLToPath(import.meta.url), '..', '..', '..');
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');

/** Below the root, so that packages are found. */
function emptyFolder(): string {
  mkdirSync(join(ROOT, '.toril'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, '.toril', 'quick-start-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function run(folder: string, file: string): ChildProcess & { printed(): string } {
  const child = spawn(process.execPath, ['--import', 'tsx', file], {
    ...{ cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] },
    env: { ...process.env, NODE_OPTIONS: '', NO_COLOR: '1' },
  });
  let text = '';
  child.stdout?.on('data', (chunk) => {
    text += String(chunk);
  });
  return Object.assign(child, { printed: () => text });
}

test('prints what the README says', async () => {
  const [redis, memcached] = await Promise.all([startRedis(), startMemcached()]);
  onTestFinished(async () => {
    await Promise.all([redis.stop(), memcached.stop()]);
  });
  const folder = emptyFolder();
  const index = relative(folder, join(ROOT, 'src', 'index.ts'));
  const files = [...README.matchAll(/^```ts\n\/\/ (\S+)\n([\s\S]*?)^```$/gm)];
  expect(files.map(([, name]) => name)).toEqual(['updates.ts', 'worker.ts', 'app.ts']);
  for (const [, name = '', code = ''] of files) {
    const here = code
      .replace(`from 'toril'`, `from '${index}'`)
      .replace('port: 6379', `port: ${redis.port}`)
      .replace('localhost:11211', `localhost:${memcached.port}`);
    writeFileSync(join(folder, name), here);
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');

  const worker = run(folder, 'worker.ts');
  const app = run(folder, 'app.ts');
  await once(app, 'exit');
  const [, output] =
    /^```console\n\$ npx tsx worker\.ts &\n\$ npx tsx app\.ts\n([\s\S]*?)^```$/m.exec(README) ?? [];
  expect(app.printed()).toBe(output);

  const isOver = once(worker, 'exit');
  worker.kill('SIGTERM');
  expect(await isOver).toEqual([0, null]);
  expect(worker.printed()).toMatch(/^job \S+ is in the value\njob \S+ is in the value\n$/);
});
