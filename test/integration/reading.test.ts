/** Reading cells: what a web tier without a queue sees. */
import { connect } from 'node:net';
import type { Job } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openCells as openCellsAlone } from '../../src/cells.ts';
import { defineUpdate, openCells } from '../../src/index.ts';
import { removeItem, writeItem } from '../support/items.ts';
import { startProcess } from '../support/processes.ts';
import { memcachedAddresses, startMemcached } from '../support/servers.ts';
import type { Line } from '../support/updates.ts';
import { enqueueLog, entries, expectExact, quickly, stage } from '../support/workers.ts';

describe('a reader', () => {
  it('sees the value, its fencing token and its watermark', async () => {
    const here = stage();
    const key = here.key();
    await here.worker();
    await here.finished(await enqueueLog(here, entries(key, 3)));
    const cell = await here.cells.read<Line[]>(key);
    const last: Line | undefined = cell?.value?.at(-1);
    const [, sequence, token] = last ?? [];
    expect(cell).toMatchObject({ token, watermark: sequence });
    expect(await here.cells.get<Line[]>(key)).toHaveLength(3);
  });

  it('needs toril/cells alone, which has no Redis to ask for copies', async () => {
    const here = stage();
    await here.worker();
    await here.finished(await enqueueLog(here, entries(here.key(), 2)));
    const memcached = memcachedAddresses();
    const cells = openCellsAlone({ memcached });
    onTestFinished(() => cells.close());
    expect(await cells.read(here.key())).toEqual(await here.cells.read(here.key()));
    const copies = { connection: {}, queue: here.queue.name };
    const withCopies = { memcached, copies };
    expect(() => openCellsAlone(withCopies)).toThrow(/Import openCells from "toril"/);
  });

  it('sees nothing where nothing is, and nothing that was lost until it is restored', async () => {
    const here = stage();
    const key = here.key();
    expect(await here.cells.read(key)).toBeUndefined();
    await here.worker();
    await here.finished(await enqueueLog(here, entries(key, 1)));
    await removeItem(key);
    expect(await here.cells.get(key)).toBeUndefined();
    await here.finished(await enqueueLog(here, [{ key, n: 1 }]));
    expect((await here.cells.get<Line[]>(key))?.map(([n]) => n)).toEqual([0, 1]);
  });

  it.each([null, false, 0, '', [], {}])(
    'sees %j, which is a value like any other',
    async (value) => {
      const set = defineUpdate({
        name: 'set',
        key: ({ key }: { key: string }) => key,
        initial: (): unknown => null,
        apply: (before: unknown) => (before === null ? value : before),
        result: (after) => after,
      });
      const here = stage({ updates: [set] });
      await here.worker();
      const add = (): Promise<Job> => here.queue.enqueue(set, { key: here.key() });
      const [job] = await here.finished([await add()]);
      expect(job?.returnvalue).toEqual(value);
      expect(await here.cells.get(here.key())).toEqual(value);
      await removeItem(here.key());
      await here.finished([await add()]);
      expect(await here.cells.getMany([here.key()])).toEqual(new Map([[here.key(), value]]));
    },
  );

  it('sees many keys at once, over several servers; those without a value are left out', async () => {
    const second = await startMemcached();
    const memcached = quickly([...memcachedAddresses(), second.address]);
    const here = stage({ memcached });
    const keys = Array.from({ length: 40 }, (_, k) => here.key(`${k} with blanks`));
    await here.worker();
    await here.finished(
      await enqueueLog(
        here,
        keys.map((key, n) => ({ key, n })),
      ),
    );
    const seen = await here.cells.getMany<Line[]>([
      ...keys,
      here.key('nothing'),
      keys[0] as string,
    ]);
    expect(seen.size).toBe(40);
    expect(keys.map((key) => seen.get(key)?.[0]?.[0])).toEqual(keys.map((_, n) => n));
    expect(await here.cells.getMany([])).toEqual(new Map());
    await here.close();
    await second.stop();
  });

  it('sees values that only ever go forward, one whole commit after the other', async () => {
    const here = stage();
    const key = here.key();
    for (let i = 0; i < 2; i++) await here.worker({ concurrency: 4, batchJobsMax: 5 });
    const jobs = await enqueueLog(here, entries(key, 300, { takesMs: 1 }));
    let last = { length: 0, token: 0, watermark: 0 };
    let reads = 0;
    const finishing = here.finished(jobs).then(() => true);
    while (!(await Promise.race([finishing, Promise.resolve(false)]))) {
      const cell = await here.cells.read<Line[]>(key);
      if (cell?.value === undefined) continue;
      const { value, token, watermark } = cell;
      expect(value.map(([n]) => n)).toEqual(value.map((_, n) => n));
      expect(value.length).toBeGreaterThanOrEqual(last.length);
      expect(token).toBeGreaterThanOrEqual(last.token);
      expect(watermark).toBe(value.at(-1)?.[1]);
      last = { length: value.length, token, watermark };
      reads += 1;
    }
    expect(reads).toBeGreaterThan(10);
  });

  it('refuses keys that cannot be, and values that are not cells', async () => {
    const here = stage();
    await expect(here.cells.get('')).rejects.toMatchObject({ code: 'INVALID_KEY' });
    await expect(here.cells.getMany([here.key(), 'toril:x'])).rejects.toMatchObject({
      code: 'INVALID_KEY',
    });
    await expect(here.cells.getMany('ab')).rejects.toThrow(/a list of keys, not .* string/);
    await writeItem(here.key(), 'mine');
    await expect(here.cells.get(here.key())).rejects.toMatchObject({ code: 'FOREIGN_VALUE' });
    await removeItem(here.key());
  });

  it('says so if memcached is out of reach', async () => {
    const cells = openCells({ memcached: quickly('127.0.0.1:1') });
    onTestFinished(() => cells.close());
    await expect(cells.get('k')).rejects.toMatchObject({ code: 'MEMCACHED_UNREACHABLE' });
  });
});

