/** A worker process that was frozen for longer than its lease costs no job an attempt. */
import { describe, it } from 'vitest';
import { enqueueMany, expectUncharged, underWay } from '../support/faulty-load.ts';
import { eventually } from '../support/memcached.ts';
import { startProcess } from '../support/processes.ts';
import { stage } from '../support/workers.ts';

describe('a worker process', () => {
  it('frozen for longer than its lease finds that it has lost it', async () => {
    const here = stage();
    const frozen = await startProcess(here, { concurrency: 8 });
    const jobs = await enqueueMany(here);
    await underWay(here);
    frozen.freeze();
    const worker = await here.worker({ concurrency: 8 });
    await eventually(
      'the other worker has taken over',
      () => (worker.counts.leaseTakenOver ?? 0) > 0,
    );
    frozen.thaw();
    await expectUncharged(here, jobs);
  });
});
