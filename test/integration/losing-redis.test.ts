/** A Redis that cuts its connections, or is started again from its disk, costs no job an attempt. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'vitest';
import { enqueueMany, expectUncharged, goesOn, underWay } from '../support/faulty-load.ts';
import { startRedis } from '../support/servers.ts';
import { stage } from '../support/workers.ts';

describe('Redis', () => {
  it('cutting the connections of its clients', async () => {
    const redis = await startRedis();
    const here = stage({ redis: redis.address });
    for (let i = 0; i < 2; i++) await here.worker({ concurrency: 8 });
    const jobs = await enqueueMany(here);
    for (let i = 0; i < 10; i++) {
      await here.redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      await goesOn(here, 10);
    }
    await expectUncharged(here, jobs);
    await here.close();
    await redis.stop();
  });

  it('restarted, with everything that it acknowledged on disk', async () => {
    const redis = await startRedis({ flags: ['--appendonly', 'yes', '--appendfsync', 'always'] });
    const here = stage({ redis: redis.address });
    for (let i = 0; i < 2; i++) await here.worker({ concurrency: 8 });
    const jobs = await enqueueMany(here);
    await underWay(here);
    await redis.kill();
    await sleep(300);
    await redis.start();
    await expectUncharged(here, jobs);
    await here.close();
    await redis.stop();
  });
});
