/**
 * A request of the contract: which command it is, what it carries, and what its replies have led to so far. The commands: commands.ts,
 * classic-stores.ts, chosen-cas.ts. Replies come strictly in order, one for each command; each command knows what may answer it (answers.ts),
 * and all else ends the connection: after an error in the middle, memcached may take the rest of a value for commands.
 */
import type { Meaning, Request } from '../protocol.ts';
import type { Cas, Outcome } from '../server.ts';
import type { Room } from '../socket/room.ts';
import { commandBytesAtMost } from './codec.ts';
import type { MetaReply } from './replies.ts';

const NO_VALUE = Buffer.alloc(0);

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
