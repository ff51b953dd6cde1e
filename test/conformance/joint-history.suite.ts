/** What every engine of src/history/history.ts must do with joint commits, and the lanes that write them into it. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type HistoryEntry,
  type JointKeyNote,
  type JointNote,
  NO_VALUE_HASH,
  resultHash,
  valueHash,
} from '../../src/history/history.ts';
import type { JointCommit, JointKey } from '../../src/jobs/joint-lanes.ts';
import type { Taken } from '../../src/jobs/lanes.ts';
import { committing, type Stage, taking } from './lanes.suite.ts';

const [A, B, C] = ['cell:1', 'cell:2', 'cell:3'] as const;
const LONG = JSON.stringify('x'.repeat(2000));

interface Facts {
  readonly values?: Readonly<Record<string, string | undefined>>;
  readonly keyNote?: (key: string) => Partial<JointKeyNote>;
  readonly note?: Partial<JointNote>;
  readonly decisions?: Readonly<Record<string, string>>;
}

export function jointHistorySuite(engine: string, openStage: () => Promise<Stage>): void {
  describe(engine, () => {
    let stage: Stage;

    beforeEach(async () => {
      stage = await openStage();
    });
    afterEach(() => stage.close());

    const enter = async (jobId: string, ...keys: string[]): Promise<void> => {
      await stage.addJob(jobId, { name: 'transfer', data: `{"of":"${jobId}"}` });
      await stage.lanes.enterJoint(jobId, keys);
    };
    /** A commit of all joint jobs at the head of A's lane; each value is its key, unless it is given. */
    const commit = (taken: Taken, facts: Facts = {}): JointCommit => {
      const { entries, joint, copy, token, dataSet } = taken;
      const run = entries.slice(0, joint?.ready);
      const keys = [A, ...(joint?.others.keys() ?? [])].toSorted();
      const decisions = new Map(
        run.map(({ jobId }) => [jobId, facts.decisions?.[jobId] ?? 'a'] as const),
      );
      const jsonOf = (key: string): string | undefined =>
        facts.values === undefined ? `"${key}"` : facts.values[key];
      return {
        ...{ at: A, dataSet: dataSet.id, token, paceMs: 0, decisions },
        keys: keys.map((key): JointKey => {
          const its = run.filter(({ keys: own }) => own?.includes(key));
          const { token: base, watermark } = joint?.others.get(key)?.copy ?? copy;
          const json = jsonOf(key);
          return {
            ...{ key, base, watermark: its.at(-1)?.sequence ?? watermark, expireMs: 0 },
            jobIds: its.map(({ jobId }) => jobId),
            value: json === undefined ? 'deleted' : { json },
          };
        }),
        history: {
          keys: keys.map((key) => ({
            origin: 'base',
            hash: valueHash(jsonOf(key)),
            isShort: (jsonOf(key)?.length ?? 0) < 100,
            ...facts.keyNote?.(key),
          })),
          jobs: run.map(({ jobId, sequence, attemptsMade, keys: own = [] }) => ({
            ...{ jobId, sequence, attempt: attemptsMade + 1 },
            places: own.map((key) => keys.indexOf(key)),
          })),
          ...{ checkpointEvery: 3, lengthMax: 1000, ageMs: 0 },
          ...facts.note,
        },
      };
    };
    const take = (key: string = A): Promise<Taken> => stage.other.take(taking({ key }));
    /** One more job of these keys, committed. */
    let jobs = 0;
    const go = async (keys: readonly string[], facts: Facts = {}): Promise<JointCommit> => {
      await enter(`j${jobs++}`, ...keys);
      const made = commit(await take(), facts);
      expect(await stage.lanes.acknowledgeJoint(made)).toMatchObject({ accepted: true });
      return made;
    };
    const read = async (): Promise<readonly HistoryEntry[]> =>
      (await stage.history.read({ after: 0 })).entries;
    const since = async (key: string): Promise<number> => (await take(key)).sinceCheckpoint;

    test('an entry for each key, one behind the other; the first has the jobs, with their keys', async () => {
      expect((await stage.history.read({ after: 0 })).isJoint ?? false).toBe(false);
      await enter('j', B, A);
      await enter('k', A, B);
      const decisions = { j: 'a"its result"', k: 'f{"code":"X","message":"why"}' };
      const made = commit(await take(), {
        decisions,
        keyNote: (key) => (key === A ? { origin: 'nothing' } : { origin: { adopted: '5' } }),
      });
      await stage.lanes.acknowledgeJoint(made);
      const { entries, isJoint } = await stage.history.read({ after: 0 });
      expect(isJoint).toBe(true);
      const [first] = entries;
      const common = { token: made.token, base: 0, recovered: false, hasResults: true };
      const job = { name: 'transfer', attempt: 1 };
      const at = made.history?.jobs.map(({ sequence }) => sequence);
      expect(entries).toEqual([
        {
          ...{ ...common, id: expect.any(String), key: A, keys: [A, B], origin: 'nothing' },
          ...{ hash: valueHash(`"${A}"`), value: `"${A}"`, watermark: at?.[1] },
          jobs: [
            {
              ...{ ...job, jobId: 'j', keys: [B, A], decision: decisions.j, data: '{"of":"j"}' },
              sequence: at?.[0],
            },
            {
              ...{ ...job, jobId: 'k', keys: [A, B], decision: decisions.k, data: '{"of":"k"}' },
              sequence: at?.[1],
            },
          ],
        },
        {
          ...{ ...common, id: expect.any(String), key: B, head: first?.id, jobs: [] },
          ...{ origin: { adopted: '5' }, hash: valueHash(`"${B}"`), value: `"${B}"` },
          watermark: at?.[1],
        },
      ]);
    });

    test('what is refused is not recorded, nor what has no note', async () => {
      await enter('j', A, B);
      const made = commit(await take());
      const others = made.keys.map((key) => ({ ...key, base: key.base + 1 }));
      await stage.lanes.acknowledgeJoint({ ...made, keys: others });
      expect(await read()).toEqual([]);
      await stage.lanes.acknowledgeJoint({ ...made, history: undefined });
      await stage.lanes.acknowledgeJoint(made); // once more: its answer was lost
      expect(await read()).toEqual([]);
      expect(await since(A)).toBe(-1);
    });

    test('a long result is recorded by its hash, and a job that holds its lanes not at all', async () => {
      const long = JSON.stringify('y'.repeat(300));
      await enter('j', A, B);
      await enter('k', A, B);
      const whole = commit(await take(), { decisions: { j: `a${long}`, k: 'hheld' } });
      const keys = whole.keys.map((key) => ({ ...key, jobIds: ['j'] }));
      const at = whole.history?.jobs[0]?.sequence as number;
      const history = {
        ...(whole.history as JointNote),
        jobs: whole.history?.jobs.slice(0, 1) ?? [],
      };
      const made = { ...whole, keys: keys.map((key) => ({ ...key, watermark: at })), history };
      expect(await stage.lanes.acknowledgeJoint(made)).toMatchObject({ accepted: true });
      const [first] = await read();
      expect(first?.jobs.map(({ jobId, decision }) => [jobId, decision])).toEqual([
        ['j', `a#${resultHash(long)}`],
      ]);
    });

    describe('values', () => {
      const values = { [A]: '1', [B]: LONG };
      const full = async (): Promise<(string | undefined)[]> =>
        (await read()).map(({ value }) => value && (value.length > 100 ? 'long' : value));

      test('that are short are written down always; long ones where a replay cannot go on otherwise', async () => {
        await go([A, B], { values });
        expect(await full()).toEqual(['1', 'long']); // nothing was known of them
        await go([A, B], { values });
        await go([A, B], { values });
        expect((await full()).slice(2)).toEqual(['1', undefined, '1', undefined]);
        expect([await since(A), await since(B)]).toEqual([0, 2]);
        await go([A, B], { values });
        expect((await full()).slice(6)).toEqual(['1', 'long']); // the third since then
        expect([await since(A), await since(B)]).toEqual([0, 0]);
      });

      test('of all keys, if that of one is not known', async () => {
        await go([A, B], { values: { [A]: LONG, [B]: LONG } });
        await go([A, B], { values: { [A]: LONG, [B]: LONG } });
        expect((await full()).slice(2)).toEqual([undefined, undefined]);
        await go([A, C, B], { values: { [A]: LONG, [B]: LONG, [C]: LONG } });
        expect((await full()).slice(4)).toEqual(['long', 'long', 'long']);
      });

      test('not of keys that begin with it', async () => {
        const begins = { keyNote: () => ({ origin: 'nothing' }) as const };
        await go([A, B], { values: { [A]: LONG, [B]: LONG }, ...begins });
        expect(await full()).toEqual([undefined, undefined]);
        expect([await since(A), await since(B)]).toEqual([1, 1]);
        await go([A, B], { values: { [A]: undefined, [B]: LONG } });
        const [, , deleted, other] = await read();
        expect([deleted?.hash, deleted?.value, other?.value]).toEqual([
          NO_VALUE_HASH,
          undefined,
          undefined,
        ]);
        expect([await since(A), await since(B)]).toEqual([0, 2]);
      });

      test('of a commit with a job that is gone, so that a replay can begin behind it', async () => {
        await go([A, B], { values: { [A]: LONG, [B]: LONG } });
        await enter('gone', A, B);
        const made = commit(await take(), { values: { [A]: LONG, [B]: LONG } });
        await stage.removeJob('gone');
        await stage.lanes.acknowledgeJoint(made);
        const entries = (await read()).slice(2);
        expect(entries.map(({ value }) => value)).toEqual([LONG, LONG]);
        expect(entries[0]?.jobs).toMatchObject([{ jobId: 'gone', name: undefined, data: '' }]);
      });

      test('a commit of one key goes on from a joint one', async () => {
        await go([A, B], { values });
        await go([A, B], { values });
        const taken = await take(B);
        expect(taken.sinceCheckpoint).toBe(1);
        const single = committing({
          ...{ key: B, dataSet: taken.dataSet.id, base: taken.copy.token, token: taken.token },
          watermark: taken.copy.watermark,
          value: { json: LONG },
          history: {
            ...{ origin: 'base', hash: valueHash(LONG), value: undefined, attempts: new Map() },
            ...{ lengthMax: 1000, ageMs: 0 },
          },
        });
        await stage.lanes.acknowledge(single);
        expect(await since(B)).toBe(2);
      });
    });
  });
}
