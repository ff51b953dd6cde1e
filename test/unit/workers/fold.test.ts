import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../../src/base/clock.ts';
import { TorilError } from '../../../src/errors.ts';
import {
  type AnyUpdate,
  defineUpdate,
  type OnExhausted,
  type OnFailure,
  type UpdateContext,
} from '../../../src/index.ts';
import type { Lanes } from '../../../src/jobs/lanes.ts';
import type { LaneEntry } from '../../../src/jobs/lane.ts';
import { UpdateRegistry } from '../../../src/updates/update-registry.ts';
import type { Arrival } from '../../../src/workers/deliveries/arrival.ts';
import type { Batch, FoldStart, FoldTurn } from '../../../src/workers/fold/batch.ts';

import { fold } from '../../../src/workers/fold/fold.ts';
import { WorkerMemory } from '../../../src/workers/gate/worker-memory.ts';
import { KeyMemory } from '../../../src/workers/gate/key-memory.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

interface Data {
  readonly key?: string;
  readonly add?: string;
  readonly throws?: string;
}

const writing = (name: string, onFailure: OnFailure, onExhausted: OnExhausted): AnyUpdate =>
  defineUpdate({
    name,
    key: ({ key = 'k' }: Data) => key,
    initial: () => ({ text: '' }),
    apply: (value: { text: string }, { add = '', throws }: Data) => {
      value.text += add; // also if it fails
      if (throws !== undefined) throw new Error(throws);
      return value;
    },
    result: (value) => value?.text.length,
    onFailure,
    onExhausted,
  });

const updates = [
  writing('write', 'block', 'continue'),
  writing('hold', 'block', 'hold'),
  writing('cascade', 'block', 'cascade'),
  writing('skip', 'skip', 'continue'),
];

let sequence = 100;
function entry(
  jobId: string,
  more: Partial<Omit<LaneEntry, 'data'>> & { data?: Data } = {},
): LaneEntry {
  const { data = { add: jobId }, ...rest } = more;
  return {
    jobId,
    sequence: ++sequence,
    name: 'write',
    attemptsMade: 0,
    stalls: 0,
    finished: 'no',
    failedReason: '',
    directive: '',
    ...rest,
    data: JSON.stringify(data),
  };
}

const start: FoldStart = {
  fresh: () => undefined,
  watermark: 0,
  origin: 'nothing',
  cascadeTo: 0,
  token: 7,
  expireMs: 0,
};

interface Scene {
  /** Delivered to this process; the number of attempts that they have left. */
  readonly delivered?: Readonly<Record<string, number>>;
  readonly registry?: UpdateRegistry;
  readonly clock?: Clock;
  readonly options?: FoldTurn['context']['options'];
  readonly memory?: KeyMemory;
  readonly report?: FoldTurn['context']['report'];
  readonly leaseMs?: number;
  readonly leaseHeld?: () => boolean;
  readonly closing?: () => boolean;
  readonly onlyDelivered?: () => boolean;
  /** Attempts that the delivered jobs had used up when they were delivered. */
  readonly attemptsMade?: number;
  readonly startAlone?: Lanes['startAlone'];
  readonly direct?: Lanes['direct'];
  readonly beginApply?: FoldTurn['beginApply'];
}

const HELD_MS = 10_000;

function turnOf(scene: Scene): FoldTurn {
  const { delivered = {}, leaseMs = 10_000, leaseHeld = () => true } = scene;
  const arrival = (jobId: string): Arrival | undefined =>
    jobId in delivered
      ? ({
          ...{ jobId, attemptsMade: scene.attemptsMade },
          isLastAttempt: () => delivered[jobId] === 1,
        } as unknown as Arrival)
      : undefined;
  return {
    key: 'k',
    context: {
      queue: 'bull:q',
      registry: scene.registry ?? new UpdateRegistry(updates),
      clock: scene.clock ?? systemClock,
      options: scene.options ?? { batchMs: 60_000, stallsMax: 2 },
      lanes: {
        startAlone: scene.startAlone ?? (() => Promise.resolve(1)),
        direct: scene.direct ?? (() => Promise.resolve(true)),
      },
      report: scene.report ?? (() => {}),
    },
    memory: scene.memory ?? new KeyMemory(),
    arrivals: { get: arrival },
    server: { facts: undefined },
    lease: {
      durationMs: leaseMs,
      signal: new AbortController().signal,
      connection: { epoch: 1 },
      trustLeftMs: () => (leaseHeld() ? HELD_MS : 0),
    },
    awaitingSinceMs: undefined,
    begunAlone: undefined,
    beginApply: scene.beginApply ?? (() => {}),
    closing: scene.closing ?? (() => false),
    onlyDelivered: scene.onlyDelivered ?? (() => false),
  };
}

