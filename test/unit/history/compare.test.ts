/** Two versions of the updates on the same recording. */
import { Readable } from 'node:stream';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { compare } from '../../../src/history/compare/compare.ts';
import { differencesOf } from '../../../src/history/compare/fields.ts';
import { record } from '../../../src/history/record.ts';
import type { RecordingInput } from '../../../src/history/recording/input.ts';
import { replay } from '../../../src/history/replay/replay.ts';
import type { AnyUpdate } from '../../../src/updates/update.ts';
import { createTestBed, type TestBed } from '../../../src/testing.ts';
import { type Account, type Amount, deposit, History, interest } from '../../support/recorded.ts';

const old: readonly AnyUpdate[] = [deposit, interest];
/** Rounds interest down. */
const stingy: AnyUpdate = {
  ...interest,
  apply: (account: Account, data: Amount, context) => ({
    ...(interest.apply(account, data, context) as Account),
    cents: Math.floor(account.cents * 1.1),
  }),
};
const now: readonly AnyUpdate[] = [deposit, stingy];

const traffic = (): History =>
  new History()
    .step('ada', [['deposit', 5]])
    .step('ada', [
      ['interest', 0],
      ['deposit', 7],
    ])
    .step('bob', [['deposit', 100]])
    .step('ada', [['interest', 0]])
    .step('bob', [['interest', 0]], { full: true });

describe('compare', () => {
  test('finds nothing between a version and itself', async () => {
    expect(await compare(traffic().lines(), { old, new: old })).toMatchObject({
      ...{ verdict: 'same', keys: 2, differingKeys: 0, commits: 5, compared: 5, repeatedByOld: 5 },
      updates: [
        { update: 'deposit', jobs: 3, differ: 0, fields: [] },
        { update: 'interest', jobs: 3, differ: 0, fields: [] },
      ],
    });
  });

  test('blames the jobs that make a difference, or more of it, by field', async () => {
    const report = await compare(traffic().lines(), { old, new: now });
    expect(report).toMatchObject({ verdict: 'differs', differingKeys: 1, repeatedByOld: 5 });
    // 5 → 6 (5.5) or 5; with 7 more 13 or 12; then 14 (14.3) or 13: the difference stays 1.
    const [deposits, interests] = report.updates;
    expect(deposits).toMatchObject({ update: 'deposit', differ: 0 });
    expect(interests).toMatchObject({
      ...{ update: 'interest', jobs: 3, differ: 1 },
      fields: [
        {
          field: '.cents',
          jobs: 1,
          sum: -1,
          max: -1,
          worst: { key: 'ada', line: 3, job: { id: '2' }, old: 6, new: 5 },
        },
      ],
    });
  });

  test('goes on from its own values, and ignores what it is told to', async () => {
    const more: AnyUpdate = {
      ...deposit,
      apply: (account: Account, data: Amount, context) => {
        const right = deposit.apply(account, data, context) as Account;
        return { ...right, cents: right.cents + 1, log: [...right.log, 'extra'] };
      },
    };
    const report = await compare(traffic().lines(), { old, new: [more, interest] });
    const [deposits] = report.updates;
    expect(deposits).toMatchObject({ differ: 3 });
    expect(deposits?.fields.find(({ field }) => field === '.cents')).toMatchObject({
      jobs: 3,
      sum: 3,
    });
    const ignored = await compare(traffic().lines(), {
      ...{ old, new: [more, interest] },
      ignore: ['.cents', '.log'],
    });
    expect(ignored).toMatchObject({ verdict: 'same', differingKeys: 0 });
    // It would be the whole value.
    const nothing = compare(traffic().lines(), { old: [deposit], new: [deposit], ignore: [''] });
    await expect(nothing).rejects.toMatchObject({ code: 'INVALID_OPTIONS' });
  });

  test('tells of jobs that fail with one version only, also of those that failed then', async () => {
    const bounded = (most: number): AnyUpdate => ({
      ...deposit,
      apply: (account: Account, data: Amount, context) => {
        if (account.cents + data.cents > most) throw new Error(`more than ${most}`);
        return deposit.apply(account, data, context);
      },
    });
    const bed: TestBed = createTestBed({ updates: [bounded(10)] });
    for (const cents of [6, 6, 4]) {
      await bed.enqueue(bed.registry.require('deposit'), { account: 'ada', cents });
      await bed.drain();
    }
    const lines: string[] = [];
    for await (const line of record(bed.queue)) lines.push(`${line}\n`);
    const report = await compare(lines, { old: [bounded(10)], new: [bounded(12)] });
    expect(report).toMatchObject({ verdict: 'differs', repeatedByOld: 3 });
    // 6, (6), 4 or 6, 6, (4).
    expect(report.updates).toMatchObject([
      {
        jobs: 3,
        differ: 2,
        failOnlyOld: 1,
        failOnlyNew: 1,
        failure: { line: 3, message: 'more than 10' },
      },
    ]);
  });

  test('compares results', async () => {
    const giving = (result: AnyUpdate['result']): AnyUpdate => ({
      ...deposit,
      ...(result && { result }),
    });
    const report = await compare(traffic().lines(), {
      old: [giving(({ cents }: Account) => cents), interest],
      new: [giving(({ cents }: Account) => cents * 2), interest],
    });
    expect(report.updates[0]?.fields).toMatchObject([{ field: 'result()', jobs: 3, max: 100 }]);
  });

  test('says what it could not give to both, and goes on where a value was recorded', async () => {
    const strict: AnyUpdate = { ...interest, strict: true };
    const history = traffic().step('bob', [['deposit', 1]]);
    const report = await compare(history.lines(), {
      old: [deposit, strict],
      new: [deposit, strict],
    });
    // Behind ada's second commit nothing of her is known; bob's interest was recorded with its value.
    expect(report).toMatchObject({ verdict: 'not-compared', commits: 6, compared: 3 });
    expect((await compare(history.lines(), { old, new: [deposit] })).verdict).toBe('not-compared');
  });

  test('notices that the old version is not what was run', async () => {
    const report = await compare(traffic().lines(), { old: now, new: now });
    expect(report).toMatchObject({ verdict: 'same', compared: 5, repeatedByOld: 3 });
  });

  test('takes asynchronous updates, one key, and a share of the keys', async () => {
    const later = (update: AnyUpdate): AnyUpdate => ({
      ...update,
      apply: async (...args: Parameters<AnyUpdate['apply']>) => {
        await Promise.resolve();
        return update.apply(...args);
      },
    });
    const asynchronous = await compare(traffic().lines(), { old, new: now.map(later) });
    expect(asynchronous.updates).toEqual(
      (await compare(traffic().lines(), { old, new: now })).updates,
    );
    expect(await compare(traffic().lines(), { old, new: now, key: 'bob' })).toMatchObject({
      ...{ verdict: 'same', keys: 1, commits: 2 },
    });
    const history = new History();
    for (let n = 0; n < 400; n++) history.step(`key-${n}`, [['deposit', 1]]);
    const { keys } = await compare(history.lines(), { old, new: old, sample: 0.25 });
    expect(keys).toBeGreaterThan(60);
    expect(keys).toBeLessThan(140);
    for (const sample of [0, 2, Number.NaN])
      await expect(compare(history.lines(), { old, new: old, sample })).rejects.toThrow('sample');
    await expect(compare([], { old, new: old, key: '' })).rejects.toMatchObject({
      code: 'INVALID_KEY',
    });
  });
});

