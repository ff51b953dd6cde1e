import { expect, test } from 'vitest';
import { redisAdvice } from '../../../src/cli/servers/redis-advice.ts';

const thrown = (message: string, code?: string): Error =>
  Object.assign(new Error(message), code === undefined ? {} : { code });

test.each([
  ['NOAUTH HELLO must be called with the client already authenticated', undefined, /login/],
  ['WRONGPASS invalid username-password pair or user is disabled.', undefined, /login/],
  ["NOPERM this user has no permissions to run the 'info' command", undefined, /access list/],
  ['ERR DB index is out of range', undefined, /database/],
  ['Unknown RESP type 69 "E". Please report this.', undefined, /no Redis/],
  ['self-signed certificate', 'DEPTH_ZERO_SELF_SIGNED_CERT', /NODE_EXTRA_CA_CERTS/],
  ['unable to verify', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', /NODE_EXTRA_CA_CERTS/],
  ['read ECONNRESET', 'ECONNRESET', /TLS/],
  ['it takes connections, and does not answer within 5000 ms', undefined, /TLS/],
  ['connect ECONNREFUSED 127.0.0.1:1', 'ECONNREFUSED', /^Start it/],
  ['getaddrinfo ENOTFOUND nowhere', 'ENOTFOUND', /^Start it/],
])('%s (%s): what to do', (message, code, advice) => {
  expect(redisAdvice(thrown(message, code))).toMatch(advice);
});

test('something without a message has an advice, too', () => {
  expect(redisAdvice(undefined)).toMatch(/^Start it/);
});