async function folded(
  entries: readonly LaneEntry[],
  scene: Scene = {},
  from: Partial<FoldStart> = {},
): Promise<Batch> {
  return fold(turnOf(scene), { ...start, ...from }, entries);
}

const kinds = ({ decisions }: Batch): Record<string, string> =>
  Object.fromEntries([...decisions].map(([jobId, text]) => [jobId, text[0] as string]));

describe('a batch', () => {
  it('applies every entry in order, and tells each job its own result', async () => {
    const entries = ['a', 'bb', 'c'].map((jobId) => entry(jobId));
    const batch = await folded(entries);
    expect(batch).toMatchObject({
      value: { text: 'abbc' },
      decided: 3,
      applied: 3,
      stop: { kind: 'end' },
    });
    expect(batch.watermark).toBe(entries[2]?.sequence);
    expect(Object.fromEntries(batch.decisions)).toEqual({ a: 'a1', bb: 'a3', c: 'a4' });
  });

  it('ends after its time, with at least one job', async () => {
    const entries = ['a', 'b'].map((jobId) => entry(jobId));
    expect(await folded(entries, { options: { batchMs: 0, stallsMax: 2 } })).toMatchObject({
      decided: 1,
      stop: { kind: 'commit' },
    });
  });

  it('is worth nothing once the lease is lost', async () => {
    const slow = defineUpdate({
      name: 'slow',
      key: () => 'k',
      initial: () => 0,
      apply: async (n: number) => n + 1,
    });
    const scene = { registry: new UpdateRegistry([slow]), leaseHeld: () => false };
    expect((await folded([entry('a', { name: 'slow' })], scene)).stop).toEqual({ kind: 'lost' });
  });

  describe('of a worker that closes', () => {
    let isClosing = false;
    const begun: string[] = [];
    const slow = (more: object = {}) =>
      defineUpdate({
        name: 'slow',
        key: () => 'k',
        initial: () => 0,
        apply: async (n: number, _data: unknown, { jobId }) => {
          begun.push(jobId);
          isClosing = begun.length === 2;
          return n + 1;
        },
        ...more,
      });
    const scene = (update = slow()): Scene => {
      isClosing = false;
      begun.splice(0);
      return { registry: new UpdateRegistry([update]), closing: () => isClosing };
    };
    const three = ['a', 'b', 'c'].map((jobId) => entry(jobId, { name: 'slow' }));

    it('ends behind the update in hand, and has all before it', async () => {
      expect(await folded(three, scene())).toMatchObject({
        value: 2,
        decided: 2,
        stop: { kind: 'closing' },
      });
      expect(begun).toEqual(['a', 'b']);
    });

    it('is whole if that was the last one', async () => {
      const batch = await folded(three.slice(0, 2), scene());
      expect(batch).toMatchObject({ decided: 2, stop: { kind: 'end' } });
    });

    it('begins nothing', async () => {
      const closing = { ...scene(), closing: () => true };
      expect(await folded(three, closing)).toMatchObject({ decided: 0, stop: { kind: 'closing' } });
      expect(begun).toEqual([]);
    });

    it('begins nothing whose data were still being checked', async () => {
      const schema = {
        '~standard': {
          version: 1 as const,
          vendor: 'test',
          validate: async (value: unknown) => {
            await Promise.resolve();
            isClosing = true;
            return { value };
          },
        },
      };
      const closing = scene(slow({ schema }));
      expect(await folded(three, closing)).toMatchObject({ decided: 0, stop: { kind: 'closing' } });
      expect(begun).toEqual([]);
    });

    it('begins no job alone that stalled before', async () => {
      const startAlone = async (): Promise<number> => {
        isClosing = true;
        return 1;
      };
      const stalled = entry('a', { name: 'slow', stalls: 1 });
      const closing: Scene = { ...scene(), startAlone, delivered: { a: 5 } };
      expect(await folded([stalled], closing)).toMatchObject({
        decided: 0,
        stop: { kind: 'closing' },
      });
      expect(begun).toEqual([]);
    });
  });

  it('passes by what BullMQ completed', async () => {
    const batch = await folded([
      entry('done', { finished: 'completed' }),
      entry('stolen', { finished: 'unapplied' }),
      entry('a'),
    ]);
    expect(batch).toMatchObject({ value: { text: 'a' }, decided: 3, applied: 1 });
    expect(batch.unapplied).toEqual(['stolen']);
    expect(kinds(batch)).toEqual({ done: 's', stolen: 's', a: 'a' });
  });

  it('applies what its update would put elsewhere by now, and tells', async () => {
    const told: unknown[] = [];
    const report: Scene['report'] = (name, event) => void told.push([name, event]);
    const entries = [entry('a'), entry('b', { data: { key: 'other', add: 'x' } }), entry('c')];
    const batch = await folded(entries, { report });
    expect(batch).toMatchObject({ value: { text: 'axc' }, decided: 3, applied: 3 });
    const event = { key: 'k', jobId: 'b', name: 'write', otherKey: 'other', code: 'KEY_CHANGED' };
    expect(told).toEqual([['keyChanged', event]]);
  });

  it('stops before an update that is not known here', async () => {
    const batch = await folded([entry('a'), entry('b', { name: 'new' }), entry('c')]);
    expect(batch).toMatchObject({
      decided: 1,
      stop: { kind: 'unknown-update', jobId: 'b', name: 'new' },
    });
  });

  it('says of each job when its turn comes', async () => {
    const begun: (string | undefined)[] = [];
    const beginApply: Scene['beginApply'] = (all, count) => void begun.push(all[count - 1]?.jobId);
    await folded([entry('a'), entry('b', { name: 'new' }), entry('c')], { beginApply });
    expect(begun).toEqual(['a', 'b']);
  });
});

