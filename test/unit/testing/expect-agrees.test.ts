/** `expectAgrees` names the job. */
import { expect, test } from 'vitest';
import { replay } from '../../../src/history/replay/replay.ts';
import { expectAgrees, ExpectationError } from '../../../src/testing.ts';
import type { AnyUpdate } from '../../../src/updates/update.ts';
import { deposit, History, linesOf } from '../../support/recorded.ts';

const history = new History();
for (const cents of [1, 2, 3]) history.step('ada', [['deposit', cents]], { full: true });
const lines = linesOf(history.commits);

test('passes if all is as it was', async () => {
  expectAgrees(await replay(lines, [deposit]));
});

test('names the first job that differs, with both values', async () => {
  const dearer = { ...deposit, apply: () => ({ cents: 0, log: [] }) } as unknown as AnyUpdate;
  const report = await replay(lines, [dearer]);
  const failing = (): void => expectAgrees(report);
  expect(failing).toThrow(ExpectationError);
  expect(failing).toThrow(
    /the replay differs:\nada\n {2}DIFFERS first at line 2, .*job 1 \(deposit\)/,
  );
  expect(failing).toThrow(/- {2}"cents": 1,\n/);
});

test('does not pass what was not checked', async () => {
  const late = new History().unrecorded('ada', [['deposit', 1]]).step('ada', [['deposit', 2]]);
  const report = await replay(linesOf(late.commits), [deposit]);
  expect(() => expectAgrees(report)).toThrow(/could not check everything:[\s\S]*NOT CHECKED/);
});
