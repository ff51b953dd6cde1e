/** Writing by a CAS of one's own choice (`E`, from memcached 1.6.27 on), without a value. */
import { REFUSED, refusedFor } from '../server.ts';
import { itemOf, mismatchOf, unexpected } from './answers.ts';
import { beginLine, endLine, writeAscii, writeCas, writeNumber } from './codec.ts';
import { CODE } from './replies.ts';
import type { Operation } from './requests.ts';

/**
 * A get that makes an item where there is none (`N`), and gives it this CAS (`E`). One that finds the CAS that it chose
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
