/** What makes an update give something else when it is run again, and what must not be taken for it. */
import { describe, expect, test } from 'vitest';
import {
  OTHER_SURROUNDINGS,
  type Surroundings,
  within,
} from '../../../../src/updates/calling/surroundings.ts';
import {
  checkDeterminism,
  type DeterminismFinding,
} from '../../../../src/updates/calling/check-determinism.ts';
import {
  type AnyUpdate,
  DELETE_CELL,
  defineUpdate,
  type UpdateContext,
} from '../../../../src/updates/update.ts';

interface Data {
  readonly list: number[];
}
type Apply = (value: { n: number }, data: Data, context: UpdateContext) => unknown;

function updating(apply: Apply, more: object = {}): AnyUpdate {
  return defineUpdate({
    name: 'tried',
    key: () => 'k',
    initial: () => ({ n: 1 }),
    apply: apply as never,
    ...more,
  });
}

const kinds = (findings: readonly DeterminismFinding[]): string[] =>
  findings.map(({ kind }) => kind);
const check = (update: AnyUpdate, value?: unknown): Promise<DeterminismFinding[]> =>
  checkDeterminism(update, { data: { list: [3, 1, 2] }, value });

let calls = 0;
const kept: number[] = [];

describe('an update is found out that', () => {
  test.each<[string, Apply]>([
    ['tells the time', () => ({ at: Date.now() })],
    ['tells the time to the day', () => ({ at: new Date().toISOString().slice(0, 10) })],
    ['tells the time as a text', () => ({ at: (Date as unknown as () => string)() })],
    ['rolls dice', () => ({ die: Math.random() })],
    ['rolls dice that seldom show one', () => ({ lucky: Math.random() < 0.001 })],
    ['rolls dice that seldom show six', () => ({ lucky: Math.random() >= 0.999 })],
    ['tells the hour of its data', (_, { list }) => ({ hour: new Date(list[0] ?? 0).getHours() })],
    ['tells the day of a time', () => ({ day: new Date(1_700_000_000_000).getDate() })],
    ['tells the day of a later time', () => ({ day: new Date(1_700_040_000_000).getDate() })],
    [
      'writes a time as people do',
      () => ({ text: new Date(1_700_000_000_000).toLocaleString('en-GB') }),
    ],
    [
      'knows how long the process runs',
      () => ({ minutes: Math.floor(performance.now() / 60_000) }),
    ],
    ['asks a variable that is not set', () => ({ mode: process.env['TORIL_NO_SUCH'] ?? 'none' })],
    ['asks whether a variable is set', () => ({ is: 'TORIL_NO_SUCH' in process.env })],
    ['asks a variable that is set', () => ({ path: process.env['PATH'] })],
    ['counts the variables', () => ({ count: Object.keys(process.env).length })],
    ['makes up a name', () => ({ id: crypto.randomUUID() })],
    ['counts its calls', () => ({ calls: ++calls })],
    ['keeps a list', ({ n }) => ({ seen: kept.push(n) })],
    ['tells the time later', async () => ({ at: await Promise.resolve(performance.now()) })],
    [
      'fails every other time',
      () => {
        if (calls++ % 2 === 0) throw new Error('not now');
        return { n: 1 };
      },
    ],
    ['deletes every other time', ({ n }) => (calls++ % 2 === 0 ? DELETE_CELL : { n })],
  ])('%s', async (_, apply) => {
    const findings = await check(updating(apply));
    expect(kinds(findings)).toEqual(['not-repeatable']);
    expect(findings[0]?.message).toContain('the update "tried" gave first');
    expect(findings[0]?.message).toContain('context.now');
  });

  test('begins with another value each time', async () => {
    const update = updating((value) => value, { initial: () => ({ n: Date.now() }) });
    const [finding] = await check(update);
    expect(finding?.message).toContain('"initial" of the update "tried" gave first {"n":');
    expect(await check(update, { n: 1 })).toEqual([]);
  });

  test('tells the time in its result', async () => {
    const result = (): string => new Date().toISOString().slice(0, 10);
    const [finding] = await check(updating((value) => value, { result }));
    expect(finding?.kind).toBe('not-repeatable');
    expect(finding?.message).toContain('"result" of the update "tried" gave first "');
  });

  test('shows where two long values part', async () => {
    const list = Array.from({ length: 1000 }, (_, n) => n);
    const [finding] = await check(updating(() => ({ list, at: ++calls, more: list })));
    expect(finding?.message).toMatch(
      /gave first ….{30,90}… and then, for the same input, ….{30,90}…\. It/,
    );
  });

  test.each<[string, Apply]>([
    ['a Date', () => ({ at: new Date(0) })],
    ['a Map', () => new Map()],
    ['NaN', () => ({ n: Number.NaN })],
    ['undefined in a list', () => [1, undefined]],
    ['nothing', () => undefined],
  ])('returns %s', async (_, apply) => {
    expect(kinds(await check(updating(apply)))).toEqual(['not-json']);
  });

  test('changes its data', async () => {
    const findings = await check(updating(({ n }, { list }) => ({ n: n + (list.pop() ?? 0) })));
    expect(kinds(findings)).toEqual(['changes-data']);
  });

  test('sends its jobs to other keys', async () => {
    const update = { ...updating((value) => value), key: () => `k${calls++}` };
    expect(kinds(await check(update))).toEqual(['changes-key']);
  });
});

