/** `toril replay --invariants`: what must hold, from a user's module. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AnyUpdate, record, writeRecording } from '../../src/index.ts';
import { createTestBed } from '../../src/testing.ts';
import { type CliResult, jsonLines, torilHere, UPDATES } from './cli-runner.ts';
import updates from './cli-updates.ts';

const folder = mkdtempSync(join(tmpdir(), 'toril-invariants-'));
const recording = join(folder, 'two.jsonl');
const [deposit] = updates;

beforeAll(async () => {
  const bed = createTestBed({ updates });
  for (const [account, cents] of [
    ['a', 5],
    ['b', 3],
    ['a', -5],
    ['a', 4],
  ] as const) {
    await bed.enqueue(deposit as AnyUpdate, { account, cents });
  }
  await bed.drain();
  await writeRecording(recording, record(bed.queue));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let modules = 0;
function replayed(code: string, ...flags: string[]): Promise<CliResult> {
  const file = join(folder, `invariants-${++modules}.mjs`);
  writeFileSync(file, code);
  return torilHere(['replay', recording, '--updates', UPDATES, '--invariants', file, ...flags]);
}

describe('toril replay --invariants', () => {
  test('tells the first line and job that break one, and exits with 1', async () => {
    const module = `export const mine = { name: 'above zero', value: ({ cents }) => cents > 0 };`;
    const { code, stdout } = await replayed(module);
    expect(stdout).toMatch(
      /BROKEN \(1 of 4 times\), first: the invariant "above zero" does not hold after line \d, job 3 \(deposit\) of "a" \(before it: \{"cents":5,"jobs":1\}; after it: \{"cents":0,"jobs":2\}\)/,
    );
    expect(stdout).toMatch(
      /Every value is what it was, but an invariant does not hold: above zero\./,
    );
    expect(code).toBe(1);
    const json = await replayed(module, '--json');
    expect(jsonLines(json.stdout).at(-1)).toMatchObject({
      verdict: 'broken',
      invariants: [{ name: 'above zero', broken: { at: { key: 'a', job: { id: '3' } } } }],
    });
  });

  test('tells how often they held, and exits with 0', async () => {
    const { code, stdout } = await replayed(`export default [
      { name: 'whole', value: ({ cents }) => Number.isInteger(cents) },
      { name: 'seven in all', total: { of: ({ cents }) => cents, holds: (sum) => sum === 7, when: 'end' } },
    ];`);
    expect(stdout).toContain('Invariant "whole" held 4 times\n');
    expect(stdout).toContain('Invariant "seven in all" held 1 times\n');
    expect(code).toBe(0);
  });

  test('never says yes to one that was not asked: 7', async () => {
    const module = `export const invariants = [{ name: 'nobody', keys: /z/, value: () => true }];`;
    const { code, stdout } = await replayed(module);
    expect(stdout).toContain('NOT CHECKED: the invariants nobody. Every value is what it was.');
    expect(code).toBe(7);
  });

  test.each([
    [
      'one that throws',
      `export default [{ name: 'x', value: () => { throw new Error('no'); } }]`,
      'INVARIANT_UNUSABLE',
    ],
    [
      'one that waits',
      `export default [{ name: 'x', value: async () => true }]`,
      'INVARIANT_UNUSABLE',
    ],
    ['one that is misspelt', `export const x = { name: 'x', valeu: () => true }`, 'BAD_FILE'],
    ['a module of something else', `export const x = 5`, 'BAD_FILE'],
    ['a module that is broken', `export const x = {`, 'BAD_FILE'],
  ])('refuses %s: 2', async (_, module, code) => {
    const refused = await replayed(module);
    expect(refused.stderr).toContain(`error ${code}: `);
    if (code === 'INVARIANT_UNUSABLE')
      expect(refused.stderr).toMatch(/line \d, job \d \(deposit\)/);
    expect(refused.stdout).toBe('');
    expect(refused.code).toBe(2);
  });

  test('refuses a file that is not there: 2', async () => {
    const args = ['--updates', UPDATES, '--invariants', join(folder, 'none.mjs')];
    const { code, stderr } = await torilHere(['replay', recording, ...args]);
    expect(stderr).toContain('--invariants names a module of yours');
    expect(code).toBe(2);
  });
});
