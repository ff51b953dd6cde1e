/** What every engine of src/memcached/server.ts must do. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type {
  Cas,
  Connection,
  MemcachedServer,
  NewItem,
  Outcome,
} from '../../src/memcached/server.ts';
import { newItem, textOf, valueOf } from '../support/memcached.ts';

/** One server with two clients; the suite closes the clients. */
export interface Stage {
  readonly server: MemcachedServer;
  /** Another client of the same server. */
  readonly other: MemcachedServer;
  /** The server goes and comes back empty. */
  restart(): Promise<void>;
  /** The server stops answering, connections stay. */
  stop(): void;
  resume(): void;
  /** Lets time pass until it is true. */
  until(what: string, holds: () => Promise<boolean>): Promise<void>;
}

/** Bytes that memcached 1.6 keeps beside name and value of an item: header, CAS, terminators. */
const HEADER_BYTES = 48 + 8 + 1 + 2;
const FLAGS_BYTES = 4;

/** Until what was asked for is sent; no answer can be read so early. */
const sending = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

let names = 0;

export function memcachedSuite(engine: string, openStage: () => Promise<Stage>): void {
  describe(engine, () => {
    let stage: Stage;
    let connection: Connection;
    let elsewhere: Connection;
    let name: string;

    beforeEach(async () => {
      stage = await openStage();
      connection = await stage.server.connection();
      elsewhere = await stage.other.connection();
      names++;
      name = `item-${names}`;
    });
    afterEach(async () => {
      stage.resume();
      await Promise.all([stage.server.close(), stage.other.close()]);
    });

    const add = async (value: string, ttlSeconds = 0): Promise<Cas> =>
      valueOf(await connection.add(name, newItem(value, ttlSeconds)));
    const stored = async (): Promise<string> => valueOf(await elsewhere.get(name)).value.toString();

    describe('items', () => {
      test('get finds what add stored: bytes, flags and CAS', async () => {
        const value = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
        const flags = 0xfedcba98;
        const cas = valueOf(await connection.add(name, { value, flags, ttlSeconds: 0 }));
        expect(valueOf(await elsewhere.get(name))).toEqual({ value, flags, cas });
      });

      test('an empty value is a value', async () => {
        const cas = await add('');
        const item = valueOf(await connection.get(name));
        expect([item.value.length, item.cas]).toEqual([0, cas]);
      });

      test('a name of 250 bytes', async () => {
        name = `${name.padEnd(248, 'x')}ü`;
        await add('long');
        expect(await stored()).toBe('long');
      });

      test('nothing is missing until it is there', async () => {
        expect(textOf(await connection.get(name))).toBe('refused: missing');
        expect(textOf(await connection.replace(name, newItem('x'), 1n))).toBe('refused: missing');
        expect(textOf(await connection.delete(name, 1n))).toBe('refused: missing');
        expect(textOf(await connection.bump(name, 1n))).toBe('refused: missing');
        expect(textOf(await connection.getAndTouch(name, 10))).toBe('refused: missing');
        expect(textOf(await connection.get(name))).toBe('refused: missing');
      });

      test('add stores only where nothing is', async () => {
        const cas = await add('first');
        expect(textOf(await elsewhere.add(name, newItem('second')))).toBe('refused: exists');
        expect(valueOf(await connection.get(name)).cas).toBe(cas);
        expect(await stored()).toBe('first');
      });

      test('the value is taken when the request is made', async () => {
        const value = Buffer.from('before');
        const added = connection.add(name, { value, flags: 0, ttlSeconds: 0 });
        value.write('after!');
        await added;
        expect(await stored()).toBe('before');
      });
    });

    describe('conditions', () => {
      test('replace with the CAS gives a new one, which add and get tell alike', async () => {
        const first = await add('1');
        const second = valueOf(await connection.replace(name, newItem('2', 0, 7), first));
        const item = valueOf(await elsewhere.get(name));
        expect(second).not.toBe(first);
        expect([item.value.toString(), item.flags, item.cas]).toEqual(['2', 7, second]);
      });

      test('a CAS that is no longer the item’s changes nothing', async () => {
        const old = await add('1');
        const cas = valueOf(await connection.replace(name, newItem('2'), old));
        expect(textOf(await elsewhere.replace(name, newItem('3'), old))).toBe('refused: exists');
        expect(textOf(await elsewhere.delete(name, old))).toBe('refused: exists');
        expect(textOf(await elsewhere.bump(name, old))).toBe('refused: exists');
        expect(textOf(await elsewhere.delete(name, cas + 1n))).toBe('refused: exists');
        const item = valueOf(await connection.get(name));
        expect([item.value.toString(), item.cas]).toEqual(['2', cas]);
      });

      test('the last write of a writer keeps the conditions; its CAS is the get’s to tell', async () => {
        const last = (value: string): NewItem => ({ ...newItem(value), isLast: true });
        expect(textOf(await connection.replace(name, last('0'), 1n))).toBe('refused: missing');
        expect(textOf(await connection.add(name, last('1')))).toBe('done');
        expect(textOf(await connection.add(name, last('2')))).toBe('refused: exists');
        const { cas } = valueOf(await elsewhere.get(name));
        expect(textOf(await connection.replace(name, last('3'), cas + 1n))).toBe('refused: exists');
        expect(textOf(await connection.replace(name, last('4'), cas))).toBe('done');
        expect(textOf(await elsewhere.delete(name, cas))).toBe('refused: exists');
        expect(await stored()).toBe('4');
      });

      test('a CAS of 64 bits is compared in all of them', async () => {
        const cas = await add('1');
        for (const wrong of [cas + 2n ** 32n, cas + 2n ** 53n, cas + 2n ** 63n]) {
          expect(textOf(await connection.delete(name, wrong))).toBe('refused: exists');
        }
        expect(textOf(await connection.delete(name, cas))).toBe('done');
      });

      test('delete with the CAS', async () => {
        const cas = await add('1');
        expect(textOf(await connection.delete(name, cas))).toBe('done');
        expect(textOf(await elsewhere.get(name))).toBe('refused: missing');
      });

      test('an item that is made anew has another CAS', async () => {
        const first = await add('1');
        await connection.delete(name, first);
        expect(await add('1')).not.toBe(first);
        expect(textOf(await connection.replace(name, newItem('2'), first))).toBe('refused: exists');
      });

      test('a condition on CAS 0 is a fault of the caller: on the wire it means none', async () => {
        await add('1');
        expect(() => connection.replace(name, newItem('2'), 0n)).toThrow('CAS 0');
        expect(() => connection.delete(name, 0n)).toThrow('CAS 0');
        expect(() => connection.bump(name, 0n)).toThrow('CAS 0');
        expect(await stored()).toBe('1');
      });
    });

    describe('bump', () => {
      test('gives a new CAS and leaves bytes and flags', async () => {
        const first = valueOf(await connection.add(name, newItem('value', 0, 5)));
        const second = valueOf(await connection.bump(name, first));
        expect(second).not.toBe(first);
        const item = valueOf(await elsewhere.get(name));
        expect([item.value.toString(), item.flags, item.cas]).toEqual(['value', 5, second]);
      });

      test('leaves the expiry', async () => {
        const cas = await add('value', 2);
        await connection.bump(name, cas);
        await stage.until('it expires', async () => (await connection.get(name)).kind !== 'done');
      });
    });

    describe('an item by its CAS alone', () => {
      const CHOSEN = (1n << 63n) + 5n;
      const OTHER = (1n << 64n) - 1n;
      const chosen = (chosenCas: Cas, ttlSeconds = 0): NewItem => ({
        ...newItem('', ttlSeconds),
        chosenCas,
      });

      /** Those that cannot have such items refuse to write them. */
      function refuses(): boolean {
        if (connection.casByUs) return false;
        expect(() => connection.add(name, chosen(CHOSEN))).toThrow('cannot be chosen');
        expect(() => connection.replace(name, chosen(CHOSEN), 1n)).toThrow('cannot be chosen');
        return true;
      }

      test('is added only where nothing is, and who is refused is told what is there', async () => {
        if (refuses()) return;
        expect(valueOf(await connection.add(name, chosen(CHOSEN)))).toBe(CHOSEN);
        const found = { value: Buffer.alloc(0), flags: 0, cas: CHOSEN };
        expect(valueOf(await elsewhere.get(name))).toEqual(found);
        expect(await connection.add(name, chosen(OTHER))).toMatchObject({
          reason: 'exists',
          found,
        });
        expect(textOf(await elsewhere.add(name, newItem('x')))).toBe('refused: exists');
        expect(valueOf(await elsewhere.get(name))).toEqual(found);
      });

      test('is added to no other item either', async () => {
        if (refuses()) return;
        const cas = valueOf(await elsewhere.add(name, newItem('theirs', 0, 7)));
        const found = { value: Buffer.from('theirs'), flags: 7, cas };
        expect(await connection.add(name, chosen(OTHER))).toMatchObject({
          reason: 'exists',
          found,
        });
        expect(valueOf(await elsewhere.get(name))).toEqual(found);
      });

      test('replaces its like under its CAS, also one that is lower', async () => {
        if (refuses()) return;
        expect(textOf(await connection.replace(name, chosen(OTHER), CHOSEN))).toBe(
          'refused: missing',
        );
        await connection.add(name, chosen(OTHER));
        expect(textOf(await connection.replace(name, chosen(CHOSEN), CHOSEN))).toBe(
          'refused: exists',
        );
        expect(valueOf(await connection.replace(name, chosen(CHOSEN), OTHER))).toBe(CHOSEN);
        expect(textOf(await connection.replace(name, chosen(OTHER), OTHER))).toBe(
          'refused: exists',
        );
        expect(valueOf(await elsewhere.get(name))).toMatchObject({ flags: 0, cas: CHOSEN });
        expect(textOf(await elsewhere.delete(name, CHOSEN))).toBe('done');
      });

      test('is replaced by others as anything is', async () => {
        if (refuses()) return;
        await connection.add(name, chosen(OTHER));
        await connection.replace(name, chosen(CHOSEN), OTHER);
        expect(textOf(await elsewhere.replace(name, newItem('x'), OTHER))).toBe('refused: exists');
        const cas = valueOf(await elsewhere.replace(name, newItem('x', 0, 3), CHOSEN));
        expect(valueOf(await connection.get(name))).toEqual({
          ...{ value: Buffer.from('x'), flags: 3, cas },
        });
      });

      test('expires, and lives on if it is replaced', async () => {
        if (refuses()) return;
        const doomed = `${name}-doomed`;
        await Promise.all([
          connection.add(doomed, chosen(CHOSEN, 2)),
          connection.add(name, chosen(CHOSEN, 2)),
          connection.replace(name, chosen(OTHER, 60), CHOSEN),
        ]);
        await stage.until('it expires', async () => (await connection.get(doomed)).kind !== 'done');
        expect(valueOf(await connection.get(name)).cas).toBe(OTHER);
        await connection.replace(name, chosen(CHOSEN, 1), OTHER);
        await stage.until('it expires', async () => (await connection.get(name)).kind !== 'done');
      });
    });

    describe('expiry', () => {
      test('an item disappears', async () => {
        await add('short', 1);
        await stage.until('it expires', async () => (await connection.get(name)).kind !== 'done');
        expect(textOf(await connection.get(name))).toBe('refused: missing');
        expect(textOf(await connection.add(name, newItem('next')))).toBe('done');
      });

      test('get-and-touch reads, sets the expiry and leaves the CAS', async () => {
        const cas = valueOf(await connection.add(name, newItem('kept', 0, 9)));
        const touched = valueOf(await connection.getAndTouch(name, 1));
        expect([touched.value.toString(), touched.flags, touched.cas]).toEqual(['kept', 9, cas]);
        expect(textOf(await connection.replace(name, newItem('still ours', 1), cas))).toBe('done');
        await stage.until('it expires', async () => (await connection.get(name)).kind !== 'done');
      });

      test('get-and-touch lengthens, too, also for ever', async () => {
        const doomed = `${name}-doomed`;
        await connection.add(doomed, newItem('', 2));
        await add('kept', 2);
        await connection.getAndTouch(name, 0);
        await stage.until('it expires', async () => (await connection.get(doomed)).kind !== 'done');
        expect(await stored()).toBe('kept');
      });

      test('more than 30 days is no date in 1970', async () => {
        await add('long', 60 * 60 * 24 * 31);
        expect(await stored()).toBe('long');
        await connection.getAndTouch(name, 60 * 60 * 24 * 365);
        expect(await stored()).toBe('long');
      });
    });

    describe('size', () => {
      const largest = (flags: number): number => {
        const max = stage.server.facts?.itemSizeMax ?? 0;
        const flagsBytes = flags === 0 ? 0 : FLAGS_BYTES;
        return max - HEADER_BYTES - flagsBytes - Buffer.byteLength(name);
      };

      test.each([0, 1])(
        'the largest item fits, one byte more does not (flags %d)',
        async (flags) => {
          const value = Buffer.alloc(largest(flags) + 1, 'x');
          const fits = { value: value.subarray(1), flags, ttlSeconds: 0 };
          const tooLarge = { value, flags, ttlSeconds: 0 };
          expect(textOf(await connection.add(name, tooLarge))).toBe('refused: too-large');
          expect(textOf(await connection.get(name))).toBe('refused: missing');
          expect(textOf(await connection.add(name, fits))).toBe('done');
          expect(valueOf(await elsewhere.get(name)).value.equals(fits.value)).toBe(true);
        },
      );

      test('replace with what is too large leaves what is there, with and without its CAS', async () => {
        const cas = await add('kept');
        const tooLarge = newItem(Buffer.alloc(largest(0) + 1));
        expect(textOf(await connection.replace(name, tooLarge, cas + 1n))).toBe(
          'refused: too-large',
        );
        expect(textOf(await connection.replace(name, tooLarge, cas))).toBe('refused: too-large');
        const item = valueOf(await elsewhere.get(name));
        expect([item.value.toString(), item.cas]).toEqual(['kept', cas]);
      });
    });

    describe('order', () => {
      test('requests of one connection run in the order in which they were made', async () => {
        const cas = await add('0');
        const outcomes = await Promise.all([
          connection.get(name),
          connection.replace(name, newItem('1'), cas),
          connection.get(name),
          connection.delete(name, cas),
          connection.add(name, newItem('2')),
          connection.get(name),
        ]);
        expect(outcomes.map(textOf)).toEqual([
          'done',
          'done',
          'done',
          'refused: exists',
          'refused: exists',
          'done',
        ]);
        const values = outcomes.flatMap((outcome) =>
          outcome.kind === 'done' && typeof outcome.value === 'object' ? outcome.value : [],
        );
        expect(values.map(({ value }) => value.toString())).toEqual(['0', '1', '1']);
      });

      test('every request gets its own answer', async () => {
        const all = Array.from({ length: 500 }, (_, index) => `${name}-${index}`);
        await Promise.all(all.map((one) => connection.add(one, newItem(`value of ${one}`))));
        const items = await Promise.all(all.map((one) => connection.get(one)));
        expect(items.map((item) => valueOf(item).value.toString())).toEqual(
          all.map((one) => `value of ${one}`),
        );
      });

      test('of many that add at one moment, one succeeds', async () => {
        const outcomes = await Promise.all(
          Array.from({ length: 20 }, (_, index) =>
            (index % 2 === 0 ? connection : elsewhere).add(name, newItem(String(index))),
          ),
        );
        const stored = outcomes.filter(({ kind }) => kind === 'done');
        expect(stored.length).toBe(1);
      });
    });

    describe('the end of a connection', () => {
      test('destroy fails what is outstanding; nothing goes out afterwards', async () => {
        stage.stop();
        const sent = [connection.get(name), connection.add(name, newItem('sent'))];
        await sending();
        const gathered = connection.add(`${name}-gathered`, newItem('x'));
        connection.destroy();
        const late = connection.add(`${name}-late`, newItem('x'));
        expect(connection.alive).toBe(false);
        await connection.ended;
        expect((await Promise.all(sent)).map(textOf)).toEqual([
          'unknown: MEMCACHED_CLOSED',
          'unknown: MEMCACHED_CLOSED',
        ]);
        expect(textOf(await gathered)).toBe('refused: not-sent');
        expect(textOf(await late)).toBe('refused: not-sent');
        stage.resume();
        expect(textOf(await elsewhere.get(`${name}-gathered`))).toBe('refused: missing');
        expect(textOf(await elsewhere.get(`${name}-late`))).toBe('refused: missing');
      });

      test('what was sent before the end is executed all the same', async () => {
        stage.stop();
        const sent = connection.add(name, newItem('late'));
        await sending();
        connection.destroy();
        expect(textOf(await sent)).toBe('unknown: MEMCACHED_CLOSED');
        stage.resume();
        await stage.until('it lands', async () => (await elsewhere.get(name)).kind === 'done');
      });

      test('a silent server ends it at the request deadline', async () => {
        stage.stop();
        // A real server may answer some before it has stopped.
        const outcomes: Promise<Outcome<unknown>>[] = [];
        await stage.until('the deadline passes', async () => {
          outcomes.push(connection.get(name), connection.add(name, newItem('x')));
          return !connection.alive;
        });
        const texts = (await Promise.all(outcomes)).map(textOf);
        expect(texts).toContain('unknown: MEMCACHED_TIMED_OUT');
        expect(texts).not.toContain('unknown: MEMCACHED_CLOSED');
        expect(stage.server.current).toBeUndefined();
      });

      test('a restart ends it; the next one has the next epoch and finds nothing', async () => {
        expect(connection.epoch).toBe(1);
        const cas = await add('gone');
        await stage.restart();
        await connection.ended;
        expect(stage.server.current).not.toBe(connection);
        const next = await stage.server.connection();
        expect([next.epoch, next.alive, stage.server.current]).toEqual([2, true, next]);
        expect(textOf(await next.get(name))).toBe('refused: missing');
        expect(textOf(await connection.delete(name, cas))).toBe('refused: not-sent');
      });

      test('the server makes the next connection by itself', async () => {
        connection.destroy();
        await stage.until('it is back', async () => stage.server.current !== undefined);
        expect(stage.server.current?.epoch).toBe(2);
      });
    });

    describe('close', () => {
      test('answers what is outstanding, then ends', async () => {
        const outstanding = connection.add(name, newItem('last words'));
        const closed = stage.server.close();
        expect(connection.alive).toBe(false);
        expect(textOf(await connection.get(name))).toBe('refused: not-sent');
        expect(textOf(await outstanding)).toBe('done');
        await closed;
        await connection.ended;
        expect(stage.server.current).toBeUndefined();
        expect(await stored()).toBe('last words');
      });

      test('there is no connection afterwards, and closing again is fine', async () => {
        await stage.server.close();
        await stage.server.close();
        await expect(stage.server.connection()).rejects.toMatchObject({ code: 'CLOSED' });
      });
    });

    test('tells version and largest item', () => {
      expect(stage.server.facts?.version).toMatch(/./);
      expect(stage.server.facts?.itemSizeMax).toBe(1024 * 1024);
    });
  });
}