describe('a job that throws', () => {
  const failing = (more: Partial<LaneEntry> = {}): LaneEntry[] => [
    entry('a'),
    { ...entry('b', { data: { add: '?', throws: 'no' } }), ...more },
    entry('c'),
  ];

  it('stops the batch before it if it was not delivered here, and is tried in its own delivery only', async () => {
    const marks: string[][] = [];
    const direct: Lanes['direct'] = async (...mark) => marks.push(mark) > 0;
    const batch = await folded(failing(), { direct });
    const stop = { kind: 'delivery', jobId: 'b' };
    expect(batch).toMatchObject({ value: { text: 'a' }, decided: 1, stop });
    expect(marks).toEqual([['b', 'deliver']]);
    let calls = 0;
    const counting = { ...(updates[0] as AnyUpdate), apply: () => ++calls };
    const registry = new UpdateRegistry([counting]);
    const marked = failing({ directive: 'deliver' }).slice(1);
    expect(await folded(marked, { registry })).toMatchObject({ decided: 0, stop });
    expect(calls).toBe(0);
    await folded(marked, { registry, delivered: { b: 2 } });
    expect(calls).toBeGreaterThan(0);
  });

  it('is charged in its own delivery, and blocks', async () => {
    const batch = await folded(failing(), { delivered: { b: 2 } });
    expect(batch).toMatchObject({
      value: { text: 'a' },
      decided: 1,
      stop: { kind: 'delivery', jobId: 'b' },
    });
    expect(batch.settlements.get('b')).toMatchObject({ kind: 'retry', thrown: { message: 'no' } });
  });

  it('is not charged for an attempt that was over when it was delivered: it is looked at anew, once', async () => {
    const scene = { delivered: { b: 1 }, attemptsMade: 1, memory: new KeyMemory() };
    const batch = await folded(failing(), scene);
    expect(batch).toMatchObject({ value: { text: 'a' }, decided: 1, stop: { kind: 'again' } });
    expect(batch.settlements.get('b')).toBeUndefined();
    const later = await folded(failing({ attemptsMade: 1 }), scene);
    expect(kinds(later)['b']).toBe('f');
    // A stock client may have changed the number for good.
    expect(kinds(await folded(failing(), scene))['b']).toBe('f');
  });

  it('is charged, and leaves its lane until it is delivered again (skip)', async () => {
    const batch = await folded(failing({ name: 'skip' }), { delivered: { b: 2 } });
    expect(batch).toMatchObject({ value: { text: 'ac' }, decided: 3, stop: { kind: 'end' } });
    expect(batch.settlements.get('b')).toMatchObject({ kind: 'retry' });
    expect(kinds(batch)['b']).toBe('s');
  });

  it('is passed by when its attempts are used up (continue)', async () => {
    const batch = await folded(failing(), { delivered: { b: 1 } });
    expect(batch).toMatchObject({
      value: { text: 'ac' },
      decided: 3,
      applied: 2,
      stop: { kind: 'end' },
    });
    expect(batch.decisions.get('b')).toBe('f{"code":"Error","message":"no"}');
    expect(batch.settlements.get('b')).toMatchObject({
      kind: 'decided',
      outcome: { kind: 'failed' },
    });
  });

  it('holds when its attempts are used up (hold)', async () => {
    const batch = await folded(failing({ name: 'hold' }), { delivered: { b: 1 } });
    expect(batch).toMatchObject({ decided: 1, stop: { kind: 'held', jobId: 'b', reason: 'no' } });
    expect(batch.settlements.get('b')).toMatchObject({ kind: 'held' });
  });

  it('takes the others down when its attempts are used up (cascade)', async () => {
    const batch = await folded(failing({ name: 'cascade' }), { delivered: { b: 1 } });
    expect(batch).toMatchObject({ decided: 2, stop: { kind: 'commit' } });
    expect(kinds(batch)['b']).toBe('c');
    const next = [entry('d'), entry('e')];
    const cascaded = await folded(next, {}, { cascadeTo: next[0]?.sequence as number });
    expect(cascaded).toMatchObject({ value: { text: 'e' }, applied: 1 });
    expect(cascaded.decisions.get('d')).toContain('JOB_CASCADED');
  });

  it('leaves a long message to BullMQ', async () => {
    const long = entry('b', { data: { throws: 'x'.repeat(100_000) } });
    const { decisions } = await folded([long], { delivered: { b: 1 } });
    expect(decisions.get('b')?.length).toBeLessThan(1_000);
  });
});

