/** Replay of asynchronous updates: many keys at once, each in its own order. */
import { describe, expect, test } from 'vitest';
import { TorilError } from '../../../../src/errors.ts';
import { replay } from '../../../../src/history/replay/replay.ts';
import type { AnyUpdate } from '../../../../src/updates/update.ts';
import { deposit, History, linesOf } from '../../../support/recorded.ts';

const KEYS = 300;
const COMMITS_EACH = 4;

function lines(keys = KEYS): string[] {
  const history = new History();
  for (let round = 0; round < COMMITS_EACH; round++)
    for (let key = 0; key < keys; key++) history.step(`key-${key}`, [['deposit', round + 1]]);
  return linesOf(history.commits);
}

/** Settles once the event loop has turned: no earlier than what was begun in the same turn. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class Watched {
  running = 0;
  most = 0;
  readonly calls: string[] = [];
  readonly update: AnyUpdate;

  constructor() {
    this.update = {
      ...(deposit as AnyUpdate),
      apply: async (value, data, context) => {
        const call = `${context.key} ${(data as { cents: number }).cents}`;
        this.calls.push(call);
        this.running += 1;
        this.most = Math.max(this.most, this.running);
        await turn();
        this.running -= 1;
        return (deposit as AnyUpdate).apply(value, data, context) as unknown;
      },
    };
  }

  of(key: string): string[] {
    return this.calls.filter((call) => call.startsWith(`${key} `));
  }
}

const inOrder = (key: string): string[] => [1, 2, 3, 4].map((cents) => `${key} ${cents}`);

describe('asynchronous updates', () => {
  test('of a hundred keys run at once, those of one key one after the other', async () => {
    const watched = new Watched();
    const report = await replay(lines(), [watched.update]);
    expect(report).toMatchObject({ agrees: true, complete: true, checked: KEYS * COMMITS_EACH });
    expect(watched.most).toBe(100);
    const few = new Watched();
    expect(await replay(lines(20), [few.update])).toMatchObject({ agrees: true });
    expect(few.most).toBe(20);
    expect(few.of('key-7')).toEqual(inOrder('key-7'));
    expect(report.keys.map(({ key }) => key)).toEqual(
      Array.from({ length: KEYS }, (_, key) => `key-${key}`),
    );
  });

  test('run as many at once as is said, and in the order of the file for onJob', async () => {
    const three = new Watched();
    await replay(lines(20), [three.update], { keysAtOnce: 3 });
    expect(three.most).toBe(3);
    const told = new Watched();
    const seen: string[] = [];
    await replay(lines(20), [told.update], {
      onJob: ({ key, job }) => void seen.push(`${key} ${(job.data as { cents: number }).cents}`),
    });
    expect(told.most).toBe(1);
    const file = inOrder('').flatMap((round) =>
      Array.from({ length: 20 }, (_, key) => `key-${key}${round}`),
    );
    expect(seen).toEqual(file);
  });

  test('are finished before a damaged file is told of', async () => {
    const watched = new Watched();
    const damaged = lines(20).toSpliced(-5, 1);
    await expect(replay(damaged, [watched.update])).rejects.toMatchObject({
      code: 'RECORDING_DAMAGED',
    });
    expect(watched.running).toBe(0);
  });

  test('that hold one key up do not hold up the others for long', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const done: string[] = [];
    const update: AnyUpdate = {
      ...(deposit as AnyUpdate),
      apply: async (value, data, context) => {
        if (context.key === 'key-0') await held;
        else await turn();
        done.push(context.key);
        if (done.length === 19 * COMMITS_EACH) release(); // all others are through
        return (deposit as AnyUpdate).apply(value, data, context) as unknown;
      },
    };
    expect(await replay(lines(20), [update])).toMatchObject({ agrees: true });
  });
});

test.each([0, -1, 1.5, Number.NaN])('%s keys at once are refused', async (keysAtOnce) => {
  await expect(replay(lines(1), [deposit], { keysAtOnce })).rejects.toMatchObject({
    code: 'INVALID_OPTIONS',
  });
});

test('an error of onJob is passed on as it is, also if it came from a file', async () => {
  const own = Object.assign(new Error('mine'), { syscall: 'open', code: 'ENOENT' });
  const replaying = replay(lines(2), [deposit], {
    onJob: () => {
      throw own;
    },
  });
  await expect(replaying).rejects.toBe(own);
  await expect(replay('no/such/file', [deposit])).rejects.toBeInstanceOf(TorilError);
});
