/**
 * The contract's requests as commands of the meta protocol, and what each reply means. Replies come strictly in
 * order, one for each command; each command knows what may answer it, and all else ends the connection: after
 * an error in the middle, memcached may take the rest of a value for commands.
 *
 * `ms` deletes what stands under the name if it cannot store, whatever its mode and condition: too large, or out of
 * memory. So what has no copy elsewhere is written by the classic `add` and `cas`, which leave it alone. They tell
 * no CAS: a get behind them does, and whether the item is still the one that was stored.
 */
import type { Distrust, Meaning, Request } from '../protocol.ts';
import { type Cas, type Item, NO_CAS, type Outcome, REFUSED, refusedFor } from '../server.ts';
import type { Room } from '../socket/room.ts';
import {
  beginLine,
  commandBytesAtMost,
  endLine,
  writeAscii,
  writeBlock,
  writeCas,
  writeLine,
  writeNumber,
} from './codec.ts';
import { CODE, type MetaReply } from './replies.ts';

/** One or two commands, executed one behind the other. */
export interface Operation {
  /** For messages. */
  readonly verb: string;
  readonly commands: 1 | 2;
  write(room: Room, request: MetaRequest): void;
  read(reply: MetaReply, request: MetaRequest): Meaning<unknown>;
}

export interface RequestParts {
  readonly name: string;
  readonly value?: Buffer;
  readonly flags?: number;
  readonly expiry?: number;
  /** 0n: unconditional. */
  readonly cas?: Cas;
  readonly chosenCas?: Cas | undefined;
}

export class MetaRequest implements Request<MetaReply> {
  /** Everything is answered. */
  readonly silence = undefined;
  readonly operation: Operation;
  readonly name: string;
  readonly value: Buffer;
  readonly flags: number;
  readonly expiry: number;
  readonly cas: Cas;
  /** 0n: the server chooses. */
  readonly chosenCas: Cas;
  /** What the first of two commands has led to. */
  first: Outcome<unknown> | undefined;

  constructor(
    operation: Operation,
    { name, value = NO_VALUE, flags = 0, expiry = 0, cas = 0n, chosenCas = 0n }: RequestParts,
  ) {
    this.operation = operation;
    this.name = name;
    this.value = value;
    this.flags = flags;
    this.expiry = expiry;
    this.cas = cas;
    this.chosenCas = chosenCas;
    this.first = undefined;
  }

  get bytesAtMost(): number {
    const { operation, name, value } = this;
    const second = operation.commands === 2 ? commandBytesAtMost(name, undefined) : 0;
    return commandBytesAtMost(name, value) + second;
  }

  read(reply: MetaReply): Meaning<unknown> {
    return this.operation.read(reply, this);
  }
}

const NO_VALUE = Buffer.alloc(0);
const DONE: Outcome<void> = { kind: 'done', value: undefined };
const STORED_LAST: Outcome<Cas> = { kind: 'done', value: NO_CAS };
/**
 * Stored, and somebody has given it another CAS before the get behind the store. That one is not the writer's: with it,
 * an older holder could write over a cell that was closed to him. So he gets one that no item has: no counter goes so far.
 */
const BUMPED_SINCE: Outcome<Cas> = { kind: 'done', value: 2n ** 64n - 1n };
const OUT_OF_MEMORY = 'SERVER_ERROR out of memory storing object';
const TOO_LARGE = 'SERVER_ERROR object too large for cache';

export const GET: Operation = {
  verb: 'mg',
  commands: 1,
  write: (room, { name }) => writeLine(room, 'mg ', name, ' v c f'),
  read: readItem,
};

export const GET_AND_TOUCH: Operation = {
  verb: 'mg',
  commands: 1,
  write(room, { name, expiry }) {
    beginLine(room, 'mg ', name);
    writeNumber(room, ' v c f T', expiry);
    endLine(room);
  },
  read: readItem,
};

export const ADD: Operation = {
  verb: 'ms',
  commands: 1,
  write(room, request) {
    beginLine(room, 'ms ', request.name);
    writeNumber(room, ' ', request.value.length);
    writeAscii(room, ' ME c');
    endStore(room, request);
  },
  read(reply, { operation }) {
    if (reply.code === CODE.notStored) return REFUSED.exists;
    return readStored(reply, operation);
  },
};

