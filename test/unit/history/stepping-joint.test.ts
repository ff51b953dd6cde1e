/** Stepping through one key of a recording with transactions: its own values, made with those of others. */
import { describe, expect, test } from 'vitest';
import { stepsOf } from '../../../src/history/stepping/key-steps.ts';
import { Walk } from '../../../src/history/stepping/walk.ts';
import type { AnyUpdate } from '../../../src/updates/update.ts';
import { Bank, move, transfer, updates, withTransfer } from '../../support/joint-recorded.ts';

const bank = (): Bank =>
  new Bank()
    .deposit('ada', 100)
    .deposit('bob', 50)
    .transfer([move('ada', 'bob', 30), move('bob', 'cid', 10), move('cid', 'ada', 99)])
    .transfer([move('bob', 'ada', 5)]);

async function told(key: string, used: readonly AnyUpdate[] = updates): Promise<string[]> {
  const walk = new Walk((await stepsOf(bank().lines(), used, key)).steps);
  const lines: string[] = [];
  while (walk.next()) {
    const { line, job, end, commit } = walk.step ?? {};
    const verdict = commit === undefined ? '' : `, ${commit.kind}`;
    lines.push(`${line}: ${job?.id} ${end?.kind} ${walk.before} → ${walk.after}${verdict}`);
  }
  return lines;
}

describe('the steps of a key with transactions', () => {
  test('are those of its own jobs, with its own values', async () => {
    expect(await told('cid')).toEqual(['6: 4 applied  → 10', '6: 5 failed 10 → 10, agrees']);
    expect(await told('ada')).toEqual([
      '2: 1 applied  → 100, agrees',
      '4: 3 applied 100 → 70',
      '4: 5 failed 70 → 70, agrees',
      '8: 6 applied 70 → 75, agrees',
    ]);
  });

  test('show where today differs in this key, and not where it does in another one', async () => {
    const dear = withTransfer({
      ...transfer,
      apply: ([from, to]: [number, number], { cents }: { cents: number }) => {
        if (from < cents) throw new Error('no cover');
        return [from - cents, to + cents - 1];
      },
    });
    expect((await told('bob', dear)).slice(1)).toEqual([
      '5: 3 applied 50 → 79',
      '5: 4 applied 79 → 69, differs',
      '7: 6 applied 70 → 65, not-checked',
    ]);
    expect((await told('ada', dear)).at(2)).toBe('4: 5 failed 70 → 70, agrees');
  });
});
