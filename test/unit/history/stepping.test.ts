/** Stepping through one key: forwards, back, to a job, until a condition. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NO_VALUE, NOT_KNOWN, stepsOf } from '../../../src/history/stepping/key-steps.ts';
import { editBetween, edited, undone } from '../../../src/history/stepping/text-edit.ts';
import { Walk } from '../../../src/history/stepping/walk.ts';
import type { AnyUpdate } from '../../../src/updates/update.ts';
import { deposit, History, interest, linesOf } from '../../support/recorded.ts';

describe('an edit', () => {
  test('leads from one text to another and back', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '😀'), maxLength: 12 });
    fc.assert(
      fc.property(text, text, (before, after) => {
        const edit = editBetween(before, after);
        expect(edited(before, edit)).toBe(after);
        expect(undone(after, edit)).toBe(before);
      }),
    );
  });

  test('has only what differs', () => {
    const long = 'x'.repeat(10_000);
    const edit = editBetween(`${long}1${long}`, `${long}22${long}`);
    expect(edit).toEqual({ at: 10_000, removed: '1', inserted: '22' });
  });
});

/** Every value on the way, forwards; and the same on the way back. */
function valuesOf(walk: Walk): string[] {
  const forwards = [walk.after];
  while (walk.next()) forwards.push(`${walk.before} → ${walk.after}`);
  const back: string[] = [];
  do back.unshift(walk.place === 0 ? walk.after : `${walk.before} → ${walk.after}`);
  while (walk.back());
  expect(back).toEqual(forwards);
  return forwards;
}

const cents = (text: string): string =>
  text.replaceAll(/\{"cents":(\d+),"log":\[[^\]]*\]\}/g, '$1');

async function walkOf(
  history: History,
  updates: readonly AnyUpdate[] = [deposit, interest],
): Promise<Walk> {
  return new Walk((await stepsOf(linesOf(history.commits), updates, 'ada')).steps);
}

const three = (): History =>
  new History()
    .step('ada', [
      ['deposit', 10],
      ['deposit', 20],
    ])
    .step('bob', [['deposit', 1]])
    .step('ada', [['interest', 0]], { full: true })
    .step('ada', [['deposit', 5]]);

describe('the steps of a key', () => {
  test('are its jobs, with the value before and behind each', async () => {
    const walk = await walkOf(three());
    expect(valuesOf(walk).map(cents)).toEqual([...['', ' → 10', '10 → 30', '30 → 33', '33 → 38']]);
    expect(walk.steps.map(({ line, job, commit }) => [line, job.id, commit?.kind])).toEqual([
      [2, '1', undefined],
      [2, '2', 'agrees'],
      [4, '4', 'agrees'],
      [5, '5', 'agrees'],
    ]);
  });

  test('are those of asynchronous updates, too', async () => {
    const later: AnyUpdate = {
      ...(deposit as AnyUpdate),
      apply: async (...args) => (deposit as AnyUpdate).apply(...args) as unknown,
    };
    const walk = await walkOf(three(), [later, interest]);
    expect(valuesOf(walk).map(cents).at(-1)).toBe('33 → 38');
  });

  test('go on with what was recorded behind a difference', async () => {
    const doubled: AnyUpdate = {
      ...(deposit as AnyUpdate),
      apply: (account: { cents: number }, { cents: more }: { cents: number }) => ({
        ...account,
        cents: account.cents + 2 * more,
      }),
    };
    const history = three().step('ada', [['deposit', 7]], { full: true });
    const walk = await walkOf(history, [doubled, interest]);
    const kinds = walk.steps.map(({ commit, end }) => [end.kind, commit?.kind]);
    expect(kinds).toEqual([
      ...[
        ['applied', undefined],
        ['applied', 'differs'],
        ['applied', 'not-checked'],
      ],
      ...[
        ['not-run', 'not-checked'],
        ['not-run', 'not-checked'],
      ],
    ]);
    const values = valuesOf(walk).map(cents);
    expect(values.slice(1, 3)).toEqual([' → 20', '20 → 60']);
    expect(values.at(-1)).toBe(`${NOT_KNOWN} → 45`);
  });

  test('of strict updates are not run; what is known behind their commit is shown', async () => {
    const strict: AnyUpdate = { ...(interest as AnyUpdate), strict: true };
    const walk = await walkOf(three(), [deposit, strict]);
    expect(walk.steps[2]).toMatchObject({
      end: { kind: 'not-run' },
      commit: { kind: 'not-checked', reason: 'strict-update' },
    });
    expect(valuesOf(walk).map(cents).slice(-2)).toEqual(['30 → 33', '33 → 38']);
  });

  test('begin where the value is known, and jump where the key began anew', async () => {
    const late = new History()
      .unrecorded('ada', [['deposit', 1]])
      .step('ada', [['deposit', 2]])
      .step('ada', [['deposit', 3]], { full: true })
      .step('ada', [['deposit', 4]])
      .amend((commit) => ({ ...commit, origin: 'nothing' as const }));
    const values = valuesOf(await walkOf(late)).map(cents);
    expect(values).toEqual(['', ` → ${NOT_KNOWN}`, `${NOT_KNOWN} → 6`, `${NO_VALUE} → 4`]);
  });

  test('are not to be had of a key that is not there, or that is none', async () => {
    const lines = linesOf(three().commits);
    await expect(stepsOf(lines, [deposit], 'eve')).rejects.toMatchObject({
      code: 'NOTHING_RECORDED',
    });
    await expect(stepsOf(lines, [deposit], '')).rejects.toMatchObject({ code: 'INVALID_KEY' });
  });
});

describe('a walk', () => {
  test('goes to a place, and until a condition', async () => {
    const walk = await walkOf(three());
    walk.to(3);
    expect(walk.step?.job.id).toBe('4');
    walk.to(1);
    expect(cents(walk.after)).toBe('10');
    const rich = (_: unknown, moment: () => { value: unknown }): boolean =>
      (moment().value as { cents: number }).cents > 32;
    expect(walk.find(rich)).toBe(true);
    expect(walk.place).toBe(3);
    expect(walk.find(({ job }) => job.id === '1')).toBe(false);
    expect(walk.place).toBe(3);
  });

  test('stays where it is if the condition throws', async () => {
    const walk = await walkOf(three());
    walk.to(1);
    const failing = (): boolean => {
      throw new Error('mine');
    };
    expect(() => walk.find(failing)).toThrow('mine');
    expect([walk.place, cents(walk.after)]).toEqual([1, '10']);
  });
});
