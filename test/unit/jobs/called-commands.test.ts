/** That the list of commands that a user of Redis must be allowed is the one that the scripts call. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createRequire } from 'node:module';
import { expect, it } from 'vitest';
import { CALLED_COMMANDS } from '../../../src/jobs/redis/scripts/permissions.ts';

it('names every command that a script of ours or of BullMQ calls', () => {
  const bullmq = dirname(createRequire(import.meta.url).resolve('bullmq'));
  const sources = ['src', join(bullmq, 'scripts')].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.(ts|js)$/.test(file))
      .map((file) => join(folder, file)),
  );
  const called = sources.flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/call\(\s*["']([A-Za-z]+)["']/g)].map(([, name]) =>
      (name as string).toUpperCase(),
    ),
  );
  expect(called).toContain('RPOPLPUSH'); // BullMQ's are among them
  expect([...new Set(called)].toSorted()).toEqual([...CALLED_COMMANDS].toSorted());
});
