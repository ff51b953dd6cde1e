/** A memcached that comes back with other limits than it had: `-I` is a fact of a connection, not of a server. */
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  defineTransaction,
  defineUpdate,
  openInspector,
  openLocks,
  UncommittedError,
  why,
  type Worker,
} from '../../src/index.ts';
import { eventually } from '../support/memcached.ts';
import { type PrivateServer, startMemcached } from '../support/servers.ts';
import { quickly, stage, type Stage } from '../support/workers.ts';

const LARGE = 900_000;

interface Filling {
  readonly key: string;
  readonly characters: number;
}

let strictCalls = 0;
const settings = {
  key: ({ key }: Filling) => key,
  initial: () => '',
};
const fill = defineUpdate({
  ...settings,
  name: 'fill',
  apply: (text: string, { characters }: Filling) => text + 'x'.repeat(characters),
});
const fillStrictly = defineUpdate({
  ...settings,
  name: 'fill-strictly',
  strict: true,
  apply: (text: string, { characters }: Filling) => {
    strictCalls++;
    return text + 'x'.repeat(characters);
  },
});
const cut = defineUpdate({
  ...settings,
  name: 'cut',
  apply: (text: string, { characters }: Filling) => text.slice(0, characters),
});

const both = defineTransaction({
  name: 'both',
  keys: ({ keys }: { keys: readonly string[] }) => keys,
  initial: () => '',
  apply: (texts: readonly string[]) => texts.map((text) => `${text}x`),
});

/** A key with a large value, and its memcached restarted with smaller items. */
async function shrunk(): Promise<{
  here: Stage;
  key: string;
  worker: Worker;
  held: string[];
  /** Times a job of the key was snoozed: its lane was met, and stands. */
  looks: { count: number };
}> {
  const first = await startMemcached({ flags: ['-I', '1m'] });
  const here = stage({
    memcached: quickly(first.address),
    updates: [fill, fillStrictly, cut, both],
  });
  const worker = await here.worker({ leaseMs: 1_000 });
  const key = here.key('large');
  await here.finished([await here.queue.enqueue(fill, { key, characters: LARGE })]);
  await first.stop();
  await restarted(first, '512k');
  const held: string[] = [];
  worker.on('laneHeld', (event) => held.push(`${event.key} ${event.code}`));
  const looks = { count: 0 };
  worker.on('jobSnoozed', (event) => void (event.key === key && looks.count++));
  return { here, key, worker, held, looks };
}

async function restarted({ port }: PrivateServer, items: string): Promise<PrivateServer> {
  const server = await startMemcached({ port, flags: ['-I', items] });
  onTestFinished(() => server.stop());
  current = server;
  return server;
}
let current: PrivateServer;

async function withLargeItemsAgain(): Promise<void> {
  await current.stop();
  await restarted(current, '1m');
}

