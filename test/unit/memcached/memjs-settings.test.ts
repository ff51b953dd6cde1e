/** What memjs' users have already: a client, or memjs' environment variables. */
import { Client } from 'memjs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { systemRandom } from '../../../src/base/random.ts';
import { openServers } from '../../../src/memcached/open-servers.ts';
import { type MemcachedSetting, resolveMemcached } from '../../../src/memcached/options.ts';

const VARIABLES = ['SERVERS', 'USERNAME', 'PASSWORD'].flatMap((what) => [
  `MEMCACHIER_${what}`,
  `MEMCACHE_${what}`,
]);

beforeEach(() => {
  for (const name of VARIABLES) vi.stubEnv(name, undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

function refusal(setting: MemcachedSetting | undefined): unknown {
  try {
    return resolveMemcached(setting);
  } catch (error) {
    return error;
  }
}

const refused = (message: string): unknown =>
  expect.objectContaining({ code: 'INVALID_OPTIONS', message: expect.stringContaining(message) });

describe('a memjs client', () => {
  test('gives its servers, users and time-outs', () => {
    const options = { username: 'shared', password: 'secret', timeout: 0.25, conntimeout: 1.5 };
    const client = Client.create('Example:1, other,own:pass@127.0.0.1:22', options);
    const shared = {
      tls: undefined,
      protocol: 'auto',
      locks: 'value',
      acceptsUnproven: false,
      requestDeadlineMs: 250,
      connectDeadlineMs: 1500,
    };
    const credentials = { username: 'shared', password: 'secret' };
    expect(resolveMemcached(client)).toEqual([
      { ...shared, address: 'example:1', host: 'example', port: 1, credentials },
      { ...shared, address: 'other:11211', host: 'other', port: 11211, credentials },
      {
        ...{ ...shared, address: '127.0.0.1:22', host: '127.0.0.1', port: 22 },
        credentials: { username: 'own', password: 'pass' },
      },
    ]);
  });

  test('may be the servers of settings, which win', () => {
    const client = Client.create('a', { timeout: 0.25 });
    const [server] = resolveMemcached({ servers: client, requestDeadlineMs: 700, tls: true });
    expect(server).toMatchObject({ address: 'a:11211', requestDeadlineMs: 700, tls: {} });
  });

  test.each([
    [{ timeout: 3 }, 3000, 6000],
    [{}, 500, 1000],
    [undefined, 500, 1000],
  ])('created with %j waits as long as it does', (given, requestDeadlineMs, connectDeadlineMs) => {
    const [server] = resolveMemcached(Client.create('a', given));
    expect(server).toMatchObject({ requestDeadlineMs, connectDeadlineMs });
  });

  test('of another copy of memjs is one all the same', () => {
    const { servers, perform } = Client.create('a:5');
    const foreign = { servers, perform, options: {}, seq: 7 };
    expect(resolveMemcached(foreign)[0]?.address).toBe('a:5');
  });

  test('has the users of its environment, as memjs gave it them', () => {
    vi.stubEnv('MEMCACHIER_USERNAME', 'u');
    vi.stubEnv('MEMCACHIER_PASSWORD', 'p');
    const client = Client.create('a');
    expect(resolveMemcached(client)[0]?.credentials).toEqual({ username: 'u', password: 'p' });
  });

  test('with one server may have what chooses among several', () => {
    const client = Client.create('a', { failover: true });
    client.getServer = () => 0;
    expect(resolveMemcached(client)[0]?.address).toBe('a:11211');
  });

  const withRouting = Client.create('a,b');
  withRouting.getServer = () => 0;
  const derived = Object.create(Client.create('a,b'), { getServer: { value: () => 1 } }) as Client;

  test.each<[string, Client, string]>([
    ['an IPv6 address', Client.create('[::1]:11211'), 'cuts at its first colon'],
    ['failover', Client.create('a,b', { failover: true }), 'two workers could each hold'],
    ['a getServer of its own', withRouting, 'getServer of its own'],
    ['a getServer of its class', derived, 'getServer of its own'],
    ['a port that is none', Client.create('a:x'), 'port NaN'],
    ['a user without a password', Client.create('u:@a'), 'must both be given'],
    ['one server twice', Client.create('a,A:11211'), 'names a:11211 twice'],
    ['no time at all', Client.create('a', { timeout: 0 }), "client's timeout is 0"],
    ['too much time', Client.create('a', { conntimeout: 61 }), "client's conntimeout is 61"],
  ])('with %s is refused', (_, client, message) => {
    expect(refusal(client)).toEqual(refused(message));
  });

  test('without a server is refused', () => {
    const { perform } = Client.create('a');
    expect(refusal({ servers: [], perform })).toEqual(refused('the memjs client has no server'));
  });
});

describe("memjs' environment", () => {
  test.each([undefined, {}, { servers: undefined }])('is read for %j', (setting) => {
    vi.stubEnv('MEMCACHE_SERVERS', 'second');
    vi.stubEnv('MEMCACHIER_SERVERS', 'first:1, us:pa@other');
    vi.stubEnv('MEMCACHE_USERNAME', 'shared');
    vi.stubEnv('MEMCACHE_PASSWORD', 's:e@cret');
    expect(resolveMemcached(setting)).toMatchObject([
      { address: 'first:1', credentials: { username: 'shared', password: 's:e@cret' } },
      { address: 'other:11211', credentials: { username: 'us', password: 'pa' } },
    ]);
  });

  test('has a second name', () => {
    vi.stubEnv('MEMCACHIER_SERVERS', '');
    vi.stubEnv('MEMCACHE_SERVERS', 'second');
    expect(resolveMemcached(undefined)[0]?.address).toBe('second:11211');
  });

  test("says nothing of servers that are named, nor of their users; an option's user wins", () => {
    vi.stubEnv('MEMCACHE_SERVERS', 'second');
    vi.stubEnv('MEMCACHE_USERNAME', 'u');
    vi.stubEnv('MEMCACHE_PASSWORD', 'p');
    expect(resolveMemcached('named')).toMatchObject([
      { address: 'named:11211', credentials: undefined },
    ]);
    const own = { username: 'own', password: 'one' };
    expect(resolveMemcached(own)).toMatchObject([{ address: 'second:11211', credentials: own }]);
  });

  test.each([
    ['us:p:ss@a', 'holds ":" or "@"'],
    ['us:p@ss@a', 'holds ":" or "@"'],
    ['u@s:pass@a', 'holds ":" or "@"'],
    ['us@a', 'must both be given'],
    ['a,,b', '"" is no server'],
    ['a/b', '"a/b" is no server'],
  ])('%s is refused, without its password', (servers, message) => {
    vi.stubEnv('MEMCACHIER_SERVERS', servers);
    expect(refusal(undefined)).toEqual(refused(message));
    expect(String(refusal(undefined))).not.toContain('ss@');
  });
});

test('whoever has several servers from memjs is told once that it looks elsewhere', () => {
  const emitted = vi.spyOn(process, 'emitWarning').mockReturnValue();
  const open = (setting: MemcachedSetting): unknown =>
    openServers(setting, systemClock, systemRandom);
  open(Client.create('a'));
  open(['a', 'b']);
  expect(emitted).not.toHaveBeenCalled();
  open(Client.create('a,b'));
  open(Client.create('a,b'));
  expect(emitted.mock.calls).toEqual([
    [expect.stringContaining('a:11211, b:11211'), { code: 'TORIL_KEYS_ELSEWHERE' }],
  ]);
  emitted.mockRestore();
});
