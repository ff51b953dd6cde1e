/**
 * What a new connection must show before anything is entrusted to it: that it is let in, that it
 * speaks the binary protocol, and that it has CAS. Proxies and servers without the protocol mostly
 * answer with silence.
 */
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
import type { GreetingOptions, Meaning } from '../protocol.ts';
import type { ServerFacts } from '../server.ts';
import type { Wire } from '../socket/wire.ts';
import { OPCODE, type Opcode, plain, type RequestParts, STATUS } from './codec.ts';
import type { Reply } from './replies.ts';
import { type BinaryRequest, requestOf } from './requests.ts';

type BinaryWire = Wire<BinaryRequest, Reply>;

/** What memcached answers, in words, when it has no connection left (`-c`). */
const CONNECTIONS_USED_UP = 'Too many open connections';

interface Answer {
  readonly status: number;
  readonly cas: bigint;
  readonly text: string;
}

/** Throws a TorilError: MEMCACHED_PROTOCOL, MEMCACHED_AUTH, MEMCACHED_CAS_DISABLED, MEMCACHED_UNREACHABLE. */
export async function handshake(
  wire: BinaryWire,
  { credentials, acceptsUnproven }: Pick<GreetingOptions, 'credentials' | 'acceptsUnproven'>,
): Promise<ServerFacts> {
  if (credentials !== undefined) await logIn(wire, credentials);
  const version = await askVersion(wire);
  const settings = await askSettings(wire);
  const cas = settings.get('cas_enabled');
  if (cas === 'no') throw casDisabledError(wire.address);
  const isTold = cas === 'yes' && settings.has('item_size_max');
  if (!isTold && !acceptsUnproven) throw unprovenError(wire.address);
  if (cas !== 'yes') await checkCas(wire);
  const itemSizeMax = Number(settings.get('item_size_max') ?? ITEM_SIZE_MAX_DEFAULT);
  if (!Number.isInteger(itemSizeMax)) throw protocolError(wire.address, 'tells no item_size_max');
  return { version, protocol: 'binary', itemSizeMax, flagsBytes: FLAGS_BYTES, casByUs: false };
}

const PROBE_NAME = 'toril:p';
const PROBE_SECONDS = 1;

/** An item that is gone within a second: its reply has a CAS, or 0. */
async function checkCas(wire: BinaryWire): Promise<void> {
  const item = { flags: 0, expiry: PROBE_SECONDS, value: Buffer.alloc(0) };
  const { status, cas } = await ask(wire, OPCODE.set, { ...plain(PROBE_NAME), ...item });
  if (status !== STATUS.ok) {
    const what = 'tells no settings, and could not store an item to show a CAS by';
    throw protocolError(wire.address, `${what} (status ${status})`);
  }
  if (cas === 0n) throw casDisabledError(wire.address);
}

async function logIn(wire: BinaryWire, { username, password }: Credentials): Promise<void> {
  const mechanisms = await ask(wire, OPCODE.saslMechanisms, plain(''));
  if (mechanisms.status === STATUS.unknownCommand) {
    throw authError(
      wire.address,
      'asks for no password. Leave username and password away, or start it with -S',
    );
  }
  const known = mechanisms.text;
  if (mechanisms.status !== STATUS.ok || !known.split(' ').includes('PLAIN')) {
    throw authError(
      wire.address,
      `does not offer the mechanism PLAIN (it offers "${known}"). Allow it in the server's SASL configuration`,
    );
  }
  const value = Buffer.from(`\0${username}\0${password}`);
  const { status } = await ask(wire, OPCODE.saslAuth, { ...plain('PLAIN'), value });
  if (status !== STATUS.ok) {
    throw authError(
      wire.address,
      `refused the user "${username}" (status ${status}). Check username and password`,
    );
  }
}

async function askVersion(wire: BinaryWire): Promise<string> {
  const { status, text } = await ask(wire, OPCODE.version, plain(''));
  checkAnswered(wire, 'VERSION', status);
  return text;
}

/** The reply to STAT is a row of replies, one for each setting, and an empty one at the end. Empty: it does not tell. */
async function askSettings(wire: BinaryWire): Promise<ReadonlyMap<string, string>> {
  const settings = new Map<string, string>();
  const collect = (reply: Reply): Meaning<Answer> => {
    if (reply.status !== STATUS.ok || reply.name === '') return answerOf(reply);
    settings.set(reply.name, reply.value.toString('latin1'));
    return 'more';
  };
  const { status } = await ask(wire, OPCODE.stat, plain('settings'), collect);
  if (status === STATUS.authRefused) checkAnswered(wire, '"stats settings"', status);
  return settings;
}

/** A server with SASL may tell its version to anybody, but nothing else. */
function checkAnswered({ address }: BinaryWire, question: string, status: number): void {
  if (status === STATUS.ok) return;
  if (status !== STATUS.authRefused) {
    throw protocolError(address, `answered ${question} with status ${status}`);
  }
  throw authError(
    address,
    'asks for a user name and a password. Give both in the option "memcached"',
  );
}

async function ask(
  wire: BinaryWire,
  opcode: Opcode,
  parts: RequestParts,
  read: (reply: Reply) => Meaning<Answer> = answerOf,
): Promise<Answer> {
  const outcome = await wire.request<Answer>(requestOf(opcode, parts, read));
  if (outcome.kind === 'done') return outcome.value;
  if (outcome.kind === 'refused') throw closedAtOnceError(wire.address);
  switch (outcome.cause.code) {
    case 'MEMCACHED_TIMED_OUT':
      throw silenceError(wire.address, outcome.cause);
    case 'MEMCACHED_CLOSED':
      throw closedAtOnceError(wire.address, outcome.cause);
    default:
      throw outcome.cause.message.includes(CONNECTIONS_USED_UP)
        ? fullError(wire.address, outcome.cause)
        : protocolError(wire.address, 'answered with something else', outcome.cause);
  }
}

function answerOf({ status, cas, value }: Reply): Meaning<Answer> {
  return { kind: 'done', value: { status, cas, text: value.toString('latin1') } };
}
