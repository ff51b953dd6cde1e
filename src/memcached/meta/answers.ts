/** What replies mean to a request, and which are none that it can have. */
import type { Distrust, Meaning } from '../protocol.ts';
import { type Cas, type Item, type Outcome, REFUSED } from '../server.ts';
import { CODE, type MetaReply } from './replies.ts';
import type { Operation } from './requests.ts';

export const DONE: Outcome<void> = { kind: 'done', value: undefined };
const OUT_OF_MEMORY = 'SERVER_ERROR out of memory storing object';
const TOO_LARGE = 'SERVER_ERROR object too large for cache';

export function itemOf(reply: MetaReply, operation: Operation): Outcome<Item> | Distrust {
  const { code, cas, flags } = reply;
  if (code !== CODE.value) return unexpected(reply, operation);
  if (cas === 0n) return withoutCas(operation);
  if (cas === undefined || flags === undefined) return incomplete(operation);
  return { kind: 'done', value: { value: reply.value, flags, cas } };
}

export function readStored(reply: MetaReply, operation: Operation): Meaning<Cas> {
  if (reply.code === CODE.done) return casOf(reply, operation);
  return noRoomOf(reply) ?? unexpected(reply, operation);
}

export function casOf({ cas }: MetaReply, operation: Operation): Meaning<Cas> {
  if (cas === undefined) return incomplete(operation);
  return cas === 0n ? withoutCas(operation) : { kind: 'done', value: cas };
}

export function mismatchOf({ code }: MetaReply): Outcome<never> | undefined {
  if (code === CODE.exists) return REFUSED.exists;
  return code === CODE.notFound ? REFUSED.missing : undefined;
}

export function noRoomOf(reply: MetaReply): Outcome<never> | undefined {
  const { code, words } = reply;
  if (code !== CODE.other) return undefined;
  if (words === OUT_OF_MEMORY) return REFUSED['out-of-memory'];
  return words === TOO_LARGE ? REFUSED['too-large'] : undefined;
}

export function unexpected(reply: MetaReply, { verb }: Operation): Distrust {
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
