import { expect, test } from 'vitest';
import { TEXT, traffic } from '../../examples/shared-document/traffic.ts';
import { discard, edit, type SharedDocument } from '../../examples/shared-document/updates.ts';
import { type AnyUpdate, replay } from '../../src/index.ts';
import { inMemory, valuesOf } from '../support/replaying.ts';
import { fileOf, findings, replayed, run } from './examples.ts';

const updates: readonly AnyUpdate[] = [edit, discard];
const RECORDING = fileOf('shared-document', 'recording.jsonl');
const EDITS_OF_POEM = traffic().filter(
  ({ data }) => (data as { document: string }).document === 'poem',
);
const POEM: SharedDocument = {
  text: TEXT,
  revision: EDITS_OF_POEM.length,
  authors: ['ada', 'bob'],
};

test('two workers write what was typed, to the letter', async () => {
  const ran = await run(updates, traffic());
  expect(ran.failures).toEqual([]);
  expect(await ran.here.cells.get('document:poem')).toEqual(POEM);
  expect(await ran.here.cells.get('document:draft')).toMatchObject({ text: 'a new beginning' });
  expect((await replayed(ran, updates)).get('document:poem')).toEqual(POEM);
});

test('its recording replays to the same text, and so on the in-memory engines', async () => {
  const values = await valuesOf(RECORDING, updates);
  expect(values.get('document:poem')).toEqual(POEM);
  expect(await inMemory(RECORDING, updates, { batchJobsMax: 4 })).toEqual(values);
});

test('its recording catches an edit that counts characters otherwise', async () => {
  const counting = {
    ...edit,
    apply: (value: SharedDocument, data: Parameters<typeof edit.apply>[1], context: never) => {
      const patches = data.patches.map(([at, removed, inserted]) => {
        const shift = Array.from(value.text).length - value.text.length; // by code points
        return [Math.max(0, at + shift), removed, inserted] as const;
      });
      return edit.apply(value, { ...data, patches }, context) as SharedDocument;
    },
  };
  const report = await replay(RECORDING, [counting, discard], { former: updates });
  const poem = report.keys.find(({ key }) => key === 'document:poem');
  // Right up to the first character that takes two units.
  expect(poem?.difference?.before.json).toContain('came. 🐂');
  expect(poem?.difference?.jobs).toHaveLength(1);
});

test('its updates depend on nothing else', async () => {
  expect(await findings(updates, traffic())).toEqual([]);
});
