/** Commands that write recordings, stopped in the middle by Ctrl-C or a full disk: what was there before is there. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../support/memcached.ts';
import { History } from '../support/recorded.ts';
import { startToril } from './cli-runner.ts';

const RECORDED = fileURLToPath(new URL('../support/recorded.ts', import.meta.url));
const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
/** In units of 512 bytes. A process may write no file that is longer: it is as if the disk were full. */
const FILE_LIMIT = 100;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'toril-cut-off-'));
  const history = new History();
  for (let n = 0; n < 4_000; n++) history.step(`a-${n % 500}`, [['deposit', n]]);
  writeFileSync(at('long.jsonl'), history.lines().join(''));
  writeFileSync(at('updates.ts'), `export { deposit } from ${JSON.stringify(RECORDED)};\n`);
  writeFileSync(
    at('hanging.ts'),
    `import { deposit as right } from ${JSON.stringify(RECORDED)};
     export const deposit = { ...right, apply: () => {
       console.log('it waits');
       return new Promise((resolve) => setTimeout(resolve, 1e6));
     } };`,
  );
  writeFileSync(at('mask.ts'), 'export const data = () => new Promise((r) => setTimeout(r, 1e6));');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const at = (path: string): string => join(folder, path);
const BEFORE = { 'x.jsonl': 'old slice', 'x.jsonl.gz': 'old recording', 'x.test.ts': 'old test' };
let cases = 0;
let out: string;
beforeEach(() => {
  cases += 1;
  out = at(`out-${cases}`);
  mkdirSync(out);
  for (const [name, text] of Object.entries(BEFORE)) writeFileSync(join(out, name), text);
});
function expectAsBefore(): void {
  const found = readdirSync(out).map((name) => [name, readFileSync(join(out, name), 'utf8')]);
  expect(Object.fromEntries(found)).toEqual(BEFORE);
}

const fixture = (file: string, ...more: string[]): string[] => [
  ...['fixture', file, '--name', 'x', '--out', out, '--force', ...more],
];
const slice = (file: string): string[] => ['slice', file, '--out', join(out, 'x.jsonl')];

describe.each<[string, () => string[]]>([
  ['fixture, before anything was read', () => fixture('-', '-u', at('updates.ts'))],
  [
    'fixture, while a mask waits',
    () => fixture(at('long.jsonl'), '-u', at('updates.ts'), '--mask', at('mask.ts')),
  ],
  ['fixture, while an update waits', () => fixture(at('long.jsonl'), '-u', at('hanging.ts'))],
  ['slice', () => slice('-')],
])('a signal in the middle of %s', (name, args) => {
  test('leaves what was there before', async () => {
    const running = startToril(args(), { keepsInput: true });
    await eventually('a partial file', () => {
      expect(running.running, running.stderr).toBe(true);
      return readdirSync(out).some((file) => file.endsWith('.partial'));
    });
    if (name.includes('update')) await running.printed('it waits');
    running.signal('SIGINT');
    const { code, stderr } = await running.ended();
    expect(stderr).toContain('SIGINT: cleaning up');
    expect(code).toBe(130);
    expectAsBefore();
  });
});

describe.each<[string, () => string[]]>([
  ['fixture', () => fixture(at('long.jsonl'), '-u', at('updates.ts'))],
  ['slice', () => slice(at('long.jsonl'))],
])('a disk that fills up in the middle of %s', (_, args) => {
  test('leaves what was there before', async () => {
    const limited = `ulimit -f ${FILE_LIMIT}; exec "$@"`;
    const child = spawn('sh', [
      ...['-c', limited, 'sh', process.execPath, '--import', 'tsx', MAIN, ...args()],
    ]);
    let stderr = '';
    child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
    await once(child, 'close');
    expect(stderr).toMatch(/error FILE_NOT_WRITTEN: .* cannot be written \(EFBIG/);
    expect(child.exitCode).toBe(2);
    expectAsBefore();
  });
});
