/** What every engine of src/history/history.ts must do, and the lanes that write into it. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type HistoryEntry,
  type HistoryNote,
  type HistoryRequest,
  NO_VALUE_HASH,
  resultHash,
  valueHash,
} from '../../src/history/history.ts';
import type { Acknowledgement, Taken } from '../../src/jobs/lanes.ts';
import { committing, type JobFacts, type Stage, taking } from './lanes.suite.ts';

const KEY = 'cell:1';
const NOTE: HistoryNote = {
  origin: 'base',
  hash: valueHash('1'),
  value: undefined,
  attempts: new Map(),
  lengthMax: 1000,
  ageMs: 0,
};

export function historySuite(engine: string, openStage: () => Promise<Stage>): void {
  describe(engine, () => {
    let stage: Stage;

    beforeEach(async () => {
      stage = await openStage();
    });
    afterEach(() => stage.close());

    /** Enters jobs and takes them. */
    const enter = async (
      jobIds: readonly string[],
      facts: Partial<JobFacts> = {},
      key = KEY,
    ): Promise<Taken> => {
      for (const jobId of jobIds) await stage.addJob(jobId, facts);
      return stage.lanes.take(taking({ key, arrivals: jobIds }));
    };
    const acknowledge = async (
      taken: Taken,
      note: Partial<HistoryNote> | undefined,
      changes: Partial<Acknowledgement> = {},
    ): Promise<Acknowledgement> => {
      const commit = committing({
        dataSet: taken.dataSet.id,
        base: taken.copy.token,
        token: taken.token,
        watermark: taken.entries.at(-1)?.sequence ?? taken.copy.watermark,
        history: note && { ...NOTE, ...note },
        ...changes,
      });
      await stage.lanes.acknowledge(commit);
      return commit;
    };
    const read = async (request: Partial<HistoryRequest> = {}): Promise<readonly HistoryEntry[]> =>
      (await stage.history.read({ after: 0, ...request })).entries;
    const since = async (key = KEY): Promise<number> =>
      (await stage.other.take(taking({ key }))).sinceCheckpoint;

    test('has nothing at first, and nothing of commits without a note', async () => {
      await acknowledge(await enter(['a']), undefined);
      expect(await read()).toEqual([]);
      expect(await since()).toBe(-1);
    });

    test('has what was acknowledged: the jobs as they were, in order, and how each was decided', async () => {
      const first = await enter(['a', 'b'], { name: 'deposit', data: '{"cents":5}' });
      const decisions = new Map([
        ['a', 'a{"its":"result"}'],
        ['b', 'f{"code":"X","message":"why"}'],
      ]);
      const { token, watermark } = await acknowledge(
        first,
        { origin: 'nothing', attempts: new Map([['b', 3]]) },
        { decisions },
      );
      const job = { name: 'deposit', data: '{"cents":5}' };
      const [a, b] = first.entries;
      expect(await read()).toEqual([
        {
          id: expect.stringMatching(/^\d{13}-\d+$/),
          key: KEY,
          token,
          base: 0,
          watermark,
          origin: 'nothing',
          hash: NOTE.hash,
          value: undefined,
          recovered: false,
          hasResults: true,
          jobs: [
            { ...job, jobId: 'a', sequence: a?.sequence, attempt: 1, decision: decisions.get('a') },
            { ...job, jobId: 'b', sequence: b?.sequence, attempt: 3, decision: decisions.get('b') },
          ],
        },
      ]);
    });

    test('has short results, and of a long one its hash', async () => {
      const results = [
        '',
        '{"é":"\\n"}',
        JSON.stringify('x'.repeat(198)),
        JSON.stringify('é'.repeat(100)),
      ];
      const jobIds = results.map((_, n) => `r${n}`);
      const decisions = new Map(jobIds.map((jobId, n) => [jobId, `a${results[n]}`]));
      await acknowledge(await enter(jobIds), {}, { decisions });
      const [entry] = await read();
      const [none, short, longest, long] = results as [string, string, string, string];
      expect(entry?.jobs.map(({ decision }) => decision)).toEqual([
        ...[`a${none}`, `a${short}`, `a${longest}`, `a#${resultHash(long)}`],
      ]);
    });

    test('says that what should come next was trimmed', async () => {
      await acknowledge(await enter(['a']), {});
      const [first] = await read();
      const after = first?.id as string;
      const isTorn = async (): Promise<boolean | undefined> =>
        (await stage.history.read({ after })).isTorn;
      expect(await isTorn()).toBe(false);
      for (let n = 0; n < 250; n++) {
        await acknowledge(await enter([`j${n}`]), { lengthMax: 20 });
      }
      expect((await read()).some(({ id }) => id === after)).toBe(false);
      expect(await isTorn()).toBe(true);
      expect((await stage.history.read({ after: 0 })).isTorn).toBe(false);
    });

    test('keeps texts of every kind', async () => {
      const data = JSON.stringify({ text: '"\\\n\u001e\u2028é😀', list: [1.5, null, -0] });
      const names = { name: 'name "with" \\ \u001e é' };
      await acknowledge(await enter(['id "1"'], { ...names, data }), {
        origin: { adopted: '"\u2028😀"' },
        value: { json: '["\\u001e",1e21]' },
      });
      const [entry] = await read();
      expect(entry?.jobs[0]).toMatchObject({ jobId: 'id "1"', ...names, data });
      expect(entry).toMatchObject({ origin: { adopted: '"\u2028😀"' }, value: '["\\u001e",1e21]' });
    });

    test('records a commit once, however often it is acknowledged', async () => {
      const commit = await acknowledge(await enter(['a']), {});
      await stage.other.acknowledge(commit);
      expect(await read()).toHaveLength(1);
    });

    test('has nothing of a commit that was refused', async () => {
      const taken = await enter(['a']);
      await acknowledge(taken, {});
      const late = committing({ dataSet: taken.dataSet.id, token: taken.token + 1, history: NOTE });
      expect((await stage.lanes.acknowledge(late)).accepted).toBe(false);
      expect(await read()).toHaveLength(1);
    });

    test('takes the attempts of a commit that somebody else made from the jobs', async () => {
      const taken = await enter(['a'], { attemptsMade: 2 });
      await acknowledge(taken, { attempts: undefined });
      const [entry] = await read();
      expect(entry).toMatchObject({ recovered: true, jobs: [{ attempt: 3 }] });
    });

    test('says of a job that was removed meanwhile that it is gone, and gives the value instead', async () => {
      const taken = await enter(['a', 'b']);
      await stage.removeJob('a');
      await acknowledge(taken, { origin: 'nothing' }, { value: { json: '17' } });
      const [entry] = await read();
      expect(entry?.value).toBe('17');
      expect(entry?.jobs.map(({ jobId, name }) => [jobId, name])).toEqual([
        ['a', undefined],
        ['b', 'update'],
      ]);
      expect(await since()).toBe(0);
    });

    test('has no place to begin behind such a commit if nothing has its value', async () => {
      const taken = await enter(['a']);
      await stage.removeJob('a');
      await acknowledge(taken, { origin: 'nothing' }, { value: 'not-kept' });
      expect(await read()).toMatchObject([{ value: undefined }]);
      expect(await since()).toBe(-1);
    });

    describe('tells how far back a replay can begin', () => {
      const step = async (
        job: string,
        note: Partial<HistoryNote> | undefined,
        changes: Partial<Acknowledgement> = {},
      ): Promise<number> => {
        await acknowledge(await enter([job]), note, changes);
        return since();
      };

      test('counting from where the value is known', async () => {
        expect(await step('a', { origin: 'nothing' })).toBe(0);
        expect(await step('b', {})).toBe(1);
        expect(await step('c', {})).toBe(2);
        expect(await step('d', { value: 'copy' })).toBe(0);
        expect(await step('e', {})).toBe(1);
        expect(await step('f', { hash: NO_VALUE_HASH }, { value: 'deleted' })).toBe(0);
        expect(await step('g', { origin: { adopted: '1' } })).toBe(0);
        expect(await step('h', { origin: 'unknown' })).toBe(-1);
      });

      test('not across a commit that was not recorded', async () => {
        expect(await step('a', { origin: 'nothing' })).toBe(0);
        expect(await step('b', undefined)).toBe(-1);
        expect(await step('c', {})).toBe(-1);
        expect(await step('d', { value: { json: '1' } })).toBe(0);
      });

      test('and each key for itself', async () => {
        expect(await step('a', { origin: 'nothing' })).toBe(0);
        expect(await since('cell:2')).toBe(-1);
      });

      test('not further than the history reaches', async () => {
        expect(await step('a', { origin: 'nothing' })).toBe(0);
        await stage.sleep(30);
        const other = await enter(['x'], {}, 'cell:2');
        await acknowledge(other, { origin: 'nothing', lengthMax: 1 }, { key: 'cell:2' });
        const kept = await read();
        // Redis trims whole nodes of about a hundred entries, so it may not have got so far.
        expect(await since()).toBe(kept.length === 1 ? -1 : 0);
      });
    });

    test('keeps about so many entries', async () => {
      for (let n = 0; n < 300; n++) {
        await acknowledge(await enter([`j${n}`]), { origin: 'nothing', lengthMax: 20 });
      }
      const kept = await read();
      expect(kept.length).toBeGreaterThanOrEqual(20);
      expect(kept.length).toBeLessThan(150);
      expect(kept.at(-1)?.jobs[0]?.jobId).toBe('j299');
      expect(await since()).toBe(0);
      // The key whose only commit was trimmed cannot be replayed from it.
      await acknowledge(
        await enter(['old'], {}, 'cell:2'),
        { origin: 'nothing' },
        { key: 'cell:2' },
      );
      expect(await since('cell:2')).toBe(0);
      for (let n = 0; n < 250; n++) {
        await acknowledge(await enter([`k${n}`]), { lengthMax: 20 });
      }
      expect(await since('cell:2')).toBe(-1);
      expect(await since()).toBe(-1);
    });

    test('keeps entries about so long', async () => {
      for (let n = 0; n < 250; n++) {
        await acknowledge(await enter([`j${n}`]), { origin: 'nothing', ageMs: 600_000 });
      }
      expect(await read()).toHaveLength(250);
      await stage.sleep(20); // they must have become older than the next one allows
      await acknowledge(await enter(['young']), { ageMs: 10 });
      const kept = await read();
      expect(kept.at(-1)?.jobs[0]?.jobId).toBe('young');
      // Redis trims about a hundred at a time.
      expect(kept.length).toBeLessThan(100);
    });

    test('gives the commits of one key, from a time on and up to one', async () => {
      await acknowledge(await enter(['a']), {});
      await acknowledge(await enter(['b'], {}, 'cell:2'), {}, { key: 'cell:2' });
      await stage.sleep(30);
      await acknowledge(await enter(['c']), {});
      const jobs = async (request: Partial<HistoryRequest>): Promise<string[]> =>
        (await read(request)).flatMap((entry) => entry.jobs.map(({ jobId }) => jobId));
      expect(await jobs({})).toEqual(['a', 'b', 'c']);
      expect(await jobs({ key: KEY })).toEqual(['a', 'c']);
      expect(await jobs({ key: 'cell:3' })).toEqual([]);
      const ids = (await read()).map(({ id }) => id);
      const cMs = Number(ids[2]?.split('-')[0]);
      expect(await jobs({ after: cMs })).toEqual(['c']);
      expect(await jobs({ until: cMs - 1 })).toEqual(['a', 'b']);
      expect(await jobs({ after: ids[0] as string })).toEqual(['b', 'c']);
    });

    test('reads on page by page', async () => {
      const data = JSON.stringify('x'.repeat(300_000));
      for (let n = 0; n < 25; n++) {
        await acknowledge(await enter([`j${n}`], { data }), { origin: 'nothing' });
      }
      const found: (string | undefined)[] = [];
      let request: HistoryRequest | undefined = { after: 0 };
      while (request !== undefined) {
        const page = await stage.history.read(request);
        found.push(...page.entries.map(({ jobs }) => jobs[0]?.jobId));
        request = page.next;
      }
      expect(found).toEqual(Array.from({ length: 25 }, (_, n) => `j${n}`));
    });
  });
}