describe('a job that has been through something', () => {
  it.each([{ attemptsMade: 1 }, { stalls: 1 }])(
    'is applied in its own delivery only: %o',
    async (more) => {
      const entries = [entry('a', more)];
      expect((await folded(entries)).stop).toMatchObject({ kind: 'delivery', jobId: 'a' });
      expect(await folded(entries, { delivered: { a: 1 } })).toMatchObject({ applied: 1 });
    },
  );

  it('is applied alone if it stalled', async () => {
    const entries = [entry('a'), entry('b', { stalls: 1 }), entry('c')];
    const scene = { delivered: { b: 1 } };
    expect(await folded(entries, scene)).toMatchObject({ applied: 1, stop: { kind: 'commit' } });
    expect(await folded(entries.slice(1), scene)).toMatchObject({
      applied: 1,
      stop: { kind: 'commit' },
    });
  });

  describe('of which processes died too often', () => {
    const clock = new VirtualClock();
    const askedAtMs: number[] = [];
    const answers = (...starts: number[]): Lanes['startAlone'] => {
      askedAtMs.length = 0;
      return async () => starts[askedAtMs.push(clock.monotonicMs()) - 1] as number;
    };
    const foldedLater = (scene: Scene, entries = [entry('a', { stalls: 4 })]): Promise<Batch> => {
      const folding = folded(entries, { clock, leaseMs: 1_000, delivered: { a: 5 }, ...scene });
      return clock.advance(5_000).then(() => folding);
    };

    it('fails for good, a lease after that was seen', async () => {
      const batch = await foldedLater({ startAlone: answers(3, 3) });
      expect(batch).toMatchObject({ decided: 1, applied: 0 });
      expect(batch.decisions.get('a')).toContain('JOB_STALLED_TOO_OFTEN');
      const [first = 0, second = 0] = askedAtMs;
      expect(second - first).toBeGreaterThan(1_000);
    });

    it('is applied if one of them says meanwhile that it lives', async () => {
      expect(await foldedLater({ startAlone: answers(3, 2) })).toMatchObject({ applied: 1 });
    });

    it('stays as it is if the lease is lost meanwhile, or the worker closes', async () => {
      const startAlone = answers(3, 3);
      const isAsked = (): boolean => askedAtMs.length > 0;
      expect(await foldedLater({ startAlone, leaseHeld: () => !isAsked() })).toMatchObject({
        ...{ decided: 0, stop: { kind: 'lost' } },
      });
      const closing = { startAlone: answers(3, 3), closing: isAsked };
      expect(await foldedLater(closing)).toMatchObject({ decided: 0, stop: { kind: 'closing' } });
    });

    it('fails at once if one that stalled may not be tried again at all', async () => {
      const options = { batchMs: 60_000, stallsMax: 0 };
      await foldedLater({ startAlone: answers(1), options });
      expect(askedAtMs).toHaveLength(1);
    });
  });

  it('says, when it begins a job alone, which of its starts this process has lived through', async () => {
    const told: (readonly number[])[] = [];
    let isAway = false;
    const startAlone: Lanes['startAlone'] = async (_, __, survived) => {
      told.push(survived);
      if (isAway) throw new Error('no answer: nobody knows whether it was heard');
      return 1;
    };
    const memory = new KeyMemory();
    const { isolatedStarts } = memory.worker;
    const scene = { delivered: { a: 5 }, startAlone, memory };
    const again = (token: number): Promise<Batch> =>
      folded([entry('a', { stalls: 1 })], scene, { token });
    await again(7);
    await again(8);
    isAway = true;
    await expect(again(9)).rejects.toThrow('nobody knows');
    isAway = false;
    await again(10);
    expect(told).toEqual([[], [7], [8], [8, 9]]);
    expect(isolatedStarts.survivedOf('a')).toEqual([10]);
    isolatedStarts.forget('a');
    expect(isolatedStarts.survivedOf('a')).toEqual([]);
  });

  it.each([
    ['was begun alone', { name: 'strict', stalls: 1 }],
    ['had its data checked', { name: 'checked' }],
  ])('does not begin, if it is strict and the lease was lost while it %s', async (_, more) => {
    const begun: string[] = [];
    let isHeld = true;
    const loses = async <T>(answer: T): Promise<T> => {
      await Promise.resolve();
      isHeld = false;
      return answer;
    };
    const strict = {
      ...{ strict: true, key: () => 'k', initial: () => 0 },
      apply(n: number, _data: object, { jobId }: UpdateContext) {
        begun.push(jobId);
        return n + 1;
      },
    };
    const validate = (value: unknown): unknown => loses({ value });
    const schema = { '~standard': { version: 1 as const, vendor: 'test', validate } };
    const registry = new UpdateRegistry([
      defineUpdate({ name: 'strict', ...strict }),
      defineUpdate({ name: 'checked', ...strict, schema: schema as never }),
    ]);
    const leaseHeld = (): boolean => isHeld;
    const startAlone = (): Promise<number> => loses(1);
    const scene = { delivered: { a: 5 }, registry, leaseHeld, startAlone };
    expect(await folded([entry('a', more)], scene)).toMatchObject({
      decided: 0,
      stop: { kind: 'lost' },
    });
    expect(begun).toEqual([]);
  });

  it('does what the operator said', async () => {
    const batch = await folded([
      entry('a', { attemptsMade: 3, directive: 'skip' }),
      entry('b', { attemptsMade: 3, directive: 'drop' }),
      entry('c'),
    ]);
    expect(kinds(batch)).toEqual({ a: 'm', b: 'f', c: 'a' });
    expect(batch.decisions.get('b')).toContain('JOB_DROPPED');
  });

  it('was failed by BullMQ: then its own update says what becomes of the lane', async () => {
    const failed = { finished: 'failed', failedReason: 'why' } as const;
    const next = entry('b');
    expect(await folded([entry('a', failed), next])).toMatchObject({ decided: 2, applied: 1 });
    expect((await folded([entry('a', { ...failed, name: 'hold' }), next])).stop).toEqual({
      kind: 'held',
      jobId: 'a',
      reason: 'why',
    });
    expect((await folded([entry('a', { ...failed, name: 'unknown' }), next])).stop.kind).toBe(
      'unknown-update',
    );
  });

  it('is too heavy', async () => {
    const memory = new KeyMemory();
    memory.note('a', { tooLarge: new TorilError('VALUE_TOO_LARGE', 'too much.') });
    const batch = await folded([entry('a')], { memory, delivered: { a: 9 } });
    expect(batch.decisions.get('a')).toContain('VALUE_TOO_LARGE');
    expect((await folded([entry('a')], { memory })).stop.kind).toBe('delivery');
  });
});

