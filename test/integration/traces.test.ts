/**
 * Real input: the recorded editing histories beside this repository, with workers killed on the way.
 * They are not part of the project, so where they are missing there is nothing to run.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { toril } from './cli-runner.ts';

const FOLDER = fileURLToPath(new URL('../../../shared/traces', import.meta.url));
const FILES = existsSync(FOLDER)
  ? readdirSync(FOLDER)
      .filter((name) => name.endsWith('.json.gz'))
      .map((name) => join(FOLDER, name))
  : [];
const DEADLINE_MS = 180_000;

const own = mkdtempSync(join(tmpdir(), 'toril-traces-'));
afterAll(() => rmSync(own, { recursive: true, force: true }));

function trace(name: string, endContent: string): string {
  const path = join(own, `${name}.json.gz`);
  const txns = [
    { patches: [[0, 0, 'hallo 😀']] },
    {
      patches: [
        [1, 1, 'e'],
        [7, 0, '!'],
      ],
    },
  ];
  writeFileSync(path, gzipSync(JSON.stringify({ startContent: '', endContent, txns })));
  return path;
}

describe('toril trace', () => {
  test.skipIf(FILES.length === 0)(
    'replays every recorded document byte for byte (skipped where ../shared/traces is missing)',
    async () => {
      const { code, stdout, stderr } = await toril([
        ...['trace', ...FILES, '--workers', '4', '--kill', '3', '--json'],
      ]);
      const result = JSON.parse(stdout) as { documents: unknown[] };
      expect(result).toMatchObject({ ok: true, killed: 3, failedJobs: 0, drained: true });
      expect(result.documents).toHaveLength(FILES.length);
      for (const document of result.documents) expect(document).toMatchObject({ exact: true });
      expect(stderr).toContain('3 of 3');
      expect(code).toBe(0);
    },
    DEADLINE_MS,
  );

  test('tells a document that does not end as recorded from one that does', async () => {
    const files = [trace('right', 'hello 😀!'), trace('wrong', 'hello 😀?')];
    const args = ['trace', ...files, '--workers', '1', '--kill', '0'];
    const { code, stdout } = await toril(args);
    expect(code).toBe(1);
    expect(stdout).toMatch(/right.*yes/);
    expect(stdout).toMatch(/wrong.*NO/);
    expect(stdout).toContain(
      'WRONG: wrong: the value has 11 bytes instead of 11, and differs from byte 10 on',
    );
  });

  test('refuses a file that is no trace', async () => {
    const path = join(own, 'none.json');
    writeFileSync(path, '{"txns":[]}');
    const { code, stdout, stderr } = await toril(['trace', path]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('error BAD_FILE: ');
  });
});
