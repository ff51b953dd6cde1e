/** docs/bullmq.md says nothing that no test knows. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const ROOT = new URL('../../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8');

/** What follows the last column's "file: words" must be in that file. */
const rows = read('docs/bullmq.md')
  .split('\n')
  .filter((line) => line.startsWith('| '))
  .map((line) => line.split(' | '))
  .filter(
    (cells) => cells.length === 3 && !/^\| (---|BullMQ$|what they do$)/.test(cells[0] as string),
  );

describe('docs/bullmq.md', () => {
  it('has rows', () => {
    expect(rows.length).toBeGreaterThan(40);
  });

  it.each(rows.map((cells) => [cells[0]?.slice(2), (cells[2] as string).replace(/ \|$/, '')]))(
    'has a test for: %s',
    (_, test) => {
      const [file, ...words] = (test as string).split(': ');
      expect(words.join(': ')).not.toBe('');
      expect(read(`test/integration/${file}.test.ts`)).toContain(words.join(': '));
    },
  );
});
