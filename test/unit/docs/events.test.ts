/** docs/events.md has every event of a worker, with its fields, and no other. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const ROOT = new URL('../../../', import.meta.url);
const [source = ''] = readFileSync(new URL('src/workers/worker-events.ts', ROOT), 'utf8').split(
  'export type WorkerEventName',
);
const page = readFileSync(new URL('docs/events.md', ROOT), 'utf8');

/** Two blanks before a name: it is an event; what follows in braces are its fields. */
const declared = new Map(
  [...source.matchAll(/^ {2}(\w+): (\{[^}]*\}|[^;]+);/gm)].map(([, name = '', type = '']) => [
    name,
    [...type.matchAll(/readonly (\w+)\??:/g)].map(([, field]) => field),
  ]),
);
const rows = [...page.matchAll(/^\| `(\w+)` \| (.*?) \| /gm)];
const documented = new Map(
  rows.map(([, name = '', fields = '']) => [
    name,
    [...fields.matchAll(/`(\w+)`/g)].map(([, field]) => field),
  ]),
);

test('docs/events.md has every event once, and no other', () => {
  expect(declared.size).toBeGreaterThan(20);
  expect(rows.map(([, name = '']) => name).toSorted()).toEqual([...declared.keys()].toSorted());
});

test('with the fields that it has', () => {
  const spelledOut = [...declared].filter(([, fields]) => fields.length > 0);
  expect(spelledOut.length).toBeGreaterThan(18);
  for (const [name, fields] of spelledOut) {
    expect(documented.get(name), name).toEqual(expect.arrayContaining(fields));
    if (name !== 'redisRefused') expect(documented.get(name), name).toHaveLength(fields.length);
  }
});
