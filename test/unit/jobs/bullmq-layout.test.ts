/** What Toril knows of BullMQ's state is what the BullMQ that is installed has, and all that its scripts name of it. */
import { readdirSync, readFileSync } from 'node:fs';
import { LockManager, QueueKeys, RedisQueueBackend, Worker } from 'bullmq';
import { describe, expect, test } from 'vitest';
import { bullScripts } from '../../../src/jobs/bullmq/state/bullmq-text.ts';
import { installedBullMQ } from '../../../src/jobs/bullmq/state/known-bullmq.ts';
import { JOB_KEYS, KEYS, NAMES, TRIED_VERSIONS } from '../../../src/jobs/bullmq/state/layout.ts';

const SRC = new URL('../../../src/', import.meta.url);
const TEXT = [...bullScripts().values()].map(({ lua }) => lua).join('\n');

const inBullMQ = (name: string): boolean =>
  new RegExp(`["':]${name.replace('.', String.raw`\.`)}["']`).test(TEXT);

/** Sources in which there is Lua of Toril's, without what it says in comments. */
const SOURCES = ['jobs/bullmq', 'jobs/redis', 'redis'].flatMap((folder) =>
  readdirSync(new URL(folder, SRC), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(new URL(`${folder}/${file}`, SRC), 'utf8')),
);
const LUA = SOURCES.flatMap((source) =>
  [...source.matchAll(/`[^`]*redis\.[^`]*`|`[^`]*call\('[^`]*`/g)].map(([text]) =>
    text.replaceAll(/--.*$/gm, ''),
  ),
).join('\n');

const named = (pattern: RegExp): string[] =>
  [...new Set([...LUA.matchAll(pattern)].map(([, name]) => name as string))].toSorted();

describe('the layout', () => {
  test('is of a version that was tried, with all of its scripts as they were then', {
    tags: 'imitation',
  }, () => {
    expect(TRIED_VERSIONS).toContain(installedBullMQ().version);
    expect(installedBullMQ()).toMatchObject({ changed: [], missing: [] });
  });

  test.each([...NAMES.fields, ...NAMES.meta])(
    'names a field that BullMQ’s scripts name, too: %s',
    (name) => {
      expect(inBullMQ(name)).toBe(true);
    },
  );

  test('names the keys of a queue as BullMQ does', () => {
    const keys = Object.keys(new QueueKeys('bull').getKeys('q'));
    expect(NAMES.keys.filter((name) => !keys.includes(name))).toEqual([]);
    expect(keys.filter((name) => name !== '' && !KEYS.includes(name))).toEqual([]);
    expect(JOB_KEYS.filter((name) => !TEXT.includes(`:${name}`))).toEqual([]);
  });

  test('has every key of BullMQ’s that a script of Toril’s names', () => {
    expect(LUA.length).toBeGreaterThan(20_000);
    expect(named(/\b(?:prefix|ARGV\[1\]|itsPrefix) \.\. '([^':]+)/g)).toEqual(
      expect.arrayContaining(['active', 'delayed', 'meta', 'wait']),
    );
    const keys = new Set<string>(NAMES.keys);
    expect(
      named(/\b(?:prefix|ARGV\[1\]|itsPrefix) \.\. '([^':]+)/g).filter((n) => !keys.has(n)),
    ).toEqual([]);
    const jobKeys = new Set<string>(JOB_KEYS);
    expect(named(/\b(?:jobKey|childKey) \.\. ':([^']+)'/g).filter((n) => !jobKeys.has(n))).toEqual(
      [],
    );
  });

  test('has every field of a job that a script of Toril’s reads or writes', () => {
    const fields = new Set<string>(NAMES.fields);
    const calls = named(
      /(?:'H(?:M?GET|SET|DEL|INCRBY|EXISTS)', (?:jobKey|job\.key|\w*[pP]refix \.\. \w+(?:\[\w+\])?)|fieldsOf\((?:jobKey|prefix \.\. [\w[\] +]+)), ([^)\n]+)/g,
    );
    const names = calls.flatMap((call) =>
      [...call.matchAll(/'([\w.]+)'/g)].map(([, name]) => name as string),
    );
    expect(names.length).toBeGreaterThan(10);
    expect(
      [...new Set(names)].filter((name) => !fields.has(name) && name !== 'held' && name !== '1'),
    ).toEqual([]);
  });
});

/** What Toril overrides, or calls though it is no public call: each must be there, or the override is never called. */
describe('BullMQ has', () => {
  const overridden = (file: string): string[] =>
    [...readFileSync(new URL(file, SRC), 'utf8').matchAll(/override (?:async )?(\w+)[<(]/g)].map(
      ([, name]) => name as string,
    );
  const layers = readdirSync(new URL('jobs/bullmq/backend', SRC)).flatMap((file) =>
    overridden(`jobs/bullmq/backend/${file}`),
  );

  test.each([...layers, ...overridden('jobs/bullmq/bull-backend.ts')])(
    'the method of its backend that Toril overrides: %s',
    (name) => {
      expect(RedisQueueBackend.prototype).toHaveProperty(name);
    },
  );

  test.each([
    'moveToDelayedArgs',
    'removeArgs',
    'addJobToTransaction',
    'finishedErrors',
    'isFinished',
  ])('the method of its backend that Toril calls: %s', (name) => {
    expect(RedisQueueBackend.prototype).toHaveProperty(name);
  });

  test.each(overridden('workers/worker.ts'))(
    'the method of its worker that Toril overrides: %s',
    (name) => {
      expect(Worker.prototype).toHaveProperty(name);
    },
  );

  test.each(overridden('jobs/bullmq/state/lock-renewal.ts'))(
    'the method of its lock manager that Toril overrides: %s',
    (name) => {
      expect(LockManager.prototype).toHaveProperty(name);
    },
  );

  test.each(['mainLoopQueue', 'limitUntil', 'stalledCheckStopper', 'lockManager'])(
    'what Toril reaches for inside its worker: %s',
    (name) => {
      const { prototype } = Worker;
      const methods = Object.getOwnPropertyNames(prototype).map((method) =>
        String(Object.getOwnPropertyDescriptor(prototype, method)?.value ?? ''),
      );
      expect([String(Worker), ...methods].join('\n')).toContain(`this.${name}`);
    },
  );
});