describe('a value that does not fit into the items of its memcached any more', () => {
  it('holds its lane, which is told, while other keys go on; and goes on by itself with larger items', async () => {
    const { here, key, worker, held, looks } = await shrunk();
    const jobs = await here.queue.enqueueBulk([
      { update: fill, data: { key, characters: 1 } },
      { update: fill, data: { key, characters: 2 }, options: { attempts: 3 } },
    ]);
    const other = await here.queue.enqueue(fill, { key: here.key('small'), characters: 1 });
    await here.finished([other]);
    await eventually('it is held', () => held.length > 0);
    const { unavailable } = worker.counts; // while memcached was restarted
    const { count } = looks;
    await eventually('it is still held', () => looks.count > count + 5);
    expect(held).toEqual([`${key} VALUE_TOO_LARGE`]);
    expect(worker.counts.unavailable).toBe(unavailable);
    await withLargeItemsAgain();
    const finished = await here.finished(jobs);
    expect(finished.map(({ failedReason }) => failedReason)).toEqual([undefined, undefined]);
    expect(finished.map(({ attemptsMade }) => attemptsMade)).toEqual([1, 1]);
    expect(await here.cells.get<string>(key)).toHaveLength(LARGE + 3);
    await here.close();
  });

  it('is why its key stands, and why a transaction does that changes it with another one', async () => {
    const { here, key } = await shrunk();
    const small = here.key('small');
    const job = await here.queue.enqueue(both, { keys: [small, key] });
    const inspector = openInspector(here.queue, here.memcached);
    onTestFinished(() => inspector.close());
    const said = async (of: string): Promise<string> => why(await inspector.inspect(of)).sentence;
    await expect.poll(() => said(key)).toMatch(/^the cell cannot be used \(VALUE_TOO_LARGE\)/);
    await expect.poll(() => said(small)).toContain(`the cell of ${key} cannot be used (VALUE_TOO`);
    await withLargeItemsAgain();
    await here.finished([job]);
    expect(await said(key)).toBe('nothing waits');
    await here.close();
  });

  it('may be made smaller by an update', async () => {
    const { here, key } = await shrunk();
    const [job] = await here.finished([
      await here.queue.enqueue(cut, { key, characters: 100_000 }),
    ]);
    expect(job?.failedReason).toBeUndefined();
    expect(await here.cells.get<string>(key)).toHaveLength(100_000);
    await here.close();
  });

  it('has no strict update called, until it can be stored', async () => {
    const { here, key, held, looks } = await shrunk();
    strictCalls = 0;
    const job = await here.queue.enqueue(fillStrictly, { key, characters: 1 });
    await eventually('it is held', () => held.length > 0 && looks.count > 2);
    expect(strictCalls).toBe(0);
    await withLargeItemsAgain();
    await here.finished([job]);
    expect(strictCalls).toBe(1);
    expect(await here.cells.get<string>(key)).toHaveLength(LARGE + 1);
    await here.close();
  });
});

describe('a value that has grown too large', () => {
  it('still fails its job for good, and leaves the value as it was', async () => {
    const { here, key } = await shrunk();
    await here.finished([await here.queue.enqueue(cut, { key, characters: 400_000 })]);
    const [job] = await here.finished([
      await here.queue.enqueue(fill, { key, characters: 200_000 }, { attempts: 5 }),
    ]);
    expect(job).toMatchObject({ attemptsMade: 1, failedReason: expect.stringMatching(/-I/) });
    expect(await here.cells.get<string>(key)).toHaveLength(400_000);
    await here.close();
  });
});

describe('memcached with larger items than before', () => {
  it('takes larger values at once', async () => {
    const first = await startMemcached({ flags: ['-I', '1m'] });
    const here = stage({ memcached: quickly(first.address), updates: [fill] });
    await here.worker({ leaseMs: 1_000 });
    await first.stop();
    await restarted(first, '4m');
    const key = here.key();
    const [job] = await here.finished([
      await here.queue.enqueue(fill, { key, characters: 3_000_000 }),
    ]);
    expect(job?.failedReason).toBeUndefined();
    expect(await here.cells.get<string>(key)).toHaveLength(3_000_000);
    await here.close();
  });
});

describe('a lock whose value does not fit any more', () => {
  it('is told so, and can write what fits', async () => {
    const first = await startMemcached({ flags: ['-I', '1m'] });
    const here = stage();
    const locks = openLocks({
      memcached: quickly(first.address),
      connection: { url: here.redisUrl },
      leaseMs: 1_000,
    });
    const key = here.key();
    const write = (length: number): Promise<void> =>
      locks.withLease(key, (lease) => lease.write('x'.repeat(length)));
    await write(LARGE);
    await first.stop();
    await restarted(first, '512k');
    const error = await write(LARGE).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UncommittedError);
    expect(error).toMatchObject({ code: 'VALUE_TOO_LARGE' });
    expect([...(error as UncommittedError).writes]).toEqual([[key, 'refused']]);
    await write(1_000);
    await locks.close();
  });
});
