/** A BullMQ that lacks a script without which nothing works: said when a queue or a worker is made, not at the first job. */
import { expect, onTestFinished, test, vi } from 'vitest';
import type { TorilBackend } from '../../../src/jobs/bullmq/bull-backend.ts';

const TEXT = '../../../src/jobs/bullmq/state/bullmq-text.ts';

test('is refused by a code, and named', async () => {
  // Not of the whole file: the files of a process share their modules.
  vi.resetModules();
  vi.doMock(TEXT, async (original) => {
    const text = await original<typeof import('../../../src/jobs/bullmq/state/bullmq-text.ts')>();
    const without = new Map(text.bullScripts());
    without.delete('addStandardJob');
    return { ...text, bullScripts: () => without };
  });
  onTestFinished(() => {
    vi.doUnmock(TEXT);
    vi.resetModules();
  });
  const { torilBackend } = await import('../../../src/jobs/bullmq/bull-backend.ts');
  const { installedBullMQ } = await import('../../../src/jobs/bullmq/state/known-bullmq.ts');
  const { INDISPENSABLE } = await import('../../../src/jobs/bullmq/state/layout.ts');
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
