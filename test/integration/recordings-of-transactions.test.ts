/** Recordings with transactions on the command line: made smaller, masked, and enqueued again. No servers. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Bank, move } from '../support/joint-recorded.ts';
import { torilHere } from './cli-runner.ts';

const UPDATES = fileURLToPath(new URL('../support/joint-recorded.ts', import.meta.url));
let folder: string;
const at = (name: string): string => join(folder, name);
const write = (name: string, content: string): string => {
  writeFileSync(at(name), content);
  return at(name);
};

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'toril-transactions-'));
  const bank = new Bank().deposit('ada', 7_100).deposit('eve', 7_001);
  for (let n = 0; n < 5; n++) bank.transfer([move('ada', 'bob', 7), move('eve', 'cid', 7)]);
  write(
    'bank.jsonl',
    bank
      .transfer([move('bob', 'cid', 20)])
      .lines()
      .join(''),
  );
});
afterAll(() => rmSync(folder, { recursive: true }));

test('toril shrink finds the transaction at which two versions part, and keeps all its keys', async () => {
  const other = write(
    'other.mjs',
    `import { deposit, transfer } from ${JSON.stringify(UPDATES)};
     const apply = ([from, to], { cents }) => {
       if (from < cents) throw new Error('no cover');
       return [from - cents, cents === 20 ? to : to + cents];
     };
     export default [deposit, { ...transfer, apply }];`,
  );
  const [bank, small] = [at('bank.jsonl'), at('small.jsonl')];
  const shrunk = await torilHere([
    'shrink',
    bank,
    '--old',
    UPDATES,
    '--new',
    other,
    '--out',
    small,
  ]);
  expect(shrunk.stderr).toMatch(/^1 jobs of bob, cid: 13; they part at line 24$/m);
  expect(shrunk.code).toBe(0);
  const same = await torilHere(['replay', small, '--updates', UPDATES, '--complete']);
  expect([same.code, same.stderr]).toEqual([0, '']);
  const differs = await torilHere(['replay', small, '--updates', other]);
  expect(differs.stdout).toContain('job 13 (transfer)');
  expect(differs.code).toBe(1);
});

test('toril shrink says that its search ended before it had tried everything', async () => {
  const other = write(
    'needs-all.mjs',
    `import { deposit, transfer } from ${JSON.stringify(UPDATES)};
     const apply = ([from, to], { cents }) => {
       if (from < cents) throw new Error('no cover');
       return [from - cents, cents === 2000 ? to : to + cents];
     };
     export default [deposit, { ...transfer, apply }];`,
  );
  const bank = new Bank();
  for (let n = 0; n < 2_000; n++) bank.deposit('ada', 1);
  const busy = write(
    'busy.jsonl',
    bank
      .transfer([move('ada', 'bob', 2_000)])
      .lines()
      .join(''),
  );
  const versions = ['--old', UPDATES, '--new', other, '--out', at('needs-all.jsonl')];
  const { code, stderr } = await torilHere(['shrink', busy, ...versions, '--seconds', '1']);
  expect(stderr).toMatch(/^1 jobs of ada, bob: 2001;/m);
  expect(stderr).toMatch(/ended at its time\..* --seconds/);
  expect(code).toBe(0);
  const refused = await torilHere(['shrink', busy, ...versions, '--seconds', '0']);
  expect(refused).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('from 1 to') as string,
  });
});

test('toril fixture masks them, and its test is green as it stands', async () => {
  const mask = write(
    'mask.mjs',
    `export const data = (data, { keys }) =>
       ({ ...data, cents: keys === undefined ? 100 : keys.length === 2 ? 1 : 7 });`,
  );
  const args = ['fixture', at('bank.jsonl'), '-u', UPDATES, '--out', at('fixtures')];
  const written = await torilHere([...args, '--mask', mask]);
  expect(written).toMatchObject({ code: 0, stderr: '' });
  const file = join(at('fixtures'), 'bank.jsonl.gz');
  const lines = gunzipSync(readFileSync(file)).toString();
  expect(lines).toContain('"masked":true,"replayable":true');
  expect(lines).not.toMatch(/"(cents|value|result)":7/);
  const replayed = await torilHere(['replay', file, '--updates', UPDATES, '--complete']);
  expect(replayed.code).toBe(0);
  expect(replayed.stdout).toContain('Every value is what it was, byte for byte.');
});
