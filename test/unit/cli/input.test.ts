/** What people write on the command line, and what errors turn into. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { EXIT, exitCodeFor } from '../../../src/cli/terminal/exit-codes.ts';
import { reportFailure } from '../../../src/cli/terminal/failure.ts';
import {
  type MemcachedFlags,
  memcachedSettings,
  redisUrl,
  wholeNumber,
} from '../../../src/cli/flags/flags.ts';
import type { MemcachedSettings } from '../../../src/memcached/options.ts';
import { checkJob, parseLine } from '../../../src/cli/enqueue/job-lines.ts';
import { table } from '../../../src/cli/terminal/terminal.ts';
import { ERROR_CODES, type ErrorCode, TorilError } from '../../../src/errors.ts';
import { defineUpdate } from '../../../src/updates/update.ts';
import { UpdateRegistry } from '../../../src/updates/update-registry.ts';

describe('the address of Redis', () => {
  test.each([
    [undefined, 'redis://127.0.0.1:6379'],
    ['', 'redis://127.0.0.1:6379'],
    ['cache', 'redis://cache'],
    ['cache:7000', 'redis://cache:7000'],
    ['redis://u:p@cache:7000/2', 'redis://u:p@cache:7000/2'],
    ['rediss://cache', 'rediss://cache'],
  ])('%s', (given, url) => {
    expect(redisUrl(given === undefined ? {} : { redis: given })).toBe(url);
  });

  test.each(['http://cache', 'redis://', 'a b', 'cache:port'])('is not %s', (given) => {
    const refused = expect(() => redisUrl({ redis: given }));
    refused.toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
  });
});

describe('the memcached servers', () => {
  test.each([
    [undefined, ['localhost:11211']],
    [' ', ['localhost:11211']],
    ['a', ['a']],
    ['a:1, b:2', ['a:1', 'b:2']],
  ])('%s', (given, servers) => {
    const flags = given === undefined ? {} : { memcached: given };
    expect(memcachedSettings(flags)).toMatchObject({ servers });
  });
});

describe('how memcached is spoken to', () => {
  test.each<[MemcachedFlags, Pick<MemcachedSettings, 'tls' | 'protocol' | 'unproven'>]>([
    [{}, { tls: undefined, protocol: undefined, unproven: undefined }],
    [{ memcachedTls: true }, { tls: true }],
    [{ memcachedProtocol: 'binary' }, { protocol: 'binary' }],
    [{ memcachedUnproven: true }, { unproven: 'accept' }],
  ])('%j', (flags, settings) => {
    expect(memcachedSettings(flags)).toMatchObject(settings);
  });
});

describe('a whole number', () => {
  const parse = wholeNumber(1, 10);
  test.each(['1', '10', '5'])('%s', (text) => expect(parse(text)).toBe(Number(text)));
  test.each(['', ' ', '0', '11', '1.5', 'x', '-1', 'Infinity'])('is not "%s"', (text) => {
    expect(() => parse(text)).toThrow('whole number from 1 to 10');
  });
});

describe('a line of jobs', () => {
  const update = defineUpdate({
    name: 'one',
    key: ({ key }: { key: string }) => key,
    initial: () => 0,
    apply: (value: number) => value + 1,
  });
  const registry = new UpdateRegistry([update]);

  test('is the data of the update that was named', () => {
    expect(parseLine('{"a":1}', 'one', {})).toEqual({ name: 'one', data: { a: 1 }, opts: {} });
    expect(parseLine('[1]', 'one', { delay: 5 })).toMatchObject({ data: [1], opts: { delay: 5 } });
  });

  test('names its update, and its options win', () => {
    const line = '{"name":"one","data":{"key":"k"},"options":{"attempts":2}}';
    expect(parseLine(line, undefined, { attempts: 1, delay: 5 })).toEqual({
      name: 'one',
      data: { key: 'k' },
      opts: { attempts: 2, delay: 5 },
    });
  });

  test.each([
    ['{', 'DATA_NOT_JSON'],
    ['[]', 'INVALID_DATA'],
    ['null', 'INVALID_DATA'],
    ['{"data":{}}', 'INVALID_DATA'],
    ['{"name":"","data":{}}', 'INVALID_DATA'],
    ['{"name":"one","data":{},"opts":{}}', 'INVALID_DATA'],
    ['{"name":"one","data":{},"options":1}', 'INVALID_DATA'],
  ])('that names its update is not %s', (line, code) => {
    const refused = expect(() => parseLine(line, undefined, {}));
    refused.toThrow(expect.objectContaining({ code }));
  });

  test('is checked against its update', async () => {
    const job = (name: string, data: unknown): Promise<void> =>
      checkJob(registry, { name, data, opts: {} });
    await expect(job('one', { key: 'k' })).resolves.toBeUndefined();
    await expect(job('two', {})).rejects.toMatchObject({ code: 'UNKNOWN_UPDATE' });
    await expect(job('one', { key: '' })).rejects.toMatchObject({ code: 'INVALID_KEY' });
  });
});

describe('an error', () => {
  afterEach(() => vi.restoreAllMocks());

  function report(thrown: unknown): { code: number; said: string } {
    let said = '';
    vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
      said += chunk.toString();
      return true;
    });
    return { code: reportFailure(thrown), said };
  }

  test('of Toril becomes one line and its exit code', () => {
    const { code, said } = report(new TorilError('BAD_FILE', 'it is bad.'));
    expect({ code, said }).toEqual({ code: 2, said: 'error BAD_FILE: it is bad.\n' });
  });

  test('of another Toril, which --updates brought, is known by its code', () => {
    const foreign = Object.assign(new Error('gone'), { code: 'MEMCACHED_CLOSED' });
    expect(report(foreign)).toEqual({ code: 3, said: 'error MEMCACHED_CLOSED: gone\n' });
  });

  test('that nobody expected says how to find out more', () => {
    const { code, said } = report(new Error('oops'));
    expect(code).toBe(EXIT.internal);
    expect(said).toContain('error INTERNAL: oops');
    expect(said).toContain('DEBUG=toril');
    expect(said).not.toContain('at ');
  });

  test('has an exit code, whichever it is', () => {
    const codes = Object.keys(ERROR_CODES) as ErrorCode[];
    const known: readonly number[] = Object.values(EXIT);
    expect(codes.filter((code) => !known.includes(exitCodeFor(code)))).toEqual([]);
    expect(exitCodeFor('SERVER_LIST_CHANGED')).toBe(EXIT.server);
    expect(exitCodeFor('INVALID_KEY')).toBe(EXIT.usage);
    expect(exitCodeFor('CELL_OF_ANOTHER_REDIS')).toBe(EXIT.unusable);
    expect(exitCodeFor('OUTCOME_UNKNOWN')).toBe(EXIT.undecided);
    expect(exitCodeFor('INTERNAL')).toBe(EXIT.internal);
  });
});

test('a table groups its numbers and has no colours of its own', () => {
  const drawn = table(['name', 'jobs'], [['a', 67_549]]);
  expect(drawn).toContain('67,549');
  expect(drawn).not.toContain('\u001b');
});
