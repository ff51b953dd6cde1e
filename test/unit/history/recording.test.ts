/** Recordings as files: whole or refused, with the place. */
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, rmdir, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { TorilError } from '../../../src/errors.ts';
import type { HistoryEntry, HistoryPage, HistoryRequest } from '../../../src/history/history.ts';
import { record } from '../../../src/history/record.ts';
import type { RecordedCommit } from '../../../src/history/recording/recording.ts';
import { writeRecording } from '../../../src/history/recording/file.ts';
import { RecordingReader } from '../../../src/history/recording/reader.ts';
import { putAll, WholeFile } from '../../../src/history/recording/whole-file.ts';
import { deposit, History, interest, linesOf } from '../../support/recorded.ts';
import { Bank } from '../../support/joint-recorded.ts';

const small = new History()
  .step('ada', [['deposit', 100]])
  .step('bob', [['deposit', 5]])
  .step('ada', [
    ['interest', 0],
    ['deposit', 7],
  ])
  .step('bob', [['interest', 0]]);

/** What a reader says to these pieces: the keys of their commits, or its error. */
function read(...pieces: readonly (string | Buffer)[]): string[] | TorilError {
  const reader = new RecordingReader('bank.jsonl');
  const keys: string[] = [];
  try {
    for (const piece of pieces) for (const { key } of reader.read(piece)) keys.push(key);
    reader.end();
    return keys;
  } catch (thrown) {
    if (thrown instanceof TorilError) return thrown;
    throw thrown;
  }
}

function refusal(...pieces: readonly (string | Buffer)[]): string {
  const said = read(...pieces);
  return said instanceof TorilError ? `${said.code} ${said.message}` : `read ${said.join()}`;
}

describe('a reader', () => {
  const lines = small.lines();
  const text = lines.join('');

  test('gives the commits in order, however the pieces are cut', () => {
    const keys = ['ada', 'bob', 'ada', 'bob'];
    expect(read(text)).toEqual(keys);
    expect(read(Buffer.from(text))).toEqual(keys);
    expect(read(...lines)).toEqual(keys);
    expect(read(...Array.from(Buffer.from(text), (byte) => Buffer.of(byte)))).toEqual(keys);
  });

  test('reads characters that are cut in the middle', () => {
    const euros = new History()
      .step('€😀', [['deposit', 1]])
      .lines()
      .join('');
    const bytes = Buffer.from(euros);
    for (let at = 1; at < bytes.length; at += 7) {
      expect(read(bytes.subarray(0, at), bytes.subarray(at))).toEqual(['€😀']);
    }
  });

  test('refuses any single byte that was changed, naming the line', () => {
    const bytes = Buffer.from(text);
    let line = 1;
    for (let at = 0; at < bytes.length; at++) {
      const original = bytes[at] as number;
      const changed = Buffer.from(bytes);
      changed[at] = original === 0x30 ? 0x31 : 0x30;
      const said = refusal(changed);
      expect(said, `byte ${at}`).not.toMatch(/^read/);
      // Without its newline, a line and the next are one.
      if (line > 1) expect(said, `byte ${at}`).toContain(`line ${line} of bank.jsonl`);
      if (original === 0x0a) line += 1;
    }
  });

  test('refuses a recording from which lines were dropped, wherever', () => {
    for (let at = 1; at < lines.length - 1; at++) {
      const said = refusal(lines.toSpliced(at, 1).join(''));
      expect(said).toMatch(/^RECORDING_DAMAGED/);
      expect(said).toContain(`line ${at + 1} of bank.jsonl: here should be line ${at + 1}`);
      expect(said).toContain(`but it is line ${at + 2}`);
    }
    expect(refusal(lines.slice(1).join(''))).toMatch(/^BAD_FILE .*its first line is no header/);
  });

  test('refuses two lines that were swapped, and one that is there twice', () => {
    const [second, third] = [lines[1] as string, lines[2] as string];
    expect(refusal(lines.toSpliced(1, 2, third, second).join(''))).toMatch(
      /^RECORDING_DAMAGED line 2 .*it is line 3/,
    );
    expect(refusal(lines.toSpliced(2, 0, second).join(''))).toMatch(
      /^RECORDING_DAMAGED line 3 .*it is line 2/,
    );
  });

  test('refuses lines of another recording', () => {
    const other = new History()
      .step('ada', [['deposit', 101]])
      .step('bob', [['deposit', 5]])
      .lines();
    expect(refusal(lines.toSpliced(2, 1, other[2] as string).join(''))).toMatch(
      /^RECORDING_DAMAGED line 3 .*it, or its chain, was changed/,
    );
  });

  test('refuses what is cut off, wherever', () => {
    for (let length = 1; length < text.length; length += 11) {
      expect(refusal(text.slice(0, length))).toMatch(
        /^(RECORDING_DAMAGED|BAD_FILE) .*(cut off|no whole line)/,
      );
    }
    expect(refusal(lines.slice(0, 3).join(''))).toContain(
      'is cut off behind line 3: it has no end',
    );
    expect(refusal(text.slice(0, -1))).toContain('line 6 of bank.jsonl: it is cut off');
  });

  test('refuses what comes behind the end', () => {
    expect(refusal(text, '\n')).toContain('line 7 of bank.jsonl: it comes behind the end');
    expect(refusal(text, text)).toContain('line 7 of bank.jsonl: it comes behind the end');
  });

  test('refuses other line endings', () => {
    expect(refusal(text.replaceAll('\n', '\r\n'))).toContain('line endings were changed');
  });

  test('refuses what is compressed, empty, or something else', () => {
    expect(refusal(gzipSync(text))).toMatch(/^BAD_FILE bank.jsonl is compressed. Say "gunzip"/);
    expect(refusal('')).toMatch(/^BAD_FILE .*it is empty/);
    expect(refusal('{"a":1}\n')).toMatch(/^BAD_FILE .*no header/);
    expect(refusal('hello\nworld\n')).toMatch(/^BAD_FILE .*no header/);
    expect(refusal(Buffer.from([0xff, 0xfe, 0x00, 0x0a]))).toMatch(/^BAD_FILE/);
  });

  test('refuses a newer format, also one that chains its lines otherwise', () => {
    expect(refusal(small.lines({ format: 3, toril: '9.1.0' }).join(''))).toMatch(
      /^RECORDING_NEWER .*format 3 by Toril 9.1.0, and this version reads up to 2. Update Toril/,
    );
    expect(refusal('{"chain":"?","n":0,"recording":{"format":4}}\n')).toMatch(/^RECORDING_NEWER/);
  });

  test('refuses an end that does not fit, though its chain does', () => {
    const shorter = linesOf(small.commits.slice(0, 2));
    expect(refusal(shorter.join(''))).toBe('read ada,bob');
  });
});

