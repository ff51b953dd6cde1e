/** A queue in which something of each kind has happened, for looking at its page. */
import { Queue, Worker, defineUpdate } from '../../src/index.ts';
import { eventually } from '../support/memcached.ts';

interface Account {
  readonly cents: number;
  readonly owner?: string;
}

const open = defineUpdate({
  name: 'open',
  key: ({ account }: { account: string; owner: string }) => account,
  initial: (): Account => ({ cents: 0 }),
  apply: (account: Account, { owner }) => ({ ...account, owner }),
});

const pay = defineUpdate({
  name: 'pay',
  key: ({ account }: { account: string; cents: number }) => account,
  initial: (): Account => ({ cents: 0 }),
  apply: (account: Account, { cents }) => {
    if (account.cents + cents < 0) throw new Error(`there are only ${account.cents} cents`);
    return { ...account, cents: account.cents + cents };
  },
  onExhausted: 'hold',
});

const updates = [open, pay];

export interface Staged {
  readonly queue: Queue;
  readonly memcached: readonly string[];
  /** A key that is held, and the job that holds it. */
  readonly held: { readonly key: string; readonly jobId: string };
  /** A key with a hostile name and value. */
  readonly hostile: string;
  close(): Promise<void>;
}

const HOSTILE = '<script>alert(1)</script> \u202edrow\u202c 👩‍👩‍👧';

export async function staged(redis: string, memcached: readonly string[]): Promise<Staged> {
  const connection = { url: redis };
  const queue = new Queue('accounts', { connection, updates });
  await queue.obliterate({ force: true });
  const worker = new Worker(queue.name, {
    connection,
    memcached: [...memcached],
    updates,
    history: 'on',
  });
  worker.on('error', () => undefined);
  await worker.waitUntilReady();
  const emptied = (key: string): Promise<void> =>
    eventually(`${key} is done`, async () => (await queue.lane(key).report()).length === 0);

  for (const [account, owner] of [
    ['ada', 'Ada Lovelace'],
    ['grace', 'Grace Hopper'],
    [HOSTILE, '"><img src=x>'],
  ] as const) {
    await queue.enqueue(open, { account, owner });
    await emptied(account);
    for (const cents of [5_000, -1_250, 99]) {
      await queue.enqueue(pay, { account, cents });
      await emptied(account);
    }
  }
  const { id } = await queue.enqueue(pay, { account: 'ada', cents: -100_000 });
  await eventually('ada is held', async () => (await queue.lane('ada').report()).heldBy === id);
  await queue.enqueue(pay, { account: 'ada', cents: 10 });
  for (const account of ['mary', 'joan', 'edith'])
    await queue.enqueue(pay, { account, cents: -1 }, { attempts: 3, backoff: 3_600_000 });
  await queue.enqueue(pay, { account: 'kay', cents: -3 });
  await eventually(
    'all have been tried',
    async () => (await queue.getJobCounts('wait', 'active'))['wait'] === 0,
  );
  await worker.close();
  for (const account of ['radia', HOSTILE]) await queue.enqueue(pay, { account, cents: 1 });
  return {
    ...{ queue, memcached, hostile: HOSTILE, held: { key: 'ada', jobId: id as string } },
    close: async () => {
      await queue.obliterate({ force: true });
      await queue.close();
    },
  };
}
