import { describe, expect, test } from 'vitest';
import { type MemcachedSetting, resolveMemcached } from '../../../src/memcached/options.ts';

const only = (setting: MemcachedSetting) => {
  const servers = resolveMemcached(setting);
  expect(servers.length).toBe(1);
  return servers[0];
};

describe('a server may be written as', () => {
  test.each([
    ['example', 'example:11211', 'example', 11211],
    ['example:1', 'example:1', 'example', 1],
    ['Example.COM:65535', 'example.com:65535', 'example.com', 65535],
    ['my_host-1:22', 'my_host-1:22', 'my_host-1', 22],
    ['127.0.0.1', '127.0.0.1:11211', '127.0.0.1', 11211],
    ['[::1]', '[::1]:11211', '::1', 11211],
    ['[2001:DB8::0:1]:22', '[2001:db8::1]:22', '2001:db8::1', 22],
    ['memcached://example', 'example:11211', 'example', 11211],
    ['memcached://example:22/', 'example:22', 'example', 22],
  ])('%s', (text, address, host, port) => {
    expect(only(text)).toMatchObject({ address, host, port, credentials: undefined });
  });

  test('a URL with a user, percent-encoded', () => {
    const server = only('memcached://us%40er:p%3A%2Fss@example:22');
    expect(server).toMatchObject({
      address: 'example:22',
      credentials: { username: 'us@er', password: 'p:/ss' },
    });
  });
});

describe('settings', () => {
  test('have defaults', () => {
    expect(only('a')).toEqual({
      address: 'a:11211',
      host: 'a',
      port: 11211,
      protocol: 'auto',
      locks: 'value',
      acceptsUnproven: false,
      credentials: undefined,
      tls: undefined,
      requestDeadlineMs: 1000,
      connectDeadlineMs: 2000,
    });
  });

  test('are for all servers; a URL has its own user', () => {
    const servers = resolveMemcached({
      servers: ['a', 'memcached://own:pass@b'],
      username: 'shared',
      password: 'secret',
      tls: { ca: 'x' },
      requestDeadlineMs: 5,
      connectDeadlineMs: 6,
    });
    const shared = { tls: { ca: 'x' }, requestDeadlineMs: 5, connectDeadlineMs: 6 };
    expect(servers).toMatchObject([
      { ...shared, address: 'a:11211', credentials: { username: 'shared', password: 'secret' } },
      { ...shared, address: 'b:11211', credentials: { username: 'own', password: 'pass' } },
    ]);
  });

  test('that are undefined are as if they were not there', () => {
    const nothing = { username: undefined, password: undefined, tls: undefined };
    expect(only({ servers: 'a', ...nothing, requestDeadlineMs: undefined })).toEqual(only('a'));
  });

  test.each([
    [true, {}],
    [false, undefined],
  ])('tls %s', (tls, expected) => {
    expect(only({ servers: 'a', tls })?.tls).toEqual(expected);
  });
});

describe('refused, with INVALID_OPTIONS:', () => {
  test.each<[unknown, string]>([
    [undefined, 'names no server, nor does the environment'],
    [null, 'it is null'],
    [7, 'it is 7'],
    [[], 'names no server'],
    [{}, 'names no server, nor does the environment (MEMCACHIER_SERVERS, MEMCACHE_SERVERS)'],
    [{ servers: [] }, 'names no server'],
    [{ servers: 'a', timeout: 5 }, 'no setting "timeout"'],
    [[7], 'of type number'],
    ['', '"" is no server'],
    ['a b', '"a b" is no server'],
    ['a,b', '"a,b" is no server'],
    ['a:port', '"a:port" is no server'],
    ['a:0', '"a:0" has port 0'],
    ['a:65536', '"a:65536" is no server'],
    ['::1', '"::1" is no server'],
    ['a/path', '"a/path" is no server'],
    ['a?x', '"a?x" is no server'],
    ['redis://a', '"redis://a" is no server'],
    ['/run/memcached.sock', 'is a Unix socket. It names another memcached on each machine'],
    ['./memcached.sock', 'is a Unix socket'],
    ['unix:/run/memcached.sock', 'is a Unix socket'],
    ['user:password@a', 'is no server'],
    ['memcached://user@a', 'username and password must both'],
    ['memcached://:password@a', 'username and password must both'],
    ['memcached://user:%zz@a', 'a "%" that is not followed'],
    [['a', 'b', 'A:11211'], 'names a:11211 twice'],
    [{ servers: 'a', username: 'u' }, 'username and password must both'],
    [{ servers: 'a', username: 'u', password: '' }, 'username and password must both'],
    [{ servers: 'a', username: 'u', password: 'p\0' }, 'username and password must both'],
    [{ servers: 'a', unproven: true }, 'unproven is true. Give refuse, accept'],
    [{ servers: 'a', protocol: 'text' }, "protocol is 'text'. Give auto, meta, binary"],
    [{ servers: 'a', locks: 'auto' }, "locks is 'auto'. Give value, cas"],
    [{ servers: 'a', tls: 'yes' }, 'tls must be'],
    [{ servers: 'a', requestDeadlineMs: 0 }, 'requestDeadlineMs is 0'],
    [{ servers: 'a', requestDeadlineMs: 1.5 }, 'requestDeadlineMs is 1.5'],
    [{ servers: 'a', requestDeadlineMs: '5' }, "requestDeadlineMs is '5'"],
    [{ servers: 'a', connectDeadlineMs: Number.NaN }, 'connectDeadlineMs is NaN'],
    [{ servers: 'a', connectDeadlineMs: 60_001 }, 'connectDeadlineMs is 60001'],
  ])('%j', (setting, message) => {
    expect(() => resolveMemcached(setting as MemcachedSetting)).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTIONS',
        message: expect.stringContaining(message),
      }),
    );
  });

  test('without showing a password', () => {
    for (const text of [
      'memcached://user:s3cret@a b',
      'user:s3cret@a',
      'memcached://u:s3cret%zz@a',
    ]) {
      expect(() => resolveMemcached(text)).toThrow(/^((?!s3cret).)*$/);
    }
  });
});
