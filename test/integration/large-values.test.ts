/** Values and results that are larger than memcached can store. */
import { describe, expect, it } from 'vitest';
import { defineUpdate } from '../../src/index.ts';
import { type Stage, stage } from '../support/workers.ts';

describe('a value that is larger than memcached can store', () => {
  const grow = defineUpdate({
    name: 'grow',
    key: ({ key }: { key: string; by: number; message?: string }) => key,
    initial: () => '',
    apply: (text: string, { by, message }) => {
      if (message !== undefined) throw new Error(message);
      return text + 'x'.repeat(by);
    },
    result: (text) => text?.length,
  });

  it('fails the job that made it so, at once; the cell stays, and later jobs go on', async () => {
    const here = stage({ updates: [grow] });
    const key = here.key();
    const jobs = await here.queue.enqueueBulk(
      [100_000, 200_000, 2_000_000, 300_000, 400_000, 800_000, 50_000].map((by) => ({
        update: grow,
        data: { key, by },
        options: { attempts: 5, backoff: 30_000 },
      })),
    );
    await here.worker({ concurrency: 8 });
    const finished = await here.finished(jobs, 10_000);
    expect(finished.map((job) => job.returnvalue)).toEqual([
      100_000,
      300_000,
      null,
      600_000,
      1_000_000,
      null,
      null,
    ]);
    expect(finished[2]?.failedReason).toMatch(/takes 2300\d\d\d bytes/);
    expect((await here.cells.get<string>(key))?.length).toBe(1_000_000);
  });

  it('leaves room to say that a job failed, however full the cell and however long the message', async () => {
    const here = stage({ updates: [grow] });
    const key = here.key();
    await here.worker({ concurrency: 8 });
    // The largest value that is accepted, found by trying.
    let fits = 0;
    for (let step = 2 ** 20; step >= 1; step /= 2) {
      const [job] = await here.finished([await here.queue.enqueue(grow, { key, by: step })]);
      fits += job?.returnvalue === null ? 0 : step;
    }
    expect(fits).toBeGreaterThan(1_000_000);
    const jobs = await here.queue.enqueueBulk(
      ['short', 'long '.repeat(20_000), '\u0001'.repeat(20_000)].map((message) => ({
        update: grow,
        data: { key, by: 0, message },
      })),
    );
    const finished = await here.finished(jobs, 10_000);
    expect(finished.map((job) => job.failedReason)).toEqual(jobs.map(({ data }) => data.message));
    expect((await here.cells.get<string>(key))?.length).toBe(fits);
  });
});

describe('a result that does not fit beside the value', () => {
  interface Growth {
    readonly key: string;
    readonly by: number;
    readonly result: number;
  }
  let calls = 0;
  const reporting = defineUpdate({
    name: 'report',
    key: ({ key }: Growth) => key,
    initial: () => '',
    apply: (text: string, { by }: Growth) => {
      calls++;
      return text + 'x'.repeat(by);
    },
    result: (_text, { result }) => '\u00e9'.repeat(result),
  });
  const outcomes = async (here: Stage, growths: Omit<Growth, 'key'>[]): Promise<unknown[]> => {
    const jobs = growths.map((growth) => ({
      update: reporting,
      data: { key: here.key(), ...growth },
      options: { attempts: 5, backoff: 30_000 },
    }));
    const finished = await here.finished(await here.queue.enqueueBulk(jobs), 30_000);
    return finished.map((job) => job.failedReason ?? (job.returnvalue as string).length);
  };

  it('fails its job at once and is named, with its size; the value stays', async () => {
    const here = stage({ updates: [reporting] });
    const worker = await here.worker({ concurrency: 8 });
    const codes: unknown[] = [];
    worker.on('failed', (_job, error) => codes.push((error as { code?: string }).code));
    const growths = [
      { by: 10, result: 1 },
      { by: 10, result: 1_000_000 },
      { by: 700_000, result: 1 },
      { by: 1, result: 200_000 },
      { by: 2_000_000, result: 10 },
      { by: 1, result: 50_000 },
    ];
    expect(await outcomes(here, growths)).toEqual([
      1,
      expect.stringMatching(/the result of the update takes 20000\d\d bytes/),
      1,
      expect.stringMatching(/the result of the update takes 4000\d\d bytes, and beside the value/),
      expect.stringMatching(/the new value of .* takes 2700\d\d\d bytes/),
      50_000,
    ]);
    expect(codes).toEqual(['RESULT_TOO_LARGE', 'RESULT_TOO_LARGE', 'VALUE_TOO_LARGE']);
    expect((await here.cells.get<string>(here.key()))?.length).toBe(700_011);
  });

  it('is not one of many that fit one by one: they are spread over batches', async () => {
    const here = stage({ updates: [reporting] });
    const growths = Array.from({ length: 60 }, () => ({ by: 10_000, result: 20_000 }));
    calls = 0;
    const pending = outcomes(here, growths);
    await here.worker({ concurrency: 64 });
    expect(await pending).toEqual(growths.map(({ result }) => result));
    expect((await here.cells.get<string>(here.key()))?.length).toBe(600_000);
    expect(calls).toBeLessThan(2 * 60); // not each of them again and again
  });
});
