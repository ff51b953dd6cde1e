/** Strict updates act on the outside world: once one begins, no older holder's write lands any more. */
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { defineUpdate } from '../../src/index.ts';
import type { Cas, Connection, NewItem } from '../../src/memcached/server.ts';
import { openServers } from '../../src/memcached/open-servers.ts';
import { gate } from '../support/gate.ts';
import { stage, type Stage } from '../support/workers.ts';

interface Act {
  readonly key: string;
  readonly n: number;
}

/** A store outside that takes only tokens that do not go down, as the docs advise. */
class FencedStore {
  readonly accepted: number[] = [];
  #highest = 0;

  write(token: number, n: number): void {
    if (token < this.#highest) throw new Error(`token ${token} is older than ${this.#highest}`);
    this.#highest = token;
    this.accepted.push(n);
  }
}

/** An update that stops in the middle of its act until it is let go on. */
function acting(strict: boolean, during: () => Promise<void>, store = new FencedStore()) {
  const update = defineUpdate({
    name: 'act',
    strict,
    key: (act: Act) => act.key,
    initial: () => 0,
    apply: async (count: number, act: Act, context) => {
      store.write(context.token, act.n);
      await during();
      return count + 1;
    },
  });
  return { update, store };
}

async function connectionTo({
  memcached,
}: Stage): Promise<{ connection: Connection; close: () => Promise<void> }> {
  const servers = openServers(memcached, systemClock, systemRandom);
  const connection = await (servers.all[0] as (typeof servers.all)[number]).connection();
  return { connection, close: () => servers.close() };
}

/** What an older holder knew of the cell before it froze. */
async function casOf(connection: Connection, key: string): Promise<Cas> {
  const read = await connection.get(key);
  if (read.kind !== 'done') throw new Error(`no cell under ${key}`);
  return read.value.cas;
}

const LATE: NewItem = {
  value: Buffer.from('the write of an older holder'),
  flags: 7,
  ttlSeconds: 0,
};

/** Lets an older holder's replace arrive while the second job acts; returns how it ended. */
async function lateWriteDuring(strict: boolean): Promise<string> {
  const begun = gate();
  const goOn = gate();
  let acts = 0;
  const { update } = acting(strict, async () => {
    acts += 1;
    if (acts !== 2) return;
    begun.open();
    await goOn.opened;
  });
  const play = stage({ updates: [update] });
  const key = play.key();
  await play.worker();
  await play.finished([await play.queue.enqueue(update, { key, n: 1 })]);
  const { connection, close } = await connectionTo(play);
  const known = await casOf(connection, key);
  const second = await play.queue.enqueue(update, { key, n: 2 });
  await begun.opened;
  const late = await connection.replace(key, LATE, known);
  goOn.open();
  if (late.kind === 'refused') {
    await play.finished([second]);
    expect(await play.cells.get(key)).toBe(2);
  }
  await close();
  return late.kind;
}

describe("an older holder's write that arrives while an update acts", () => {
  test('is refused, if the update is strict', async () => {
    expect(await lateWriteDuring(true)).toBe('refused');
  });

  test('lands, if it is not: the twin', async () => {
    expect(await lateWriteDuring(false)).toBe('done');
  });
});

describe('strict updates', () => {
  test('keep order and count like all others, and their tokens never go down', async () => {
    const { update, store } = acting(true, () => Promise.resolve());
    const play = stage({ updates: [update] });
    const key = play.key();
    await Promise.all([play.worker({ concurrency: 8 }), play.worker({ concurrency: 8 })]);
    const numbers = Array.from({ length: 60 }, (_, n) => n);
    const jobs = await play.queue.enqueueBulk(numbers.map((n) => ({ update, data: { key, n } })));
    const finished = await play.finished(jobs);
    expect(finished.map((job) => job.failedReason)).toEqual(jobs.map(() => undefined));
    expect(await play.cells.get(key)).toBe(numbers.length);
    expect([...new Set(store.accepted)]).toEqual(numbers);
  });

  test('begin a key that has no cell behind a placeholder, which readers take for nothing', async () => {
    const begun = gate();
    const goOn = gate();
    const { update } = acting(true, async () => {
      begun.open();
      await goOn.opened;
    });
    const play = stage({ updates: [update] });
    const key = play.key();
    await play.worker();
    const job = await play.queue.enqueue(update, { key, n: 1 });
    await begun.opened;
    expect(await play.cells.read(key)).toBeUndefined();
    const { connection, close } = await connectionTo(play);
    expect((await connection.add(key, LATE)).kind).toBe('refused');
    goOn.open();
    await play.finished([job]);
    expect(await play.cells.get(key)).toBe(1);
    await close();
  });
});