describe('a holder that froze right before its commit, and goes on when all is over', () => {
  /** What readers see before it goes on, and the least of what they see until it is over. */
  async function lengths(withoutCas: boolean): Promise<(number | undefined)[]> {
    const here = stage();
    const key = here.key();
    const fault = { at: 'folded', nth: 3, signal: 'SIGSTOP' } as const;
    const options = { concurrency: 4, batchJobsMax: 10, fault, withoutCas };
    const frozen = await startProcess(here, options);
    const jobs = await enqueueLog(here, entries(key, 100));
    await frozen.said('fault');
    await here.worker({ concurrency: 4, batchJobsMax: 10 });
    const finished = await here.finished(jobs);
    expect(await expectExact(here, key, finished)).toHaveLength(100);
    const before = (await here.cells.get<Line[]>(key))?.length;
    frozen.thaw();
    let isOver = false;
    const closed = frozen.close().then(() => {
      isOver = true; // when it closes, it has done what it wanted to
    });
    // Not for long: whoever meets what is no longer true puts it right.
    let least = before ?? 0;
    while (!isOver) least = Math.min(least, (await here.cells.get<Line[]>(key))?.length ?? 0);
    await closed;
    return [before, least, (await here.cells.get<Line[]>(key))?.length];
  }

  it('changes nothing any more', async () => {
    expect(await lengths(false)).toEqual([100, 100, 100]);
  });

  it('takes readers back to the past, if commits are stored whatever the cell is by then', async () => {
    const [before, least, after] = await lengths(true);
    expect(least).toBeLessThan(before as number);
    expect(after).toBe(before);
  });
});

describe('what a reader in another language sees', () => {
  it('is JSON with the value under `value`', async () => {
    const here = stage();
    const key = here.key();
    await here.worker();
    await here.finished(await enqueueLog(here, entries(key, 2)));
    const [host, port] = (memcachedAddresses()[0] as string).split(':');
    const text = await new Promise<string>((resolve, reject) => {
      let answer = '';
      const socket = connect(Number(port), host, () => socket.write(`get ${key}\r\n`));
      socket.on('error', reject);
      socket.on('data', (chunk: Buffer) => {
        answer += chunk.toString();
        if (answer.endsWith('END\r\n')) socket.end();
      });
      socket.on('close', () => resolve(answer));
    });
    const [, json] = text.split('\r\n');
    const { value } = JSON.parse(json as string) as { value: Line[] };
    expect(value.map(([n]) => n)).toEqual([0, 1]);
  });
});
