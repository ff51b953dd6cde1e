/**
 * The classic `add` and `cas`, which leave alone what they cannot replace, as `ms` does not. They tell no CAS: a get behind them does, and
 * whether the item is still the one that was stored.
 */
import type { Meaning } from '../protocol.ts';
import { type Cas, NO_CAS, type Outcome, REFUSED, refusedFor } from '../server.ts';
import type { Room } from '../socket/room.ts';
import { casOf, DONE, itemOf, noRoomOf, unexpected } from './answers.ts';
import { beginLine, endLine, writeBlock, writeCas, writeLine, writeNumber } from './codec.ts';
import { CODE, type MetaReply } from './replies.ts';
import type { MetaRequest, Operation } from './requests.ts';

const STORED_LAST: Outcome<Cas> = { kind: 'done', value: NO_CAS };
/**
 * Stored, and somebody has given it another CAS before the get behind the store. That one is not the writer's: with it,
 * an older holder could write over a cell that was closed to him. So the writer gets one that no item has: no counter goes so far.
 */
const BUMPED_SINCE: Outcome<Cas> = { kind: 'done', value: 2n ** 64n - 1n };

export const ADD_ALONE: Operation = storingAlone('add', writeClassicAdd);

/** Nobody asks for the CAS: nothing is looked at. */
export const ADD_LAST: Operation = {
  verb: 'add',
  commands: 1,
  write: writeClassicAdd,
  read: readStoredLast,
};

export const REPLACE_ALONE: Operation = storingAlone('cas', writeClassicCas);

export const REPLACE_LAST: Operation = {
  verb: 'cas',
  commands: 1,
  write: writeClassicCas,
  read: readStoredLast,
};

/** The store, and a get behind it. */
function storingAlone(verb: Operation['verb'], writeStore: Operation['write']): Operation {
  return {
    verb,
    commands: 2,
    write(room, request) {
      writeStore(room, request);
      writeLine(room, 'mg ', request.name, ' v c f');
    },
    read(reply, request) {
      if (request.first !== undefined) return readStanding(reply, request);
      request.first = storedAlone(reply) ?? classicRefusalOf(reply, request.operation);
      return request.first === undefined ? unexpected(reply, request.operation) : 'more';
    },
  };
}

function writeClassicAdd(room: Room, request: MetaRequest): void {
  beginClassic(room, 'add ', request);
  endLine(room);
  writeBlock(room, request.value);
}

function writeClassicCas(room: Room, request: MetaRequest): void {
  beginClassic(room, 'cas ', request);
  writeCas(room, ' ', request.cas);
  endLine(room);
  writeBlock(room, request.value);
}

function beginClassic(room: Room, verb: string, request: MetaRequest): void {
  beginLine(room, verb, request.name);
  writeNumber(room, ' ', request.flags);
  writeNumber(room, ' ', request.expiry);
  writeNumber(room, ' ', request.value.length);
}

function readStoredLast(reply: MetaReply, { operation }: MetaRequest): Meaning<Cas> {
  if (reply.code === CODE.stored) return STORED_LAST;
  return noRoomOf(reply) ?? classicRefusalOf(reply, operation) ?? unexpected(reply, operation);
}

/** What refuses an `add` refuses no `cas`, and the other way round. */
function classicRefusalOf({ words }: MetaReply, { verb }: Operation): Outcome<never> | undefined {
  if (verb === 'add') return words === 'NOT_STORED' ? REFUSED.exists : undefined;
  if (words === 'EXISTS') return REFUSED.exists;
  return words === 'NOT_FOUND' ? REFUSED.missing : undefined;
}

function storedAlone(reply: MetaReply): Outcome<void> | undefined {
  return reply.code === CODE.stored ? DONE : noRoomOf(reply);
}

/**
 * What stands there behind a classic store. Ours, byte for byte: its CAS. Another one's, or nothing, although it was
 * stored: what became of it, nobody can tell. What refused the store is handed over: it saves a look at it.
 */
function readStanding(reply: MetaReply, request: MetaRequest): Meaning<Cas> {
  const { first, operation, value, flags } = request;
  if (first?.kind === 'done' && reply.flags === flags && reply.code === CODE.value) {
    if (reply.hasValue(value)) return reply.isBumped ? BUMPED_SINCE : casOf(reply, operation);
  }
  const standing = reply.code === CODE.miss ? undefined : itemOf(reply, operation);
  if (standing?.kind === 'distrusted') return standing;
  const item = standing?.kind === 'done' ? standing.value : undefined;
  if (first?.kind === 'refused') {
    return first.reason === 'exists' && item !== undefined ? refusedFor(item) : first;
  }
  const what = `it answered ${operation.verb} with STORED, but something else stands there`;
  return { kind: 'distrusted', code: 'MEMCACHED_REFUSED', what };
}
