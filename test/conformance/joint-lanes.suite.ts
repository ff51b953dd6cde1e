/** What every engine of src/jobs/joint-lanes.ts must do. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  IN_HAND_MS,
  JOINT_RUN_KEYS_MAX,
  type JointCommit,
  type JointKey,
} from '../../src/jobs/joint-lanes.ts';
import { TRANSACTION_KEYS_MAX } from '../../src/updates/transaction.ts';
import type { LaneEntry } from '../../src/jobs/lane.ts';
import type { Lanes, Taken } from '../../src/jobs/lanes.ts';
import { committing, type Stage, taking } from './lanes.suite.ts';

const [A, B, C, D, E] = ['cell:1', 'cell:2', 'cell:3', 'cell:4', 'cell:5'] as const;

export function jointLanesSuite(engine: string, openStage: () => Promise<Stage>): void {
  describe(`jobs of several keys, ${engine}`, () => {
    let stage: Stage;
    let lanes: Lanes;

    beforeEach(async () => {
      stage = await openStage();
      lanes = stage.lanes;
    });
    afterEach(() => stage.close());

    const enterJoint = async (jobId: string, ...keys: string[]): Promise<void> => {
      await stage.addJob(jobId);
      await lanes.enterJoint(jobId, keys);
    };
    const enterSingle = async (jobId: string, key: string): Promise<void> => {
      await stage.addJob(jobId);
      const { token, joint } = await lanes.take(taking({ key, arrivals: [jobId] }));
      await lanes.putBack([key, ...(joint?.others.keys() ?? [])], token);
    };
    /** And puts it back, so that whoever takes next is not told that somebody has it in hand. */
    const take = async (key: string): Promise<Taken> => {
      const taken = await stage.other.take(taking({ key }));
      await stage.other.putBack([key, ...(taken.joint?.others.keys() ?? [])], taken.token);
      return taken;
    };
    const jobsOf = async (key: string): Promise<string[]> =>
      (await stage.other.inspect(key, 100)).head.map(({ jobId }) => jobId);
    const outcomeOf = async (jobId: string): Promise<string> => {
      const location = await stage.other.locate(A, jobId);
      return location.kind === 'decided' ? location.outcome.replace(/^j\d+:/, 'j:') : location.kind;
    };
    /** Of the first jobs of a lane that were taken, each of `keys`; met at the first of them. */
    const commit = (
      taken: Taken,
      keys: readonly string[],
      decisions: Readonly<Record<string, string>>,
      changes: Partial<JointKey> = {},
    ): JointCommit => ({
      at: keys[0] as string,
      dataSet: taken.dataSet.id,
      token: taken.token,
      paceMs: 0,
      decisions: new Map(Object.entries(decisions)),
      keys: keys.map((key) => {
        const its = taken.entries.filter(
          ({ jobId, keys: all }) =>
            decisions[jobId]?.[0] !== 'h' && jobId in decisions && all?.includes(key),
        );
        const copy = taken.joint?.others.get(key)?.copy ?? taken.copy;
        return {
          key,
          base: copy.token,
          watermark: its.at(-1)?.sequence ?? copy.watermark,
          jobIds: its.map(({ jobId }) => jobId),
          value: { json: `"${key}"` },
          expireMs: 0,
          ...changes,
        };
      }),
    });

    test('a job enters all its lanes with one sequence, and each of them tells its keys', async () => {
      await enterJoint('j', A, B);
      const [a, b] = [await take(A), await take(B)];
      expect(a.entries[0]).toMatchObject({ jobId: 'j', keys: [A, B] });
      expect(b.entries[0]).toMatchObject({ jobId: 'j', keys: [A, B] });
      expect(b.entries[0]?.sequence).toBe(a.entries[0]?.sequence);
      expect(a.entries[0]).not.toHaveProperty('late');
    });

    test('it enters once, and keeps its keys', async () => {
      await enterJoint('j', A, B);
      await enterJoint('k', A, B);
      await lanes.enterJoint('j', [A, C]);
      expect(await jobsOf(A)).toEqual(['j', 'k']);
      expect(await jobsOf(C)).toEqual([]);
    });

    test('one that is gone, finished or decided enters nothing', async () => {
      await lanes.enterJoint('nobody', [A, B]);
      await stage.addJob('done', { finished: 'completed' });
      await lanes.enterJoint('done', [A, B]);
      await stage.addJob('decided', { outcome: 'a' });
      await lanes.enterJoint('decided', [A, B]);
      expect(await jobsOf(A)).toEqual([]);
      expect(await jobsOf(B)).toEqual([]);
    });

    test('a delivered one is not taken into one lane alone', async () => {
      await enterJoint('j', A, B);
      const taken = await take(A);
      await lanes.acknowledgeJoint(commit(taken, [A, B], { j: 's' }));
      await lanes.take(taking({ arrivals: ['j'] }));
      expect(await jobsOf(A)).toEqual([]);
      await lanes.enterJoint('j', [A, B]);
      expect([await jobsOf(A), await jobsOf(B)]).toEqual([['j'], ['j']]);
    });

    test('is ready if it is the next one in all its lanes, and says in which it is not', async () => {
      await enterSingle('first', B);
      await enterJoint('j', A, B, C);
      const waiting = { ready: 0, blockedBy: [B], stands: false, missingIn: [] };
      expect((await take(A)).joint).toMatchObject(waiting);
      expect((await take(B)).joint).toBeUndefined();
      await stage.removeJob('first');
      expect((await take(B)).gone).toEqual(['first']);
      expect((await take(A)).joint).toMatchObject({ ready: 1, blockedBy: [] });
    });

    test('whoever looks at a lane sees what its first job waits for', async () => {
      await enterSingle('first', B);
      await enterSingle('second', B);
      await enterJoint('j', A, B, C);
      const { head } = await stage.views.one(A);
      expect(head?.joint).toEqual({
        keys: [A, B, C],
        waitsFor: [
          {
            key: B,
            before: 2,
            first: { jobId: 'first', name: 'update', ageMs: expect.any(Number) },
          },
        ],
        missingIn: [],
        failsInMs: undefined,
      });
      expect((await stage.views.one(B)).head?.joint).toBeUndefined();
      const page = {
        state: 'all',
        order: 'newest',
        limit: 9,
        search: '',
        after: undefined,
      } as const;
      const { lanes: all } = await stage.views.page(page);
      expect(all.map(({ key, head: its }) => [key, its?.joint?.keys])).toEqual([
        [C, [A, B, C]],
        [A, [A, B, C]],
        [B, undefined],
      ]);
    });

    test('how long it has waited is kept with the job, until it enters anew', async () => {
      await enterSingle('first', B);
      await enterJoint('j', A, B);
      const { sequence = 0 } = (await take(A)).entries[0] ?? {};
      expect(await lanes.noteWait('j', sequence, 60_000)).toBe(0);
      await stage.sleep(20);
      expect(await stage.other.noteWait('j', sequence, 60_000)).toBeGreaterThanOrEqual(19);
      const failsInMs = (await stage.views.one(A)).head?.joint?.failsInMs;
      expect(failsInMs).toBeLessThanOrEqual(59_981);
      expect(failsInMs).toBeGreaterThan(30_000);
      expect(await lanes.noteWait('j', sequence + 1, 60_000)).toBe(0);
      expect((await stage.views.one(A)).head?.joint?.failsInMs).toBeUndefined();
      expect(await lanes.noteWait('nobody', 1, 60_000)).toBe(0);
    });

    test('several are ready together as far as only they are before each other', async () => {
      await enterJoint('j', A, B);
      await enterJoint('k', B, A);
      await enterSingle('single', C);
      await enterJoint('l', A, C);
      const { joint } = await take(A);
      expect(joint?.ready).toBe(2);
      expect([...(joint?.others.keys() ?? [])]).toEqual([B]);
    });

    test('a run ends before a job of one key', async () => {
      await enterJoint('j', A, B);
      await enterSingle('single', A);
      await enterJoint('k', A, B);
      expect((await take(A)).joint?.ready).toBe(1);
    });

    test('a run has so many keys at most', async () => {
      for (let at = 0; at <= JOINT_RUN_KEYS_MAX; at++) await enterJoint(`m${at}`, C, `other:${at}`);
      const { joint } = await lanes.take(taking({ key: C, jobsMax: 1000 }));
      expect(joint?.ready).toBe(JOINT_RUN_KEYS_MAX - 1);
      expect(joint?.others.size).toBe(JOINT_RUN_KEYS_MAX - 1);
    });

    test('what is before a job in its other lanes is taken with it, in order', async () => {
      await enterJoint('1', C, D);
      await enterJoint('2', B, C);
      await enterJoint('3', B, D);
      await enterJoint('4', A, B);
      await enterJoint('5', D, E);
      const { entries, joint, length } = await take(A);
      expect(entries.map(({ jobId }) => jobId)).toEqual(['1', '2', '3', '4']);
      expect(joint?.ready).toBe(4);
      expect([...(joint?.others.keys() ?? [])].toSorted()).toEqual([B, C, D]);
      expect(length).toBe(1);
    });

    test('a run may end before the first job of the lane, and is in order in its lanes', async () => {
      await enterJoint('1', C, D);
      await enterJoint('2', B, C);
      await enterJoint('3', A, B);
      const { entries, joint } = await lanes.take(taking({ key: A, jobsMax: 2 }));
      expect(entries.map(({ jobId }) => jobId)).toEqual(['1', '2']);
      expect(joint?.ready).toBe(2);
    });

    test('one that was tried before is in a run that begins with it, and in no other', async () => {
      await enterJoint('1', B, C);
      await enterJoint('2', A, B);
      await stage.changeJob('1', { attemptsMade: 1 });
      const standing = { ready: 0, blockedBy: [B], stands: true, isInHand: false };
      expect((await take(A)).joint).toMatchObject(standing);
      const { entries } = await take(B);
      expect(entries.map(({ jobId }) => jobId)).toEqual(['1', '2']);
    });

    test('one behind a job of one key that was tried before stands still with it', async () => {
      await enterSingle('first', B);
      await enterJoint('j', A, B);
      await lanes.direct('first', 'deliver');
      expect((await take(A)).joint).toMatchObject({ ready: 0, blockedBy: [B], stands: true });
    });

    test('whose keys somebody has in hand is not taken for a moment, but for another lane', async () => {
      await enterJoint('1', A, B);
      await enterJoint('2', B, C);
      await enterJoint('3', D, E);
      const { token, entries, joint } = await lanes.take(taking({ key: A }));
      expect(entries.map(({ jobId }) => jobId)).toEqual(['1']);
      for (const key of [A, B]) {
        const again = await stage.other.take(taking({ key }));
        expect(again.joint).toMatchObject({ ready: 0, blockedBy: [], isInHand: true });
      }
      expect((await stage.other.take(taking({ key: D }))).joint?.ready).toBe(1);
      await lanes.putBack([A, ...(joint?.others.keys() ?? [])], token);
      expect((await stage.other.take(taking({ key: C }))).entries).toHaveLength(2);
    });

    // As behind a clock that was set back: tokens are drawn ahead of the time until it has caught up.
    test('nor with a counter that is ahead of the clock, and an operator is told since when', async () => {
      await lanes.renumber(E, (Date.now() + 3_600_000) * 1_000);
      await enterJoint('1', A, B);
      await lanes.take(taking({ key: A }));
      expect((await stage.other.take(taking({ key: B }))).joint?.isInHand).toBe(true);
      await stage.sleep(IN_HAND_MS);
      expect((await stage.views.one(A)).inHand?.sinceMs).toBeGreaterThanOrEqual(IN_HAND_MS);
      expect((await stage.other.take(taking({ key: B }))).joint?.ready).toBe(1);
    });

    test('nor are a few jobs that end there', async () => {
      await enterJoint('1', A, B);
      await enterJoint('2', C, D);
      await enterJoint('3', B, C);
      await lanes.take(taking({ key: A, jobsMax: 1 }));
      expect((await stage.other.take(taking({ key: C }))).joint).toMatchObject({
        ready: 0,
        isInHand: true,
      });
      await stage.sleep(IN_HAND_MS);
      const { entries } = await stage.other.take(taking({ key: C }));
      expect(entries.map(({ jobId }) => jobId)).toEqual(['2', '1', '3']);
    });

    test('which is forgotten after a while', async () => {
      await enterJoint('1', A, B);
      await lanes.take(taking({ key: A }));
      await stage.sleep(IN_HAND_MS);
      expect((await stage.other.take(taking({ key: B }))).joint?.ready).toBe(1);
    });

    test('one that is missing in a lane says so', async () => {
      await enterJoint('j', A, B);
      // An operator makes the copy say that it has been decided at B alone.
      const { dataSet, token, entries } = await take(B);
      const watermark = entries[0]?.sequence ?? 0;
      await lanes.overwriteCopy(
        committing({ key: B, dataSet: dataSet.id, token, watermark, sequences: [watermark] }),
      );
      expect((await take(A)).joint).toMatchObject({ ready: 0, blockedBy: [], missingIn: [B] });
    });

    test('a commit changes all copies and lanes, and leaves outcomes that name it', async () => {
      await enterJoint('j', A, B);
      const taken = await take(A);
      const joint = commit(taken, [A, B], { j: 'a7' });
      expect(await lanes.acknowledgeJoint(joint)).toEqual({ accepted: true, onward: [] });
      const copies = await stage.other.snapshot([A, B, C]);
      expect(copies.map(({ token, value }) => ({ token, value }))).toEqual([
        { token: taken.token, value: { json: `"${A}"` } },
        { token: taken.token, value: { json: `"${B}"` } },
        { token: 0, value: 'deleted' },
      ]);
      expect([await jobsOf(A), await jobsOf(B)]).toEqual([[], []]);
      expect(await outcomeOf('j')).toBe('j:a7');
      expect((await lanes.take(taking({ arrivals: ['j'] }))).decided.get('j')).toBe(
        `j${taken.token}:a7`,
      );
    });

    test('it is accepted once more as long as its keys have not gone on', async () => {
      await enterJoint('j', A, B);
      const joint = commit(await take(A), [A, B], { j: 'a' });
      await lanes.acknowledgeJoint(joint);
      expect(await lanes.acknowledgeJoint(joint)).toEqual({ accepted: true });
      await enterJoint('k', B, C);
      await lanes.acknowledgeJoint(commit(await take(B), [B, C], { k: 'a' }));
      expect(await lanes.acknowledgeJoint(joint)).toEqual({ accepted: false });
    });

    test.each([
      { metAt: A, others: [B, C, D], onward: [C] },
      { metAt: D, others: [A, B, C], onward: [A, B, C] },
    ])(
      '$metAt: it tells the other lanes whose next job is not in the one where it was met',
      async ({ metAt, others, onward }) => {
        await enterJoint('j', A, B, C, D);
        await enterJoint('k', A, B);
        await enterSingle('l', C);
        const joint = commit(await take(metAt), [metAt, ...others], { j: 'a' });
        expect(await lanes.acknowledgeJoint(joint)).toEqual({ accepted: true, onward });
      },
    );

    test('it is refused if another copy has gone on', async () => {
      await enterJoint('j', A, B);
      const taken = await take(A);
      const joint = commit(taken, [A, B], { j: 'a' });
      const { token, dataSet } = await take(B);
      const held = { base: 0, token, watermark: 0, decided: 0, dataSet: dataSet.id };
      expect(await lanes.acknowledge(committing({ key: B, ...held }))).toMatchObject({
        accepted: true,
      });
      expect(await lanes.acknowledgeJoint(joint)).toEqual({ accepted: false });
      expect([await jobsOf(A), await jobsOf(B)]).toEqual([['j'], ['j']]);
      expect((await stage.other.snapshot([A]))[0]?.token).toBe(0);
    });

    test('it is refused if its job is no longer in all its lanes, or not the first', async () => {
      await enterJoint('j', A, B);
      const joint = commit(await take(A), [A, B], { j: 'a' });
      expect(await lanes.withdraw('j', 'f{}')).toBe(true);
      expect(await lanes.acknowledgeJoint(joint)).toEqual({ accepted: false });
      await enterSingle('first', B);
      await enterJoint('k', A, B);
      const taken = await take(A);
      expect(await lanes.acknowledgeJoint(commit(taken, [A, B], { k: 'a' }))).toEqual({
        accepted: false,
      });
    });

    test('it is refused if its lanes hold more up to its watermarks than its jobs, or less', async () => {
      await enterJoint('j', A, B);
      const taken = await take(A);
      const { sequence } = taken.entries[0] as LaneEntry;
      // As of a job that has left its lanes since, and entered them again.
      for (const apart of [{ watermark: sequence - 1 }, { jobIds: [] }]) {
        const joint = commit(taken, [A, B], { j: 'a' }, apart);
        expect(await lanes.acknowledgeJoint(joint)).toEqual({ accepted: false });
      }
      expect(await outcomeOf('j')).toBe('waiting');
    });

    test('it is refused by another data set, and if its token was never drawn', async () => {
      await enterJoint('j', A, B);
      const joint = commit(await take(A), [A, B], { j: 'a' });
      expect(await lanes.acknowledgeJoint({ ...joint, dataSet: 'another' })).toEqual({
        accepted: false,
      });
      const ahead = { ...joint, token: joint.token + 10_000_000 };
      expect(await lanes.acknowledgeJoint(ahead)).toEqual({ accepted: false, wentBack: true });
    });

    test('a snapshot tells the first keys, as far as their values have no more than 32 MiB', async () => {
      await enterJoint('j', A, B);
      const large = { value: { json: `"${'x'.repeat(17 * 1024 * 1024)}"` } };
      await lanes.acknowledgeJoint(commit(await take(A), [A, B], { j: 'a' }, large));
      const [first, ...others] = await stage.other.snapshot([A, B]);
      expect(first?.value).toEqual(large.value);
      expect(others).toEqual([]);
      expect(await stage.other.snapshot([C, B])).toHaveLength(2);
    });

    test('is behind until it is settled', async () => {
      await enterJoint('j', A, B);
      const joint = commit(await take(A), [A, B], { j: 'a' });
      await lanes.acknowledgeJoint(joint);
      const { token } = joint;
      expect(await stage.other.behind(token)).toEqual([{ token, keys: [A, B] }]);
      expect(await stage.other.behind(token + 1)).toEqual([]);
      expect(await stage.other.behind()).toEqual([{ token, keys: [A, B] }]);
      await lanes.settled(token);
      expect(await stage.other.behind()).toEqual([]);
    });

    test('until then, whoever takes one of its lanes is told so, and nobody of an older commit', async () => {
      await enterJoint('older', C, D);
      await lanes.acknowledgeJoint(commit(await take(C), [C, D], { older: 'a' }));
      await lanes.settled((await take(C)).copy.token);
      await enterJoint('j', A, B);
      const joint = commit(await take(A), [A, B], { j: 'a' }, { expireMs: 60_000 });
      await lanes.acknowledgeJoint(joint);
      await enterJoint('next', D, B);
      const told = async (): Promise<unknown[]> => {
        const [a, d] = [await take(A), await take(D)];
        return [a.copy, d.copy, d.joint?.others.get(B)?.copy].map((copy) => copy?.behind ?? false);
      };
      expect(await told()).toEqual([true, false, true]);
      expect((await take(A)).copy.cascadeTo).toBe(0);
      await lanes.settled(joint.token);
      expect(await told()).toEqual([false, false, false]);
    });

    test('a job that is moved enters all its lanes anew, with one sequence', async () => {
      await enterJoint('j', A, B);
      await enterJoint('k', A, B);
      const taken = await take(A);
      await lanes.acknowledgeJoint(commit(taken, [A, B], { j: 'm' }));
      expect([await jobsOf(A), await jobsOf(B)]).toEqual([
        ['k', 'j'],
        ['k', 'j'],
      ]);
      expect((await take(A)).joint?.ready).toBe(2);
    });

    test('a run of hundreds of jobs can move, each with eight keys', {
      timeout: 60_000,
    }, async () => {
      const keys = Array.from({ length: TRANSACTION_KEYS_MAX }, (_, at) => `cell:${at + 1}`);
      const jobIds = Array.from({ length: 520 }, (_, at) => `moving-${at}`);
      for (const jobId of jobIds) await enterJoint(jobId, ...keys);
      const taken = await stage.other.take(taking({ key: A, jobsMax: jobIds.length }));
      expect(taken.joint?.ready).toBe(jobIds.length);
      const moved = Object.fromEntries(jobIds.map((jobId) => [jobId, 'm']));
      expect(await lanes.acknowledgeJoint(commit(taken, keys, moved))).toMatchObject({
        accepted: true,
      });
      expect((await stage.other.inspect(keys.at(-1) as string, 0)).length).toBe(jobIds.length);
    });

    test('one that fails and cascades reaches the ends of all its lanes', async () => {
      await enterJoint('j', A, B);
      await enterSingle('single', B);
      const taken = await take(A);
      await lanes.acknowledgeJoint(commit(taken, [A, B], { j: 'c{}' }));
      const after = await take(B);
      expect(after.copy.cascadeTo).toBe(after.entries[0]?.sequence);
    });

    test('one that holds stays in its lanes, and the tokens go on', async () => {
      await enterJoint('j', A, B);
      const taken = await take(A);
      expect(await lanes.acknowledgeJoint(commit(taken, [A, B], { j: 'hwhy' }))).toMatchObject({
        accepted: true,
      });
      const again = await take(B);
      expect(again.entries[0]).toMatchObject({ directive: 'held', failedReason: 'why' });
      expect(again.copy.token).toBe(taken.token);
    });

    test('one that holds, but has given up since it was taken, changes nothing: its lanes go on', async () => {
      await enterJoint('j', A, B);
      await enterSingle('single', B);
      const taken = await take(A);
      await lanes.withdraw('j', 'f{}');
      expect(await lanes.acknowledgeJoint(commit(taken, [A, B], { j: 'hwhy' }))).toEqual({
        accepted: false,
      });
      const { copy, entries } = await take(B);
      expect([copy.token, entries[0]?.jobId]).toEqual([0, 'single']);
    });

    test('one that holds, but is gone, changes nothing', async () => {
      await enterJoint('j', A, B);
      const taken = await take(A);
      await stage.removeJob('j');
      expect(await lanes.acknowledgeJoint(commit(taken, [A, B], { j: 'hwhy' }))).toEqual({
        accepted: false,
      });
    });

    test('one that gives up leaves all lanes, once', async () => {
      await enterJoint('j', A, B);
      expect(await lanes.withdraw('j', 'f{"code":"X","message":""}')).toBe(true);
      expect(await lanes.withdraw('j', 'f{}')).toBe(false);
      expect([await jobsOf(A), await jobsOf(B)]).toEqual([[], []]);
      expect(await outcomeOf('j')).toBe('f{"code":"X","message":""}');
    });

    test('a key whose lane has lost a job since its last commit is told', async () => {
      await enterSingle('gone', B);
      await stage.removeJob('gone');
      await enterJoint('j', A, B);
      await take(B);
      const taken = await take(A);
      expect(taken.joint).toMatchObject({ ready: 1, lost: false });
      expect(taken.joint?.others.get(B)?.lost).toBe(true);
      await lanes.acknowledgeJoint(commit(taken, [A, B], { j: 'a' }));
      await enterJoint('k', A, B);
      const after = await take(A);
      expect(after.joint?.others.get(B)?.lost).toBe(false);
      await stage.sleep(5);
      // What was noted of a key without a copy does not have the copy expire.
      expect((await stage.other.snapshot([B]))[0]?.token).toBe(taken.token);
    });
  });
}
