import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { defineUpdate } from '../../../src/index.ts';
import { UpdateRegistry } from '../../../src/updates/update-registry.ts';

const good = { name: 'u', key: () => 'k', apply: (value: number) => value };
const define = (changes: object): unknown => {
  try {
    return defineUpdate({ ...good, ...changes });
  } catch (thrown) {
    return thrown;
  }
};

describe('defineUpdate', () => {
  it('fills in what most updates want', () => {
    expect(define({})).toMatchObject({
      onFailure: 'block',
      onExhausted: 'continue',
      strict: false,
      immutable: false,
      timeoutMs: 30_000,
      schema: undefined,
    });
  });

  it('keeps what was said', () => {
    const settings = {
      schema: z.object({}),
      onFailure: 'skip',
      onExhausted: 'hold',
      strict: true,
      immutable: true,
      timeoutMs: 5,
      expireSeconds: 60,
    };
    expect(define(settings)).toMatchObject(settings);
  });

  it.each([
    [{ name: '' }, /name must be a non-empty string/],
    [{ name: 7 }, /name must be a non-empty string/],
    [{ key: 'k' }, /key of "u" must be a function/],
    [{ apply: undefined }, /apply of "u" must be a function/],
    [{ schema: {} }, /schema of "u" is not a Standard Schema/],
    [{ onFailure: 'stop' }, /onFailure of "u" must be "block" or "skip", not "stop"/],
    [{ onExhausted: true }, /onExhausted of "u" must be .* not true/],
    [{ immutable: 'yes' }, /immutable of "u" must be true or false, not "yes"/],
    [{ timeoutMs: 0 }, /timeoutMs of "u" must be a positive number/],
    [{ timeoutMs: Number.NaN }, /timeoutMs/],
    [{ timeoutMs: 2 ** 31 }, /timeoutMs/],
    [{ expireSeconds: 0.5 }, /expireSeconds of "u" must be whole seconds/],
    [{ expireSeconds: 30 * 86_400 + 1 }, /expireSeconds/],
    [{ onExhaused: 'hold' }, /defineUpdate has no option "onExhaused". Did you mean "onExhausted"/],
  ])('refuses %j', (changes, message) => {
    expect(define(changes)).toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringMatching(message),
    });
  });

  it.each([null, undefined, 'u'])('refuses %j', (settings) => {
    expect(() => defineUpdate(settings as never)).toThrow(
      /pass an object with name, key and apply/,
    );
  });
});

describe('a registry of updates', () => {
  it('finds each by its name, and says which it knows', () => {
    const update = defineUpdate(good);
    const registry = new UpdateRegistry([update]);
    expect(registry.require('u')).toBe(update);
    expect(registry.find('u')).toEqual(update);
    expect(registry.find('toString')).toBeUndefined();
    expect(() => registry.require('v')).toThrow(
      /no update named "v" is registered here \(known: u\)/,
    );
  });

  it('reads the properties of an update once', () => {
    let reads = 0;
    const counting = Object.defineProperty({ ...defineUpdate(good) }, 'expireSeconds', {
      enumerable: true,
      get: () => ++reads,
    });
    const found = new UpdateRegistry([counting as never]).find('u');
    expect([found?.expireSeconds, found?.expireSeconds, reads]).toEqual([1, 1, 1]);
  });

  it.each(['expireSeconds', 'strict', 'key', 'apply', 'initial'])(
    'makes a getter "%s" that throws the failure of its jobs',
    (property) => {
      const slip = new TypeError('a slip');
      const update = Object.defineProperty({ ...defineUpdate(good) }, property, {
        get: () => {
          throw slip;
        },
      });
      const found = new UpdateRegistry([update as never]).find('u');
      const fails = expect.objectContaining({ code: 'INVALID_OPTIONS', cause: slip });
      expect(() => found?.apply(1, {}, undefined as never)).toThrow(fails);
      expect(() => found?.initial?.('k')).toThrow(fails);
      if (property === 'key') expect(() => found?.key({})).toThrow(fails);
      else expect(found?.key({ key: 'k' })).toBe('k');
    },
  );

  it('takes an update that nobody has given its defaults', () => {
    const { name, key, apply } = defineUpdate(good);
    const bare = { name, key, apply } as never;
    expect(new UpdateRegistry([bare]).find('u')).toMatchObject({
      onFailure: 'block',
      onExhausted: 'continue',
      timeoutMs: 30_000,
    });
  });
});