export const REPLACE: Operation = {
  verb: 'ms',
  commands: 1,
  write(room, request) {
    beginLine(room, 'ms ', request.name);
    writeNumber(room, ' ', request.value.length);
    writeCas(room, ' MR C', request.cas);
    writeAscii(room, ' c');
    endStore(room, request);
  },
  read(reply, { operation }) {
    return mismatchOf(reply) ?? readStored(reply, operation);
  },
};

export const DELETE: Operation = {
  verb: 'md',
  commands: 1,
  write(room, { name, cas }) {
    beginLine(room, 'md ', name);
    writeCas(room, ' C', cas);
    endLine(room);
  },
  read(reply, { operation }) {
    if (reply.code === CODE.done) return DONE;
    return mismatchOf(reply) ?? unexpected(reply, operation);
  },
};

/**
 * An `md I` gives a new CAS and moves no bytes, but does not tell it. It marks the item until the next store, and only
 * the first get since the last `md I` is told that it is the first: so of several that bump an item at once, each CAS is
 * taken for his own by one of them at most. (An empty append tells the CAS, and deletes the item if there is no room.)
 */
export const BUMP: Operation = {
  verb: 'md',
  commands: 2,
  write(room, { name, cas }) {
    beginLine(room, 'md ', name);
    writeCas(room, ' I C', cas);
    endLine(room);
    writeLine(room, 'mg ', name, ' c');
  },
  read(reply, request) {
    const { first, operation } = request;
    if (first === undefined) {
      request.first = reply.code === CODE.done ? DONE : mismatchOf(reply);
      return request.first === undefined ? unexpected(reply, operation) : 'more';
    }
    if (reply.code !== CODE.done && reply.code !== CODE.miss) return unexpected(reply, operation);
    if (first.kind === 'refused') return first;
    if (reply.code === CODE.miss) return REFUSED.missing;
    return reply.isFirstLook ? casOf(reply, operation) : REFUSED.exists;
  },
};

export const ADD_ALONE: Operation = {
  verb: 'add',
  commands: 2,
  write(room, request) {
    writeClassicAdd(room, request);
    writeLine(room, 'mg ', request.name, ' v c f');
  },
  read(reply, request) {
    if (request.first !== undefined) return readStanding(reply, request);
    request.first = storedAlone(reply) ?? classicRefusalOf(reply, request.operation);
    return request.first === undefined ? unexpected(reply, request.operation) : 'more';
  },
};

/** Nobody asks for the CAS: nothing is looked at. */
export const ADD_LAST: Operation = {
  verb: 'add',
  commands: 1,
  write: writeClassicAdd,
  read: readStoredLast,
};

export const REPLACE_ALONE: Operation = {
  verb: 'cas',
  commands: 2,
  write(room, request) {
    writeClassicCas(room, request);
    writeLine(room, 'mg ', request.name, ' v c f');
  },
  read(reply, request) {
    if (request.first !== undefined) return readStanding(reply, request);
    request.first = storedAlone(reply) ?? classicRefusalOf(reply, request.operation);
    return request.first === undefined ? unexpected(reply, request.operation) : 'more';
  },
};

export const REPLACE_LAST: Operation = {
  verb: 'cas',
  commands: 1,
  write: writeClassicCas,
  read: readStoredLast,
};

/**
 * A get that makes an item where there is none (`N`), and gives it this CAS (`E`). Whoever finds the CAS that he chose
 * has made it; W says less, since an `md I` has the next get told the same. A server without room for it
 * says that there is none.
 */
export const ADD_CHOSEN: Operation = {
  verb: 'mg',
  commands: 1,
  write(room, { name, expiry, chosenCas }) {
    beginLine(room, 'mg ', name);
    writeNumber(room, ' N', expiry);
    writeCas(room, ' E', chosenCas);
    writeAscii(room, ' v c f');
    endLine(room);
  },
  read(reply, { operation, chosenCas }) {
    if (reply.code === CODE.miss) return REFUSED['out-of-memory'];
    const found = itemOf(reply, operation);
    if (found.kind !== 'done') return found;
    const item = found.value;
    return item.cas === chosenCas ? { kind: 'done', value: chosenCas } : refusedFor(item);
  },
};

