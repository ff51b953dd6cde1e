/** What to do about a Redis that cannot be used. */
import { messageOf } from '../../errors.ts';

const FORBIDDEN = /\bNOPERM\b/;

/** By what Redis or the network said of it. The first that fits; ioredis and Redis have no codes for these. */
const ADVICE: readonly (readonly [RegExp, string])[] = [
  [
    /\b(NOAUTH|WRONGPASS|AUTH failed)\b/,
    'It wants a login: name user and password, redis://user:password@host:port, in TORIL_REDIS.',
  ],
  [
    FORBIDDEN,
    'Its access list forbids this user what Toril needs: docs/guide/security.md has the rules to set.',
  ],
  [/\bDB index\b/, 'Name a database that it has: redis://host:port/0.'],
  [/\bRESP type\b/, 'What listens there is no Redis. Is the port right (--redis, or TORIL_REDIS)?'],
  [
    /CERT|UNABLE_TO_VERIFY/,
    'Its certificate is not trusted here: name the file of its authority in NODE_EXTRA_CA_CERTS.',
  ],
  [
    /\b(does not answer within|ECONNRESET|EPROTO|ERR_SSL_\w+|Connection is closed)\b/,
    'Is it a Redis, and does it speak TLS (rediss://) or not (redis://)?',
  ],
];
const START = 'Start it, or name another one with --redis or TORIL_REDIS.';

/** The access list of Redis forbids this user a command, or a key. */
export function isForbidden(thrown: unknown): boolean {
  return FORBIDDEN.test(messageOf(thrown));
}

/** One sentence or two, for what opening or asking it has thrown. */
export function redisAdvice(thrown: unknown): string {
  const said = `${messageOf(thrown)} ${String((thrown as { code?: unknown })?.code)}`;
  return ADVICE.find(([pattern]) => pattern.test(said))?.[1] ?? START;
}
