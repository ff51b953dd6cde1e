/**
 * What a new connection must show before anything is entrusted to it: that it is let in, that it speaks the meta
 * protocol as memcached does since 1.6.13, and that it has CAS.
 *
 * Everything in one write of more than 24 bytes: a memcached with `-B binary` waits in silence for so many, and then
 * closes the connection. What else there is closes it too, or answers otherwise: then another protocol may be tried
 * on another connection, never on this one.
 */
import { TorilError } from '../../errors.ts';
import {
  authError,
  casDisabledError,
  closedAtOnceError,
  fullError,
  protocolError,
  silenceError,
  unprovenError,
} from '../connect-errors.ts';
import { FLAGS_BYTES, ITEM_SIZE_MAX_DEFAULT } from '../item-limits.ts';
import type { Credentials } from '../options.ts';
import type { GreetingOptions, Meaning, NotSpoken } from '../protocol.ts';
import type { ServerFacts } from '../server.ts';
import type { Wire } from '../socket/wire.ts';
import { CODE, type MetaReply } from './replies.ts';
import { type MetaRequest, textRequest } from './requests.ts';

export type Hello = { readonly kind: 'known'; readonly facts: ServerFacts } | NotSpoken;

type MetaWire = Wire<MetaRequest, MetaReply>;

/** What memcached answers, in words, when it has no connection left (`-c`). */
const CONNECTIONS_USED_UP = 'Too many open connections';
/** Before it, `md C` with the right CAS deletes nothing (1.6.12), or there is another dialect. */
const FIRST_VERSION: readonly [number, number, number] = [1, 6, 13];
const SETTINGS = 'stats settings\r\n';
/** Known from 1.6.27 on: the E flag. The item is missing: nothing is made. */
const PROBE_E = 'mg toril:e E1\r\n';
/**
 * Is there a CAS? And flags of more than 32 bits: a server that was built for 64 keeps them, and takes 8 bytes of
 * each item for them; others make 0 of them, or refuse. The item is gone within a second.
 */
const PROBE_ITEM = 'ms toril:p 0 T1 c\r\n\r\nms toril:p 0 F4294967296 T1\r\n\r\nmg toril:p f\r\n';
const WIDE_FLAGS = 2 ** 32;
const WIDE_FLAGS_BYTES = 8;

/** Rejects with a TorilError: MEMCACHED_AUTH, MEMCACHED_CAS_DISABLED, MEMCACHED_UNREACHABLE, MEMCACHED_TIMED_OUT. */
export async function sayHello(
  wire: MetaWire,
  { credentials, acceptsUnproven }: Pick<GreetingOptions, 'credentials' | 'acceptsUnproven'>,
): Promise<Hello> {
  const { address } = wire;
  const text = `${loginOf(credentials)}version\r\n${PROBE_E}${SETTINGS}mn\r\n`;
  const answers = await ask(wire, text, new Answers(credentials !== undefined));
  if (answers instanceof TorilError) return { kind: 'not-spoken', error: answers };
  checkLogin(address, answers, credentials);
  const version = versionOf(answers.version);
  if (version === undefined || !answers.isMeta) {
    const what = `does not speak the meta protocol of memcached 1.6.13 (it answers ${JSON.stringify(answers.version)})`;
    return { kind: 'not-spoken', error: protocolError(address, what) };
  }
  const { settings } = answers;
  if (credentials !== undefined && settings.get('auth_enabled_ascii') === 'no')
    throw needlessLogin(address);
  if (settings.get('cas_enabled') === 'no') throw casDisabledError(address);
  const isTold = settings.has('cas_enabled') && settings.has('item_size_max');
  if (!isTold && !acceptsUnproven) throw unprovenError(address);
  const probe = await probeItem(wire);
  if (!settings.has('cas_enabled') && probe.cas === undefined) throw withoutSettings(address);
  const itemSizeMax = Number(settings.get('item_size_max') ?? ITEM_SIZE_MAX_DEFAULT);
  if (!Number.isInteger(itemSizeMax)) throw protocolError(address, 'tells no item_size_max');
  return {
    kind: 'known',
    facts: {
      version,
      protocol: 'meta',
      itemSizeMax,
      casByUs: answers.knowsE,
      flagsBytes: probe.flagsBytes,
    },
  };
}

/** A set, as `-Y` wants it; elsewhere the item expires at once, so that nobody reads the password. */
function loginOf(credentials: Credentials | undefined): string {
  if (credentials === undefined) return '';
  const { username, password } = credentials;
  const value = `${username} ${password}`;
  return `set toril:login 0 -1 ${Buffer.byteLength(value)}\r\n${value}\r\n`;
}

