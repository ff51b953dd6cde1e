/**
 * The commands of the meta protocol. `ms` deletes what stands under the name if it cannot store, whatever its mode and condition: too
 * large, or out of memory. What has no copy elsewhere is written by classic-stores.ts.
 */
import type { Meaning } from '../protocol.ts';
import { type Item, REFUSED } from '../server.ts';
import type { Room } from '../socket/room.ts';
import { casOf, DONE, itemOf, mismatchOf, readStored, unexpected } from './answers.ts';
import {
  beginLine,
  endLine,
  writeAscii,
  writeBlock,
  writeCas,
  writeLine,
  writeNumber,
} from './codec.ts';
import { CODE, type MetaReply } from './replies.ts';
import type { MetaRequest, Operation } from './requests.ts';

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
 * taken for its own by one of them at most. (An empty append tells the CAS, and deletes the item if there is no room.)
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

function readItem(reply: MetaReply, { operation }: MetaRequest): Meaning<Item> {
  if (reply.code === CODE.miss) return REFUSED.missing;
  return itemOf(reply, operation);
}
