/** The tests that an unknown BullMQ leaves out are those that the documentation names. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const TEST = new URL('../../', import.meta.url);
const README = new URL('../src/jobs/bullmq/state/README.md', TEST);
const TAG = /tags: 'imitation'|@module-tag imitation/;

test('every file with tests about an imitation is listed', () => {
  const tagged = ['conformance', 'integration', 'unit']
    .flatMap((folder) =>
      readdirSync(new URL(folder, TEST), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts') && !file.endsWith('imitations.test.ts'))
        .map((file) => `${folder}/${file}`),
    )
    .filter((file) => TAG.test(readFileSync(new URL(file, TEST), 'utf8')));
  const listed = [...readFileSync(README, 'utf8').matchAll(/^\| `([^`]+\.ts)` +\|/gm)];
  expect(listed.map(([, file]) => file)).toEqual(tagged.toSorted());
});
