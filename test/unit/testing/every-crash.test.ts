/** everyCrash: a scenario with a crash at every moment that it goes through. */
import { describe, expect, test } from 'vitest';
import {
  createTestBed,
  everyCrash,
  expectExactlyOnce,
  ExpectationError,
  expectValue,
  type TestBed,
  VacuousExpectationError,
} from '../../../src/testing.ts';
import { defineUpdate } from '../../../src/updates/update.ts';

const add = defineUpdate({
  name: 'add',
  key: ({ key }: { key: string; more: number }) => key,
  initial: () => 0,
  apply: (sum: number, { more }) => sum + more,
});
const make = (): TestBed => createTestBed({ updates: [add] });

describe('everyCrash', () => {
  test('kills a worker at each moment, each time that it comes', async () => {
    const crashes: number[] = [];
    const runs = await everyCrash(make, async (bed) => {
      for (const more of [1, 2]) {
        await bed.enqueue(add, { key: 'k', more });
        await bed.drain();
      }
      crashes.push(bed.jobs().filter(({ deliveries }) => deliveries > 1).length);
      expectValue(bed, 'k', 3);
      expectExactlyOnce(bed);
    });
    expect(runs).toHaveLength(10);
    expect(runs).toContainEqual({ moment: 'after-commit', nth: 2 });
    expect(crashes[0]).toBe(0); // the calm run
    expect(crashes.slice(1).every((count) => count === 1)).toBe(true);
  });

  test('tells at which moment a scenario fails', async () => {
    let calls = 0;
    const counted = { ...add, apply: (sum: number) => ((calls += 1), sum) };
    const failing = everyCrash(
      () => {
        calls = 0;
        return createTestBed({ updates: [counted] });
      },
      async (bed) => {
        await bed.enqueue(counted, { key: 'k', more: 1 });
        await bed.drain();
        if (calls > 1) throw new ExpectationError(`called ${calls} times`);
      },
    );
    await expect(failing).rejects.toThrow('with a crash before-commit: called 2 times');
    await expect(failing).rejects.toBeInstanceOf(ExpectationError);
  });

  test('tells that a scenario fails without a crash', async () => {
    await expect(everyCrash(make, () => expect(1).toBe(2))).rejects.toThrow(/^without a crash: /);
  });

  test('refuses a scenario that shows nothing', async () => {
    const idle = everyCrash(make, async (bed) => {
      await bed.enqueue(add, { key: 'k', more: 1 });
    });
    await expect(idle).rejects.toThrow(VacuousExpectationError);
    await expect(idle).rejects.toThrow(/no worker takes a job/);
  });

  test('refuses one that goes another way each time', async () => {
    let runs = 0;
    const moody = everyCrash(make, async (bed) => {
      if (runs++ > 0) return;
      await bed.enqueue(add, { key: 'k', more: 1 });
      await bed.drain();
    });
    await expect(moody).rejects.toThrow(/with a crash before-take: this would show nothing/);
  });
});
