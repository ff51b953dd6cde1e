/** A BullMQ that lacks a script without which nothing works: said when a queue or a worker is made, not at the first job. */
import { expect, test, vi } from 'vitest';
import { TorilBackend, torilBackend } from '../../../src/jobs/bullmq/bull-backend.ts';
import { installedBullMQ } from '../../../src/jobs/bullmq/state/known-bullmq.ts';
import { INDISPENSABLE } from '../../../src/jobs/bullmq/state/layout.ts';

vi.mock(import('../../../src/jobs/bullmq/state/bullmq-text.ts'), async (original) => {
  const text = await original();
  const without = new Map(text.bullScripts());
  without.delete('addStandardJob');
  return { ...text, bullScripts: () => without };
});

test('is refused by a code, and named', () => {
  expect(INDISPENSABLE).toContain('addStandardJob');
  expect(installedBullMQ()).toMatchObject({ missing: ['addStandardJob'] });
  const make = (): TorilBackend =>
    torilBackend()('q', { connection: { lazyConnect: true } }, { shared: false } as never);
  expect(make).toThrow(
    expect.objectContaining({
      code: 'BULLMQ_UNSUPPORTED',
      message: expect.stringMatching(
        /BullMQ \d+\.\d+\.\d+ has no script "addStandardJob".*bullmq@/,
      ),
    }),
  );
});