test.each([
  [1, 2, { '': [1, 2] }],
  [{ a: 1, b: 2 }, { b: 2, a: 1 }, {}],
  [{ a: [{ b: 1 }] }, { a: [{ b: 2 }, 3] }, { '.a[0].b': [1, 2], '.a[1]': [undefined, 3] }],
  [null, {}, { '': [null, {}] }],
  [{ a: null }, {}, { '.a': [null, undefined] }],
])('%j and %j differ at %j', (one, other, expected) => {
  const found = [...differencesOf(one, other)].map(([path, { old: was, new: is }]) => [
    path,
    [was, is],
  ]);
  expect(Object.fromEntries(found)).toEqual(expected);
});

describe('a recording is read from', () => {
  const folder = mkdtempSync(join(tmpdir(), 'toril-input-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const text = traffic().lines().join('');
  const zipped = gzipSync(text);
  const file = join(folder, 'recording.jsonl');
  const zippedFile = `${file}.gz`;
  writeFileSync(file, text);
  writeFileSync(zippedFile, zipped);

  test.each<[string, () => RecordingInput]>([
    ['a path', () => file],
    ['a path of a compressed file', () => zippedFile],
    ['a URL', () => pathToFileURL(zippedFile)],
    ['text', () => text],
    ['bytes', () => Buffer.from(text)],
    ['compressed bytes', () => zipped],
    ['a stream', () => Readable.from([Buffer.from(text.slice(0, 50)), text.slice(50)])],
    ['a compressed stream', () => Readable.from([zipped.subarray(0, 90), zipped.subarray(90)])],
    ['lines', () => traffic().lines()],
  ])('%s', async (_, input) => {
    expect(await replay(input(), old)).toMatchObject({ agrees: true, checked: 5 });
  });

  test('what record gives', async () => {
    const bed = createTestBed({ updates: [deposit] });
    await bed.enqueue(deposit, { account: 'ada', cents: 5 });
    await bed.drain();
    expect(await replay(record(bed.queue), [deposit])).toMatchObject({ agrees: true, checked: 1 });
  });

  test('but not if it was cut off or damaged in its compressed form', async () => {
    const damaged = Buffer.from(zipped);
    damaged[60] = (damaged[60] as number) ^ 0xff;
    for (const bytes of [zipped.subarray(0, 100), damaged])
      await expect(replay(bytes, old)).rejects.toMatchObject({ code: 'RECORDING_DAMAGED' });
  });
});