describe('nothing is wrong with an update that', () => {
  test.each<[string, Apply]>([
    ['changes the value it was given', (value) => Object.assign(value, { n: value.n + 1 })],
    [
      'asks for what is the same everywhere',
      () => ({
        at: new Date(1_700_000_000_000).toISOString(),
        is: Math.floor(Math.random()) === 0,
      }),
    ],
    [
      'asks its context',
      (_, __, { now, random, id, attempt, sequence, token, jobId }) => ({
        list: [now, random(), random(), id(), id(), attempt, sequence, token, jobId],
      }),
    ],
    [
      'is asynchronous',
      async (value, _, context) => {
        await Promise.resolve();
        return { n: value.n + context.random() };
      },
    ],
    [
      'refuses',
      () => {
        throw new Error(`no, at ${calls++}`);
      },
    ],
    ['deletes', () => DELETE_CELL],
    ['copies its data first', (_, { list }) => ({ list: list.toSorted((a, b) => a - b) })],
  ])('%s', async (_, apply) => {
    expect(await check(updating(apply))).toEqual([]);
  });

  test('draws in its result what it has not drawn before', async () => {
    const update = updating((value, _, { random }) => ({ n: value.n + random() }), {
      result: (_: unknown, __: unknown, { random, id }: UpdateContext) => [random(), id()],
    });
    expect(await check(update)).toEqual([]);
  });

  test('acts on the outside world: it is run once', async () => {
    const before = calls;
    expect(await check(updating(() => ({ calls: ++calls }), { strict: true }))).toEqual([]);
    expect(calls).toBe(before + 1);
  });
});

describe('context.id()', () => {
  const ids = async (context: object): Promise<string[]> => {
    const seen: string[] = [];
    const update = updating((value, _, { id }) => {
      seen.push(id(), id());
      return value;
    });
    expect(await checkDeterminism(update, { data: {}, context })).toEqual([]);
    return seen;
  };

  test('names things so that nothing else has the name, and the same again the next time', async () => {
    const [one, two, again, againTwo] = await ids({});
    expect([again, againTwo]).toEqual([one, two]);
    const others = (await Promise.all([{ jobId: '2' }, { sequence: 17 }].map(ids))).flat();
    expect(new Set([one, two, ...others]).size).toBe(6);
    // A retry of the job makes the same things.
    expect((await ids({ attempt: 2, token: 99 }))[0]).toBe(one);
    for (const id of [one, two, ...others]) {
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
  });
});

describe('other surroundings', () => {
  test.each(OTHER_SURROUNDINGS)('are only for those who ask: $timeZone', (surroundings) => {
    const real = { Date, random: Math.random, env: process.env, zone: process.env['TZ'] };
    const [before, startMs] = [Date.now(), performance.now()];
    const hour = new Date(0).getHours();
    within(surroundings, () => {
      expect(Date.now()).toBeGreaterThan(before + 86_400_000);
      expect(new Date().getTime()).toBeGreaterThan(before + 86_400_000);
      expect(new Date(0).toISOString()).toBe('1970-01-01T00:00:00.000Z');
      expect(new Date(0).getHours()).not.toBe(hour);
      expect(new Date(2020, 0, 2).getDate()).toBe(2);
      expect(Date.parse('1970-01-01T00:00:01Z')).toBe(1000);
      expect(Date.UTC(1970, 0, 1)).toBe(0);
      expect(new Date()).toBeInstanceOf(Date);
      expect(new Date()).toBeInstanceOf(real.Date);
      expect(performance.now()).toBeGreaterThan(startMs + 86_400_000);
      expect(Math.random()).toBe(surroundings.random);
      process.env['TORIL_SET_THERE'] = 'x';
      expect(process.env['TORIL_SET_THERE']).toBe('x');
    });
    expect(() => within(surroundings, () => JSON.parse('{') as unknown)).toThrow(SyntaxError);
    expect(Date).toBe(real.Date);
    expect(Math.random).toBe(real.random);
    expect(process.env).toBe(real.env);
    expect(process.env['TZ']).toBe(real.zone);
    expect(process.env['TORIL_SET_THERE']).toBeUndefined();
    expect(new Date(0).getHours()).toBe(hour);
    expect(Object.hasOwn(performance, 'now')).toBe(false);
    expect(performance.now()).toBeLessThan(startMs + 86_400_000);
  });

  test('are put back as they were, a time zone of its own included', () => {
    const [surroundings] = OTHER_SURROUNDINGS;
    const real = process.env['TZ'];
    process.env['TZ'] = 'Asia/Tokyo';
    try {
      within(surroundings as Surroundings, () => undefined);
      expect(process.env['TZ']).toBe('Asia/Tokyo');
      expect(new Date(0).getHours()).toBe(9);
    } finally {
      if (real === undefined) delete process.env['TZ'];
      else process.env['TZ'] = real;
    }
  });
});
