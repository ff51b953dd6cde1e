import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { QueueKeys } from 'bullmq';
import { describe, expect, test } from 'vitest';
import {
  checkJobId,
  checkParentId,
  checkSchedulerId,
  explained,
} from '../../../src/jobs/bullmq/adding/job-ids.ts';

const refused = expect.objectContaining({ code: 'INVALID_JOB_ID' });
const answerTo = (check: (id: string) => void, id: string): unknown => {
  try {
    return check(id);
  } catch (thrown) {
    return thrown;
  }
};

describe('a job id', () => {
  test('must not be one of the keys that BullMQ has of a queue', () => {
    const names = Object.keys(new QueueKeys('bull').getKeys('q')).filter((name) => name !== '');
    expect(names).toContain('meta');
    for (const name of names) expect(answerTo(checkJobId, name), name).toEqual(refused);
  });

  test('must not be one of those that its scripts make of the prefix', () => {
    const folder = new URL('../../../node_modules/bullmq/dist/esm/scripts/', import.meta.url);
    // `obliterate` also deletes what older versions had.
    const files = readdirSync(fileURLToPath(folder)).filter((name) =>
      /^(?!oblit).*\.js$/.test(name),
    );
    const texts = files.map((name) => readFileSync(new URL(name, folder), 'utf8'));
    const pattern = /(?:prefix|prefixKey|parentPrefix|keyPrefix|baseKey) ?\.\. ?["']([^"':]+)/gi;
    const names = texts.flatMap((text) => [...text.matchAll(pattern)].map(([, name]) => name));
    expect(new Set(names).size).toBeGreaterThan(8);
    for (const name of names) expect(answerTo(checkJobId, name as string), name).toEqual(refused);
  });

  test.each(['de:mail:7', 'dn:mail:7', 'repeat:daily:1767225600000', 'metrics:completed:data'])(
    'must not be %s',
    (id) => expect(answerTo(checkJobId, id)).toEqual(refused),
  );

  test.each(['0:a:b', '0', 'half \ud800'])('must not be %j', (id) =>
    expect(answerTo(checkJobId, id)).toEqual(refused),
  );

  test.each(['events:tenant:7', 'id:a:b', 'copy:a:b', 'doc:7:logs', 'waiting', 'Meta', 'ä', 'a b'])(
    'may be %s',
    (id) => expect(answerTo(checkJobId, id)).toBeUndefined(),
  );

  test('that BullMQ refuses is refused with a code, and any other error stays what it is', () => {
    const cause = new Error('Custom Id cannot be integers');
    expect(explained(cause)).toMatchObject({ code: 'INVALID_JOB_ID', cause });
    const other = new Error('The size of job a exceeds the limit');
    expect(explained(other)).toBe(other);
  });
});

test('a parent may be what a scheduler made, and nothing else that is no job', () => {
  expect(answerTo(checkParentId, 'repeat:daily:1767225600000')).toBeUndefined();
  for (const id of ['meta', 'repeat:daily', 'de:a:b'])
    expect(answerTo(checkParentId, id), id).toEqual(refused);
});

test('a scheduler must not be called like the jobs of another one', () => {
  for (const id of ['daily', 'tenant:42', 'a:b:c'])
    expect(answerTo(checkSchedulerId, id)).toBeUndefined();
  for (const id of ['daily:1767225600000', 'daily:1767225600000:logs'])
    expect(answerTo(checkSchedulerId, id)).toEqual(refused);
});