function checkLogin(address: string, answers: Answers, credentials: Credentials | undefined): void {
  if (answers.login.startsWith('CLIENT_ERROR')) {
    const { username } = credentials ?? { username: '' };
    const what = `refused the user "${username}". Check username and password`;
    throw authError(address, what);
  }
  if (answers.version.startsWith('CLIENT_ERROR unauthenticated')) {
    const what = 'asks for a user name and a password. Give both in the option "memcached"';
    throw authError(address, what);
  }
}

function needlessLogin(address: string): TorilError {
  const what = 'asks for no password. Leave username and password away, or start it with -S or -Y';
  return authError(address, what);
}

function withoutSettings(address: string): TorilError {
  return protocolError(address, 'refuses "stats settings", and does not show a CAS either');
}

/** `1.6.18`; undefined: older than the first that will do, or no memcached. */
function versionOf(line: string): string | undefined {
  const [, version, ...numbers] = /^VERSION ((\d+)\.(\d+)\.(\d+)\S*)/.exec(line) ?? [];
  if (version === undefined) return undefined;
  for (const [index, first] of FIRST_VERSION.entries()) {
    const number = Number(numbers[index]);
    if (number !== first) return number > first ? version : undefined;
  }
  return version;
}

/** The answers to the hello, as they come. */
class Answers {
  login = '';
  version = '';
  knowsE = false;
  /** Empty if it does not tell. */
  readonly settings = new Map<string, string>();
  isMeta = false;
  #next: 'login' | 'version' | 'E' | 'settings' | 'noop';

  constructor(withLogin: boolean) {
    this.#next = withLogin ? 'login' : 'version';
  }

  /** True: that was the last one that is of use. */
  take(reply: MetaReply): boolean {
    const { words } = reply;
    switch (this.#next) {
      case 'login':
        this.login = words;
        this.#next = 'version';
        return words !== 'STORED';
      case 'version':
        this.version = words;
        this.#next = 'E';
        return !words.startsWith('VERSION ');
      case 'E':
        this.knowsE = reply.code === CODE.miss;
        this.#next = 'settings';
        return false;
      case 'settings': {
        const [kind, name, value] = words.split(' ');
        if (kind === 'STAT') this.settings.set(name ?? '', value ?? '');
        else this.#next = 'noop'; // END, or refused
        return false;
      }
      case 'noop':
        this.isMeta = reply.code === CODE.noop;
        return true;
    }
  }
}

interface Probe {
  /** Undefined: nothing could be stored just now. */
  readonly cas: bigint | undefined;
  readonly flagsBytes: number;
}

async function probeItem(wire: MetaWire): Promise<Probe> {
  const probing = new Probing();
  const probed = await ask(wire, PROBE_ITEM, probing);
  if (probed instanceof TorilError) throw probed;
  if (probing.cas === 0n) throw casDisabledError(wire.address);
  return probing;
}

class Probing implements Probe {
  cas: bigint | undefined;
  /** As many as it can be, if the item could not be stored. */
  flagsBytes = WIDE_FLAGS_BYTES;
  #answers = 0;

  take({ cas, flags }: MetaReply): boolean {
    this.#answers++;
    if (this.#answers === 1) this.cas = cas;
    if (this.#answers < 3) return false;
    if (flags !== undefined && flags < WIDE_FLAGS) this.flagsBytes = FLAGS_BYTES;
    return true;
  }
}

interface Taker {
  take(reply: MetaReply): boolean;
}

/** The same object once it has taken all that it wants; or the error of a server that answers otherwise. */
async function ask<T extends Taker>(
  wire: MetaWire,
  text: string,
  taker: T,
): Promise<T | TorilError> {
  const { address } = wire;
  const done: Meaning<T> = { kind: 'done', value: taker };
  const request = textRequest(text, (reply) => {
    if (!reply.words.includes(CONNECTIONS_USED_UP)) return taker.take(reply) ? done : 'more';
    return { kind: 'distrusted', code: 'MEMCACHED_REFUSED', what: reply.words };
  });
  const outcome = await wire.request<T>(request);
  if (outcome.kind === 'done') return outcome.value;
  if (outcome.kind === 'refused') return closedAtOnceError(address);
  const { cause } = outcome;
  switch (cause.code) {
    case 'MEMCACHED_TIMED_OUT':
      throw silenceError(address, cause);
    case 'MEMCACHED_CLOSED':
      return closedAtOnceError(address, cause);
    case 'MEMCACHED_REFUSED':
      throw fullError(address, cause);
    default:
      return protocolError(address, 'answered with something else', cause);
  }
}