describe('writing', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'toril-recording-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function* from(lines: Iterable<string>): AsyncGenerator<string> {
    yield* lines;
  }

  test('makes the file whole, and leaves nothing else', async () => {
    const file = join(folder, 'a.jsonl');
    expect(await writeRecording(file, from(['one', 'two']))).toBe(2);
    expect(await readFile(file, 'utf8')).toBe('one\ntwo\n');
    expect(await readdir(folder)).toEqual(['a.jsonl']);
  });

  test('keeps the old file, and nothing of the new one, if the lines fail', async () => {
    const file = join(folder, 'a.jsonl');
    await writeFile(file, 'old');
    const broken = async function* (): AsyncGenerator<string> {
      for (let n = 0; n < 10_000; n++) yield 'x'.repeat(100);
      throw new Error('Redis is gone');
    };
    await expect(writeRecording(file, broken())).rejects.toThrow('Redis is gone');
    expect(await readFile(file, 'utf8')).toBe('old');
    expect(await readdir(folder)).toEqual(['a.jsonl']);
  });

  test('replaces what a link points to, not the link', async () => {
    await writeFile(join(folder, 'real.jsonl'), 'old');
    await symlink('real.jsonl', join(folder, 'link.jsonl'));
    await writeRecording(join(folder, 'link.jsonl'), from(['new']));
    expect(await readFile(join(folder, 'real.jsonl'), 'utf8')).toBe('new\n');
    expect(await readdir(folder)).toEqual(['link.jsonl', 'real.jsonl']);
  });

  test.each([true, false])('puts two in their places, or none (there before: %s)', async (was) => {
    const places = ['one.gz', 'two'].map((name) => join(folder, name)) as [string, string];
    if (was) await writeFile(places[0], 'old');
    const begin = async (): Promise<WholeFile[]> => {
      const files = await Promise.all(places.map((place) => WholeFile.begin(place)));
      for (const file of files) await file.write('new');
      return files;
    };
    const failing = await begin();
    await mkdir(places[1]); // nothing can take its place
    await expect(putAll(failing)).rejects.toMatchObject({ code: 'FILE_NOT_WRITTEN' });
    for (const file of failing) await file.abandon();
    expect(await readdir(folder)).toEqual(was ? ['one.gz', 'two'] : ['two']);
    if (was) expect(await readFile(places[0], 'utf8')).toBe('old');
    await rmdir(places[1]);
    await putAll(await begin());
    expect(await readdir(folder)).toEqual(['one.gz', 'two']);
    expect(gunzipSync(await readFile(places[0])).toString()).toBe('new');
  });

  test('says so when the disk is full', async () => {
    await expect(writeRecording('/dev/full', from(['x']))).rejects.toMatchObject({
      code: 'FILE_NOT_WRITTEN',
      message: expect.stringMatching(/\/dev\/full cannot be written \(ENOSPC/),
    });
  });

  test('says so when there is no such folder, or it is one', async () => {
    for (const file of [join(folder, 'no', 'a.jsonl'), folder]) {
      await expect(writeRecording(file, from(['x']))).rejects.toMatchObject({
        code: 'FILE_NOT_WRITTEN',
      });
    }
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('the schema in docs', () => {
  const schema = z.fromJSONSchema(
    JSON.parse(
      readFileSync(new URL('../../../docs/recording.schema.json', import.meta.url), 'utf8'),
    ),
  );
  const fits = (line: string): boolean => schema.safeParse(JSON.parse(line)).success;

  test.each(['ledger', 'seat-map', 'shared-document'])('describes the recording of %s', (name) => {
    const file = new URL(`../../../examples/${name}/recording.jsonl`, import.meta.url);
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    expect(lines.filter((line) => !fits(line))).toEqual([]);
  });

  test('describes the lines of a joint commit', () => {
    const bank = new Bank().transfer([{ from: 'ada', to: 'bob', cents: 0 }]);
    expect(bank.lines().filter((line) => !fits(line))).toEqual([]);
  });

  test('describes everything that a line may have, and nothing else', () => {
    const [header = '', commit = '', end = ''] = linesOf([
      {
        ...(small.commits[0] as RecordedCommit),
        origin: { adopted: null },
        value: [],
        recovered: true,
        jobs: [
          { id: '1', sequence: 1, attempt: 1, outcome: { kind: 'withdrawn' } },
          {
            id: '2',
            update: 'u',
            sequence: 2,
            attempt: 2,
            data: 'd',
            outcome: { kind: 'failed', code: 'X', message: '', cascades: true },
          },
        ],
      },
    ]);
    for (const line of [header, commit, end]) {
      expect(fits(line)).toBe(true);
      expect(fits(line.replace('"n":', '"m":'))).toBe(false);
      expect(fits(line.replace(/}}\n$/, ',"more":1}}'))).toBe(false);
    }
    expect(fits(commit.replace('"withdrawn"', '"lost"'))).toBe(false);
    expect(fits(header.replace('"format":1', '"format":3'))).toBe(false);
  });
});

describe('record', () => {
  const entry = (n: number, more: Partial<HistoryEntry> = {}): HistoryEntry => ({
    id: `${1_767_225_600_000 + n}-0`,
    key: 'ada',
    token: n * 10,
    base: (n - 1) * 10,
    watermark: n * 10 + 5,
    origin: n === 1 ? 'nothing' : 'base',
    hash: 'h',
    value: undefined,
    recovered: false,
    jobs: [
      {
        jobId: `${n}`,
        name: 'deposit',
        sequence: n * 10 + 5,
        attempt: 1,
        decision: 'a',
        data: '{ "cents": 1.0 }',
      },
    ],
    ...more,
  });
  /** Two entries per page. */
  const source = (entries: readonly HistoryEntry[]) => ({
    qualifiedName: 'bull:bank',
    requests: [] as HistoryRequest[],
    history: {
      async read({ after }: HistoryRequest): Promise<HistoryPage> {
        const from = typeof after === 'number' ? 0 : Number(after);
        const to = from + 2;
        return {
          entries: entries.slice(from, to),
          next: to < entries.length ? { after: String(to) } : undefined,
          until: 0,
        };
      },
    },
  });
  const recorded = async (...args: Parameters<typeof record>): Promise<unknown[]> => {
    const lines: unknown[] = [];
    for await (const line of record(...args)) {
      expect(line).not.toContain('\n');
      lines.push(JSON.parse(line));
    }
    return lines;
  };

  test('makes lines that a reader takes', async () => {
    const reader = new RecordingReader('x');
    const tokens: number[] = [];
    for await (const line of record(source([entry(1), entry(2), entry(3)]))) {
      for (const { token } of reader.read(`${line}\n`)) tokens.push(token);
    }
    expect(tokens).toEqual([10, 20, 30]);
    expect(reader.end()).toEqual({ commits: 3, jobs: 3, keys: 1 });
    expect(reader.header).toMatchObject({
      format: 1,
      queue: 'bull:bank',
      masked: false,
      replayable: true,
    });
  });

  test('writes down every kind of commit and job', async () => {
    const job = entry(1).jobs[0] as HistoryEntry['jobs'][number];
    const [, line] = await recorded(
      source([
        entry(1, {
          origin: { adopted: '{"b":1,"a":2}' },
          value: '"full"',
          recovered: true,
          jobs: [
            { ...job, decision: 'c{"code":"X","message":"why"}' },
            { ...job, decision: 'm' },
            { ...job, decision: 's' },
            { ...job, name: undefined, data: '' },
            { ...job, data: 'no { json', decision: 'f{"code":"Y","message":""}' },
          ],
        }),
      ]),
    );
    const plain = { id: '1', update: 'deposit', sequence: 15, attempt: 1 };
    expect(line).toMatchObject({
      commit: {
        origin: { adopted: { b: 1, a: 2 } },
        value: 'full',
        recovered: true,
        jobs: [
          { ...plain, outcome: { kind: 'failed', code: 'X', message: 'why', cascades: true } },
          { ...plain, outcome: { kind: 'moved' } },
          { ...plain, outcome: { kind: 'withdrawn' } },
          { id: '1', sequence: 15, attempt: 1 },
          { ...plain, outcome: { kind: 'failed', code: 'Y', message: '', cascades: false } },
        ],
      },
    });
    const jobs = (line as { commit: { jobs: object[] } }).commit.jobs;
    expect(jobs.map((one) => 'data' in one)).toEqual([true, true, true, false, false]);
  });

  test('says what there is nothing of', async () => {
    await expect(recorded(source([]), { key: 'k', since: 0 })).rejects.toMatchObject({
      code: 'NOTHING_RECORDED',
      message: expect.stringContaining('no commit of the key "k" since 1970-01-01T00:00:00.000Z'),
    });
  });

  test('masks data and values, and then says that it cannot be replayed', async () => {
    const failing = {
      ...(entry(1).jobs[0] as HistoryEntry['jobs'][number]),
      decision: 'f{"code":"X","message":"secret"}',
    };
    const lines = await recorded(
      source([
        entry(1, { origin: { adopted: '"secret"' }, value: '"secret"' }),
        entry(2, { jobs: [failing] }),
      ]),
      { mask: { data: (_, { update, key, jobId }) => `${update} of ${key}: ${jobId}` } },
    );
    expect(lines[0]).toMatchObject({ recording: { masked: true, replayable: false } });
    expect(JSON.stringify(lines)).not.toContain('secret');
    expect(lines[1]).toMatchObject({
      commit: { origin: 'unknown', hash: '', jobs: [{ data: 'deposit of ada: 1' }] },
    });
    const shown = await recorded(source([entry(1, { value: '"secret"' })]), {
      mask: {
        data: () => ({}),
        value: (value, key) => `${key} had ${String(value).length} letters`,
      },
    });
    expect(shown[1]).toMatchObject({ commit: { value: 'ada had 6 letters' } });
  });

  test.each([
    [() => undefined, 'nothing that JSON can hold'],
    [() => 5n, 'BigInt'],
    [() => Promise.reject(new Error('no vault')), 'no vault'],
    [
      () => {
        throw new Error('broken');
      },
      'broken',
    ],
  ])('names a mask that fails (%#)', async (data, message) => {
    await expect(recorded(source([entry(1)]), { mask: { data } })).rejects.toMatchObject({
      code: 'BAD_FILE',
      message: expect.stringMatching(`the mask .* job 1.*${message}|the mask .*${message}.* job 1`),
    });
  });

  test('has the results of jobs, and says whether it has all of them', async () => {
    const job = entry(1).jobs[0] as HistoryEntry['jobs'][number];
    const long = `#${'0'.repeat(40)}`;
    const jobs = ['a', 'a{"left":5}', `a${long}`].map((decision) => ({ ...job, decision }));
    const lines = await recorded(source([entry(1, { jobs, hasResults: true })]));
    expect(lines[1]).toMatchObject({
      commit: { jobs: [{}, { result: { left: 5 } }, { resultHash: '0'.repeat(40) }] },
    });
    expect(lines[2]).toMatchObject({ end: { results: true } });
    const mixed = await recorded(source([entry(1, { hasResults: true }), entry(2)]));
    expect(mixed[3]).not.toMatchObject({ end: { results: true } });
  });

  test('says where the history was trimmed while it was read', async () => {
    const entries = [1, 2, 3, 4, 5].map((n) => entry(n));
    const plain = source(entries);
    const torn = {
      ...plain,
      history: {
        read: async (request: HistoryRequest) => ({
          ...(await plain.history.read(request)),
          isTorn: request.after === '2',
        }),
      },
    };
    expect((await recorded(torn)).at(-1)).toMatchObject({ end: { commits: 5, torn: [3] } });
  });

  test('of one key stays one recording if the first transaction comes meanwhile', async () => {
    const plain = source([1, 2, 3].map((n) => entry(n)));
    const history = {
      read: async (request: HistoryRequest) => ({
        ...(await plain.history.read(request)),
        isJoint: request.after !== 0,
      }),
    };
    const lines = await recorded({ ...plain, history }, { key: 'ada' });
    expect(lines).toHaveLength(5);
    expect(lines.filter((line) => 'recording' in (line as object))).toHaveLength(1);
  });

  test('refuses a key that no key can be', async () => {
    await expect(recorded(source([entry(1)]), { key: '' })).rejects.toMatchObject({
      code: 'INVALID_KEY',
    });
  });

  test('given the updates, it makes values anew, so that a masked recording can be replayed', async () => {
    const truth = new History()
      .step('ada', [['deposit', 12_345]])
      .step('ada', [['deposit', 55]], { full: true })
      .step('ada', [['interest', 0]]);
    const asHistory = truth.commits.map(
      (commit): HistoryEntry => ({
        ...commit,
        origin: commit.base === 0 ? 'nothing' : 'base',
        value: commit.value === undefined ? undefined : JSON.stringify(commit.value),
        recovered: false,
        jobs: commit.jobs.map(({ id, update, data, ...job }) => ({
          ...job,
          jobId: id,
          name: update,
          decision: 'a',
          data: JSON.stringify(data),
        })),
      }),
    );
    const mask = { data: (data: unknown) => ({ ...(data as object), cents: 1 }) };
    const updates = [deposit, interest];
    const lines = await recorded(source(asHistory), { mask, updates });
    expect(lines[0]).toMatchObject({ recording: { masked: true, replayable: true } });
    expect(lines[2]).toMatchObject({ commit: { value: { cents: 2 } } });
    expect(JSON.stringify(lines)).not.toContain('12345');

    // It does not bless updates that do not repeat what was.
    const wrong = { ...deposit, apply: () => ({ cents: 0, log: [] }) };
    await expect(
      recorded(source(asHistory), { mask, updates: [wrong, interest] }),
    ).rejects.toMatchObject({
      code: 'RECORDING_MASKED',
      message: expect.stringContaining('do not give the value that was recorded'),
    });
    // A mask may change what it is given, and take its time.
    const inPlace = {
      data: async (data: unknown) => {
        (data as { cents: number }).cents = 1;
        return data;
      },
      value: (value: unknown) => value,
    };
    const contents = (some: readonly unknown[]): unknown[] =>
      some.slice(1).map((line) => ({ ...(line as object), chain: '' }));
    const again = await recorded(source(asHistory), { mask: inPlace, updates });
    expect(contents(again)).toEqual(contents(lines));
    const tooMuch = { data: () => ({}) };
    await expect(recorded(source(asHistory), { mask: tooMuch, updates })).rejects.toMatchObject({
      code: 'RECORDING_MASKED',
    });
  });
});
