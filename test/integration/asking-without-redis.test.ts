/** What a queue is asked while Redis does not answer ends with a code, and is answered once it does. */
import { expect, it, onTestFinished } from 'vitest';
import type { TorilError } from '../../src/index.ts';
import { startRedis } from '../support/servers.ts';
import { log } from '../support/updates.ts';
import { stage } from '../support/workers.ts';

const codeOf = ({ code, message }: TorilError): string => `${code}: ${message}`;

it('a queue whose Redis is frozen', async () => {
  const redis = await startRedis();
  const here = stage({ redis: redis.address });
  onTestFinished(async () => {
    redis.thaw();
    await here.close();
    await redis.stop();
  });
  const key = here.key();
  await here.queue.enqueue(log, { key, n: 0 });
  const lane = here.queue.lane(key);
  const ask = (): Promise<unknown>[] => [
    here.queue.snapshot([key]),
    here.queue.laneCounts(),
    here.queue.lanes(),
    here.queue.audit.read(),
    lane.report(),
  ];
  await Promise.all(ask());
  redis.freeze();
  const asked = await Promise.all([lane.skip(), ...ask()].map((one) => one.catch(codeOf)));
  for (const one of asked)
    expect(one).toMatch(/^REDIS_FAILED: Redis did not answer within 10000 ms/);
  redis.thaw();
  await Promise.all(ask());
});