/** CAS and expiry are set, nothing is stored: without memory it works, too. */
export const REPLACE_CHOSEN: Operation = {
  verb: 'md',
  commands: 1,
  write(room, { name, cas, chosenCas, expiry }) {
    beginLine(room, 'md ', name);
    writeCas(room, ' I C', cas);
    writeCas(room, ' E', chosenCas);
    writeNumber(room, ' T', expiry);
    endLine(room);
  },
  read(reply, { operation, chosenCas }) {
    if (reply.code === CODE.done) return { kind: 'done', value: chosenCas };
    return mismatchOf(reply) ?? unexpected(reply, operation);
  },
};

/** Bytes of one's own making, and one's own way of reading what comes back. */
export function textRequest(
  text: string,
  read: (reply: MetaReply) => Meaning<unknown>,
): MetaRequest {
  const operation: Operation = {
    verb: 'hello',
    commands: 1,
    write: (room, { value }) => {
      room.bytes.set(value, room.used);
      room.used += value.length;
    },
    read,
  };
  return new MetaRequest(operation, { name: '', value: Buffer.from(text) });
}

export const NOOP: Operation = {
  verb: 'mn',
  commands: 1,
  write: (room) => writeAscii(room, 'mn\r\n'),
  read: (reply, { operation }) => (reply.code === CODE.noop ? DONE : unexpected(reply, operation)),
};

/** Without F flags become 0, without T an item never expires: just what 0 means. */
function endStore(room: Room, { flags, expiry, value }: MetaRequest): void {
  if (flags !== 0) writeNumber(room, ' F', flags);
  if (expiry !== 0) writeNumber(room, ' T', expiry);
  endLine(room);
  writeBlock(room, value);
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

function readItem(reply: MetaReply, { operation }: MetaRequest): Meaning<Item> {
  if (reply.code === CODE.miss) return REFUSED.missing;
  return itemOf(reply, operation);
}

function itemOf(reply: MetaReply, operation: Operation): Outcome<Item> | Distrust {
  const { code, cas, flags } = reply;
  if (code !== CODE.value) return unexpected(reply, operation);
  if (cas === 0n) return withoutCas(operation);
  if (cas === undefined || flags === undefined) return incomplete(operation);
  return { kind: 'done', value: { value: reply.value, flags, cas } };
}

function readStored(reply: MetaReply, operation: Operation): Meaning<Cas> {
  if (reply.code === CODE.done) return casOf(reply, operation);
  return noRoomOf(reply) ?? unexpected(reply, operation);
}

function casOf({ cas }: MetaReply, operation: Operation): Meaning<Cas> {
  if (cas === undefined) return incomplete(operation);
  return cas === 0n ? withoutCas(operation) : { kind: 'done', value: cas };
}

function mismatchOf({ code }: MetaReply): Outcome<never> | undefined {
  if (code === CODE.exists) return REFUSED.exists;
  return code === CODE.notFound ? REFUSED.missing : undefined;
}

function noRoomOf(reply: MetaReply): Outcome<never> | undefined {
  const { code, words } = reply;
  if (code !== CODE.other) return undefined;
  if (words === OUT_OF_MEMORY) return REFUSED['out-of-memory'];
  return words === TOO_LARGE ? REFUSED['too-large'] : undefined;
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

function unexpected(reply: MetaReply, { verb }: Operation): Distrust {
  const { words } = reply;
  const code = /ERROR/.test(words) ? 'MEMCACHED_REFUSED' : 'MEMCACHED_PROTOCOL';
  return {
    kind: 'distrusted',
    code,
    what: `it answered ${verb} with ${JSON.stringify(words.slice(0, 80))}`,
  };
}

function incomplete({ verb }: Operation): Distrust {
  const what = `it answered ${verb} with parts missing`;
  return { kind: 'distrusted', code: 'MEMCACHED_PROTOCOL', what };
}

/** Success, but no CAS. */
function withoutCas({ verb }: Operation): Distrust {
  const what = `it answered ${verb} with CAS 0. Start memcached without -C`;
  return { kind: 'distrusted', code: 'MEMCACHED_CAS_DISABLED', what };
}
