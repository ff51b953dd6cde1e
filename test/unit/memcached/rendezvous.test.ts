import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { systemRandom } from '../../../src/base/random.ts';
import { MemoryServer } from '../../../src/memcached/memory/memory-server.ts';
import { MemoryStore } from '../../../src/memcached/memory/memory-store.ts';
import { openServers } from '../../../src/memcached/open-servers.ts';
import { RendezvousServers } from '../../../src/memcached/rendezvous.ts';

const KEYS = Array.from({ length: 20_000 }, (_, index) => `account:${index}`);

function servers(...addresses: string[]): RendezvousServers {
  const store = new MemoryStore({ clock: systemClock });
  return new RendezvousServers(addresses.map((address) => new MemoryServer({ store, address })));
}

function places(list: RendezvousServers, keys: readonly string[] = KEYS): string[] {
  return keys.map((key) => list.serverFor(key).address);
}

function countsOf(addresses: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const address of addresses) counts.set(address, (counts.get(address) ?? 0) + 1);
  return counts;
}

describe('which server holds a key', () => {
  test('with one server: that one', () => {
    expect(new Set(places(servers('a:1')))).toEqual(new Set(['a:1']));
  });

  // Changing this would move the keys of those who run Toril: two locks for one key.
  // The places were computed by a few lines of Python, too.
  test('never changes', () => {
    const list = servers('10.0.0.1:11211', '10.0.0.2:11211', 'cache.example:11212');
    const ascii = ['a', 'b', 'c', 'order:1', 'order:2', 'order:3', 'x y'];
    const others = ['ключ', 'schlüssel', '🐂', 'naïve', '中文', '日本語', 'Ω', 'é'];
    const [one, two, cache] = ['10.0.0.1', '10.0.0.2', 'cache.ex'];
    const placed = places(list, [...ascii, ...others]).map((address) => address.slice(0, 8));
    expect(placed.slice(0, 7)).toEqual([two, one, two, one, two, one, cache]);
    expect(placed.slice(7)).toEqual([cache, two, one, two, one, one, two, one]);
  });

  test.each([
    [['a:11211', 'b:11211']],
    [['10.0.0.1:11211', '10.0.0.2:11211', '10.0.0.3:11211']],
    [Array.from({ length: 10 }, (_, index) => `cache-${index}.example:11211`)],
  ])('is spread evenly over %j', (addresses) => {
    const counts = countsOf(places(servers(...addresses)));
    const share = KEYS.length / addresses.length;
    for (const address of addresses) {
      // Six standard deviations.
      const off = Math.abs((counts.get(address) ?? 0) - share);
      expect(off).toBeLessThan(6 * Math.sqrt(share));
    }
  });

  test('does not depend on the order of the list', () => {
    const addresses = ['a:1', 'b:1', 'c:1', 'd:1'];
    expect(places(servers(...addresses.toReversed()))).toEqual(places(servers(...addresses)));
  });

  test('a new server takes its share and moves nothing else', () => {
    const before = places(servers('a:1', 'b:1', 'c:1'));
    const after = places(servers('a:1', 'b:1', 'c:1', 'd:1'));
    const moved = after.filter((address, index) => address !== before[index]);
    expect(new Set(moved)).toEqual(new Set(['d:1']));
    expect(moved.length / KEYS.length).toBeCloseTo(1 / 4, 1);
  });

  test('keys in any script are spread, too', () => {
    const keys = Array.from({ length: 4000 }, (_, index) => String.fromCodePoint(0x4e00 + index));
    const counts = countsOf(places(servers('a:1', 'b:1'), keys));
    expect(counts.get('a:1')).toBeGreaterThan(1800);
    expect(counts.get('b:1')).toBeGreaterThan(1800);
  });
});

describe('the fingerprint', () => {
  test('names hashing and sorted addresses', () => {
    expect(servers('b:1', 'a:2').fingerprint).toBe('rendezvous-fnv1a-fmix32:a:2,b:1');
  });

  test('of what the user wrote does not depend on how it was written', async () => {
    const open = (...list: string[]) => openServers(list, systemClock, systemRandom);
    const one = open('B', 'memcached://u:p@a:22');
    expect(one.fingerprint).toBe('rendezvous-fnv1a-fmix32:a:22,b:11211');
    expect(one.all.map(({ address }) => address)).toEqual(['b:11211', 'a:22']);
    expect(open('a:22', 'b:11211').fingerprint).toBe(one.fingerprint);
    await one.close();
    await expect(one.all[0]?.connection()).rejects.toMatchObject({ code: 'CLOSED' });
  });
});
