/** A queue as the page sees it, where Redis says nothing. */
import { expect, test } from 'vitest';
import type { Queue } from '../../../src/jobs/queue.ts';
import { QueueBoard } from '../../../src/ui/queue-board.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

const never = (): Promise<never> => new Promise(() => undefined);

test('whatever is asked of a Redis that does not answer ends in time', async () => {
  const clock = new VirtualClock();
  const lane = { report: never, retry: never, skip: never, drop: never };
  const board = new QueueBoard(
    {
      audit: { begin: never, end: never, read: never },
      ...{ laneCounts: never, lanes: never, resume: never },
      ...{ lane: () => lane, inRedis: { lanes: { lanesOf: never }, history: { latest: never } } },
    } as unknown as Queue,
    undefined,
    clock,
  );
  const act = { who: 'ada', what: 'drop', key: 'a', jobId: '1' };
  const asked = [
    board.counts(),
    board.lanes({}),
    board.lane('a'),
    board.commits('a'),
    board.lanesOf('1'),
    board.audit.begin(act),
    board.audit.read(),
    ...(['retry', 'skip', 'drop', 'resume'] as const).map((what) => board.act(what, 'a', '1')),
  ];
  const ended = Promise.allSettled(asked);
  await clock.advance(5_000);
  for (const end of await ended)
    expect(end).toMatchObject({ status: 'rejected', reason: { code: 'REDIS_FAILED' } });
});

test('which value is true cannot be settled without memcached', async () => {
  const board = new QueueBoard(
    { audit: {}, lane: never } as unknown as Queue,
    undefined,
    new VirtualClock(),
  );
  const settled = board.act('trust-copy', 'a', '');
  await expect(settled).rejects.toMatchObject({ code: 'INVALID_OPTIONS' });
});
