/** The contract's requests as messages of the binary protocol, and what each answer means. */
import type { Distrust, Meaning, Request } from '../protocol.ts';
import { type Cas, type Item, type Outcome, REFUSED } from '../server.ts';
import { OPCODE, type Opcode, plain, type RequestParts, STATUS } from './codec.ts';
import type { Reply } from './replies.ts';

export interface BinaryRequest extends Request<Reply> {
  readonly opcode: Opcode;
  readonly parts: RequestParts;
}

export type Reading<T = unknown> = (reply: Reply) => Meaning<T>;

/** @param silence what it means if it is not answered and a later one is */
export function requestOf(
  opcode: Opcode,
  parts: RequestParts,
  read: Reading,
  silence?: Outcome<unknown>,
): BinaryRequest {
  return { opcode, parts, read, silence };
}

export function readItem(reply: Reply): Meaning<Item> {
  const { status } = reply;
  if (status === STATUS.missing) return REFUSED.missing;
  if (status !== STATUS.ok) return wrongStatus(reply);
  const { cas, flags } = reply;
  if (cas === 0n) return withoutCas(reply);
  if (flags === undefined) {
    const what = `it answered ${questionOf(reply)} with parts missing`;
    return { kind: 'distrusted', code: 'MEMCACHED_PROTOCOL', what };
  }
  return { kind: 'done', value: { value: reply.value, flags, cas } };
}

export function readStored(reply: Reply): Meaning<Cas> {
  if (reply.status !== STATUS.ok) return refusalOf(reply);
  const { cas } = reply;
  return cas === 0n ? withoutCas(reply) : { kind: 'done', value: cas };
}

/**
 * An append answers "not stored" on a missing item, and also when there is no room for its new
 * copy; both mean that nothing was changed, and adding the item then shows which.
 */
export function readBumped(reply: Reply): Meaning<Cas> {
  return reply.status === STATUS.notStored ? REFUSED.missing : readStored(reply);
}

export const DELETED: Outcome<void> = { kind: 'done', value: undefined };

export function readDeleted(reply: Reply): Meaning<void> {
  return reply.status === STATUS.ok ? DELETED : refusalOf(reply);
}

/** Always answered. */
export function noop(): BinaryRequest {
  return requestOf(OPCODE.noop, plain(''), readNoop);
}

function readNoop(reply: Reply): Meaning<void> {
  return reply.status === STATUS.ok ? DELETED : wrongStatus(reply);
}

/**
 * Any other status is no refusal: nobody vouches that nothing was done. memcached gives none to a
 * well-formed request; a server that does is not to be trusted with the next one either.
 */
function refusalOf(reply: Reply): Meaning<never> {
  switch (reply.status) {
    case STATUS.missing:
      return REFUSED.missing;
    case STATUS.exists:
      return REFUSED.exists;
    case STATUS.tooLarge:
      return REFUSED['too-large'];
    case STATUS.outOfMemory:
      return REFUSED['out-of-memory'];
    default:
      return wrongStatus(reply);
  }
}

/** A status without a meaning here. */
function wrongStatus(reply: Reply): Distrust {
  const words = reply.value.toString('latin1', 0, 80);
  const what = `it answered ${questionOf(reply)} with status ${reply.status} (${words})`;
  return { kind: 'distrusted', code: 'MEMCACHED_REFUSED', what };
}

/** Success, but no CAS. */
function withoutCas(reply: Reply): Distrust {
  const what = `it answered ${questionOf(reply)} with CAS 0. Start memcached without -C`;
  return { kind: 'distrusted', code: 'MEMCACHED_CAS_DISABLED', what };
}

function questionOf({ opcode }: Reply): string | number {
  return Object.entries(OPCODE).find(([, code]) => code === opcode)?.[0] ?? opcode;
}