describe('only delivered jobs', () => {
  it('are applied while the queue is paused', async () => {
    const scene = { onlyDelivered: () => true, delivered: { a: 1, c: 1 } };
    const batch = await folded(
      ['a', 'b', 'c'].map((jobId) => entry(jobId)),
      scene,
    );
    expect(batch).toMatchObject({ applied: 1, stop: { kind: 'delivery', jobId: 'b' } });
  });
});

describe('where a batch ends', () => {
  /** Changes its value in place, shares parts of it, fails after having spoilt it. */
  const messy = defineUpdate({
    name: 'messy',
    key: () => 'k',
    initial: () => ({ list: [] as unknown[], last: undefined as unknown, count: 0 }),
    apply: (value, { step, fails }: { step: number; fails: boolean }) => {
      const item = { step };
      value.count -= 1;
      value.list.push(item);
      if (value.last !== undefined) (value.last as { touched?: number }).touched = step;
      value.last = step % 3 === 0 ? undefined : item;
      if (fails) throw new Error('spoilt');
      value.count += step % 2 === 0 ? 1 : -0;
      return value;
    },
  });

  it('does not matter to the value', async () => {
    const steps = fc.array(fc.record({ step: fc.nat(9), fails: fc.boolean() }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(
        steps,
        fc.array(fc.nat(5), { minLength: 1, maxLength: 12 }),
        async (all, sizes) => {
          const registry = new UpdateRegistry([messy]);
          const entries = all.map((data, n) => ({
            ...entry(String(n), { name: 'messy' }),
            data: JSON.stringify(data),
          }));
          const delivered = Object.fromEntries(all.map((_, n) => [String(n), 1]));
          const scene = { registry, delivered };
          const whole = await folded(entries, scene);
          let json: string | undefined;
          for (let from = 0, turn = 0; from < entries.length; turn++) {
            const to = from + 1 + (sizes[turn % sizes.length] as number);
            const fresh = (): unknown => (json === undefined ? undefined : JSON.parse(json));
            const part = await folded(entries.slice(from, to), scene, { fresh });
            json = part.value === undefined ? undefined : JSON.stringify(part.value);
            from = to;
          }
          expect(json).toBe(whole.value === undefined ? undefined : JSON.stringify(whole.value));
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('a strict update', () => {
  it('is not called again to make the value that a later one has spoilt', async () => {
    const calls: string[] = [];
    const strict = defineUpdate({
      name: 'strict',
      key: () => 'k',
      initial: () => ({ text: '' }),
      apply: (value: { text: string }, { add = '' }: Data) => {
        calls.push(add);
        return { text: value.text + add };
      },
      strict: true,
    });
    const entries = [
      entry('a'),
      entry('b', { name: 'strict' }),
      entry('c'),
      entry('d', { data: { add: 'd', throws: 'no' } }),
      entry('e'),
    ];
    const registry = new UpdateRegistry([...updates, strict]);
    const batch = await folded(entries, { registry, delivered: { d: 1 } });
    expect(batch).toMatchObject({ value: { text: 'abce' }, applied: 4 });
    expect(calls).toEqual(['b']);
  });
});

describe('an update that blocks its process for longer than the lease', () => {
  const clock = { ...systemClock, monotonicMs: () => nowMs };
  let nowMs = 0;
  const block = (value: number, ms: number = 2_000): number => {
    nowMs += ms;
    return value + 1;
  };
  const ways: Readonly<Record<string, AnyUpdate['apply']>> = {
    'at once': (value: number) => block(value),
    'in an async function': async (value: number) => block(value),
    'behind an await': async (value: number) => {
      await Promise.resolve();
      await new Promise(setImmediate);
      return block(value);
    },
    'in a thenable': (value: number) => ({
      // oxlint-disable-next-line unicorn/no-thenable -- it is what is tried here
      then: (resolve: (value: number) => void) => resolve(block(value)),
    }),
    'for a little less': (value: number) => block(value, 995),
  };
  const blocking = (apply: AnyUpdate['apply']): AnyUpdate =>
    defineUpdate({ name: 'block', key: () => 'k', initial: () => 0, apply });
  const scene = (
    update: AnyUpdate,
    memory: KeyMemory,
    delivered: Record<string, number>,
  ): Scene => {
    const startedMs = nowMs;
    return {
      clock,
      registry: new UpdateRegistry([update]),
      memory,
      delivered,
      leaseMs: 1_000,
      leaseHeld: () => nowMs - startedMs < 990, // acquiring took some time
    };
  };

  it.each(Object.entries(ways))(
    'is given up after the third time, charged in its own delivery, and then begins anew: %s',
    async (_, apply) => {
      const update = blocking(apply);
      const memory = new KeyMemory();
      const job = entry('a', { name: 'block' });
      const before = nowMs;
      for (let i = 0; i < 3; i++) await folded([job], scene(update, memory, {}));
      expect(nowMs - before).toBeGreaterThan(2_900); // it was called each time
      expect((await folded([job], scene(update, memory, {}))).stop.kind).toBe('delivery');
      const charged = await folded([job], scene(update, memory, { a: 2 }));
      expect(charged.settlements.get('a')).toMatchObject({
        kind: 'retry',
        thrown: {
          code: 'UPDATE_TIMED_OUT',
          message: expect.stringContaining('blocked its process'),
        },
      });
      const calledMs = nowMs;
      await folded([job], scene(update, memory, { a: 2 }));
      expect(nowMs).toBeGreaterThan(calledMs);
    },
  );

  it.each(['schema', 'key', 'result'])('also if its %s does it', async (part) => {
    const slow = { key: () => 'k', result: () => 1, schema: undefined as unknown };
    if (part === 'key') slow.key = () => String.fromCharCode(block(106) && 107);
    if (part === 'result') slow.result = () => block(0);
    const validate = async (value: unknown): Promise<unknown> => {
      await Promise.resolve();
      block(0);
      return { value };
    };
    if (part === 'schema') slow.schema = { '~standard': { version: 1, vendor: 'test', validate } };
    const update = defineUpdate({
      name: 'block',
      initial: () => 0,
      apply: () => 1,
      ...slow,
    } as never);
    const memory = new KeyMemory();
    const job = entry('a', { name: 'block' });
    for (let i = 0; i < 3; i++) await folded([job], scene(update, memory, {}));
    expect((await folded([job], scene(update, memory, {}))).stop.kind).toBe('delivery');
  });

  it('is not one that only waits, however long', async () => {
    let settle: () => void = () => undefined;
    const update = blocking(
      (value: number) => new Promise((resolve) => (settle = () => resolve(value))),
    );
    const memory = new KeyMemory();
    let wake: () => void = () => undefined;
    const ticking = {
      ...clock,
      after: (_ms: number, callback: () => void) => {
        wake = callback;
        return { cancel: () => undefined };
      },
    };
    for (let i = 0; i < 4; i++) {
      const folding = folded([entry('a', { name: 'block' })], {
        ...scene(update, memory, {}),
        clock: ticking,
        leaseHeld: () => false, // memcached was away
      });
      for (let ticks = 0; ticks < 40; ticks++) {
        nowMs += 125;
        wake();
      }
      settle();
      expect((await folding).stop.kind).toBe('lost');
    }
    expect(memory.worker.overruns.isSuspect('a')).toBe(false);
  });

  it('is called alone once it is suspected, so that those beside it can show their innocence', async () => {
    const worker = new WorkerMemory();
    const memory = (): KeyMemory => new KeyMemory(worker);
    const held: (() => void)[] = [];
    const waiting = blocking(
      (value: number) => new Promise((resolve) => held.push(() => resolve(value + 1))),
    );
    const start = (jobId: string, leaseHeld: () => boolean): Promise<Batch> =>
      folded([entry(jobId, { name: 'block' })], { ...scene(waiting, memory(), {}), leaseHeld });
    const pair = [start('culprit', () => false), start('neighbour', () => false)];
    nowMs += 2_000; // one of them did that
    held.splice(0).forEach((settle) => settle());
    await Promise.all(pair);
    expect(['culprit', 'neighbour'].map((jobId) => worker.overruns.isSuspect(jobId))).toEqual([
      true,
      true,
    ]);
    const alone = start('neighbour', () => true);
    expect((await start('culprit', () => true)).stop.kind).toBe('again');
    held.splice(0).forEach((settle) => settle());
    expect((await alone).applied).toBe(1);
    expect(['culprit', 'neighbour'].map((jobId) => worker.overruns.isSuspect(jobId))).toEqual([
      true,
      false,
    ]);
    const next = start('culprit', () => true);
    expect(held).toHaveLength(1);
    held.splice(0).forEach((settle) => settle());
    await next;
  });

  it('does not make suspects of others if it was seen to do it', async () => {
    const worker = new WorkerMemory();
    const memory = (): KeyMemory => new KeyMemory(worker);
    let settle: () => void = () => undefined;
    const waiting = blocking(
      (value: number) => new Promise((resolve) => (settle = () => resolve(value))),
    );
    const lost = { leaseHeld: () => false };
    const neighbour = folded([entry('neighbour', { name: 'block' })], {
      ...scene(waiting, memory(), {}),
      ...lost,
    });
    await folded([entry('culprit', { name: 'block' })], {
      ...scene(
        blocking((value: number) => block(value)),
        memory(),
        {},
      ),
      ...lost,
    });
    settle();
    await neighbour;
    expect(['culprit', 'neighbour'].map((jobId) => worker.overruns.isSuspect(jobId))).toEqual([
      true,
      false,
    ]);
  });
});

describe('an update that fails when it is called again for its value', () => {
  it.each([false, true])(
    'is committed before the one that failed (asynchronous: %s)',
    async (isAsync) => {
      let calls = 0;
      const fickle = defineUpdate({
        name: 'fickle',
        key: () => 'k',
        initial: () => ({ n: 0 }),
        apply: (value: { n: number }, { throws }: Data): never => {
          const go = (): { n: number } => {
            if (throws !== undefined || ++calls > 1) throw new Error('no');
            return { n: value.n + 1 };
          };
          return (isAsync ? Promise.resolve().then(go) : go()) as never;
        },
      });
      const memory = new KeyMemory();
      const registry = new UpdateRegistry([fickle]);
      const entries = [
        entry('a', { name: 'fickle' }),
        entry('b', { name: 'fickle', data: { throws: 'no' } }),
      ];
      const scene = { memory, registry, delivered: { b: 1 } };
      expect((await folded(entries, scene)).stop.kind).toBe('again');
      calls = 0;
      expect(await folded(entries, scene)).toMatchObject({ applied: 1, stop: { kind: 'commit' } });
      const last = await folded(entries.slice(1), scene, { fresh: () => ({ n: 1 }) });
      expect(kinds(last)).toEqual({ b: 'f' });
    },
  );
});

describe('a value that nobody can have changed', () => {
  const calls: string[] = [];
  const update = (name: string, immutable: boolean, initial: unknown): AnyUpdate =>
    defineUpdate({
      name,
      key: () => 'k',
      immutable,
      initial: () => initial,
      apply: (value: unknown, { add = '', throws }: Data) => {
        calls.push(add);
        if (throws !== undefined) throw new Error(throws);
        return value;
      },
    });
  const registry = new UpdateRegistry([
    update('text', false, ''),
    update('frozen', true, {}),
    update('changeable', false, {}),
  ]);

  it.each([
    ['text', ['a', 'b', 'c']],
    ['frozen', ['a', 'b', 'c']],
    ['changeable', ['a', 'b', 'a', 'c']],
  ])('is not made again after a failure: %s', async (name, expected) => {
    calls.length = 0;
    const jobs = [{ add: 'a' }, { add: 'b', throws: 'no' }, { add: 'c' }];
    const entries = jobs.map((data) => entry(data.add, { name, data }));
    const batch = await folded(entries, { registry, delivered: { b: 1 } });
    expect(batch).toMatchObject({ decided: 3, applied: 2 });
    expect(calls).toEqual(expected);
  });
});
