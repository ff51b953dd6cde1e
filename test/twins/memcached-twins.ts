/** Guards of the meta protocol: what a write may do, and what its answer means. */
import type { Hunt, Twin } from './twin.ts';

const BY_TEST: Hunt = {
  by: 'test',
  file: 'test/unit/memcached/meta/connection.test.ts',
  why: 'the simulation has no bytes',
};

export const MEMCACHED_TWINS: readonly Twin[] = [
  {
    name: 'size-after-sending',
    guard:
      'in the meta protocol, what is too large is not sent (an `ms` would delete what is there)',
    hunt: BY_TEST,
    edits: [
      {
        file: 'src/memcached/meta/meta-protocol.ts',
        find: 'return itemBytes(name, item, flagsBytes) <= itemSizeMax;',
        replace: 'return itemBytes(name, item, flagsBytes) > 0 || itemSizeMax > 0;',
      },
    ],
  },
  {
    name: 'ms-for-locks',
    guard:
      'in the meta protocol, what has no copy is not written by `ms` (without memory it deletes)',
    hunt: BY_TEST,
    edits: [
      {
        file: 'src/memcached/meta/meta-protocol.ts',
        find: 'const alone = item.isLast === true ? REPLACE_LAST : REPLACE_ALONE;',
        replace: 'const alone = item.isLast === null ? REPLACE_ALONE : REPLACE;',
      },
    ],
  },
  {
    name: 'ms-without-condition',
    guard: 'in the meta protocol, the CAS in every commit',
    hunt: BY_TEST,
    edits: [
      {
        file: 'src/memcached/meta/commands.ts',
        find: "writeCas(room, ' MR C', request.cas);",
        replace: "writeAscii(room, ' MR');",
      },
    ],
  },
  {
    name: 'stored-is-ours',
    guard:
      'in the meta protocol, what stands there behind a classic store is ours only with our bytes (the id of the owner)',
    hunt: BY_TEST,
    edits: [
      {
        file: 'src/memcached/meta/classic-stores.ts',
        find: '    if (reply.hasValue(value)) return',
        replace: '    if (value.length >= 0) return',
      },
    ],
  },
  {
    name: 'bumped-is-ours',
    guard:
      'in the meta protocol, the CAS that is found behind a classic store is not the writer’s if the item was bumped in between',
    hunt: BY_TEST,
    edits: [
      {
        file: 'src/memcached/meta/classic-stores.ts',
        find: 'return reply.isBumped ? BUMPED_SINCE : casOf(reply, operation);',
        replace: 'return casOf(reply, operation);',
      },
    ],
  },
  {
    name: 'bump-of-any-item',
    guard: 'in the meta protocol, a bump is known by the mark that the first look at it finds',
    hunt: BY_TEST,
    edits: [
      {
        file: 'src/memcached/meta/commands.ts',
        find: 'return reply.isFirstLook ? casOf(reply, operation) : REFUSED.exists;',
        replace: 'return casOf(reply, operation);',
      },
    ],
  },
  {
    name: 'any-answer-is-a-refusal',
    guard: 'in the meta protocol, an answer that its request cannot have ends the connection',
    hunt: BY_TEST,
    edits: [
      {
        file: 'src/memcached/meta/answers.ts',
        find: '  return noRoomOf(reply) ?? unexpected(reply, operation);',
        replace: '  return noRoomOf(reply) ?? REFUSED.exists;',
      },
    ],
  },
  {
    name: 'unproven-is-trusted',
    guard: 'what does not tell its settings, and may be several memcached, is refused',
    hunt: {
      by: 'test',
      file: 'test/unit/memcached/meta/unproven.test.ts',
      why: 'a server in memory is one server',
    },
    edits: [
      {
        file: 'src/memcached/meta/hello.ts',
        find: '  if (!isTold && !acceptsUnproven) throw unprovenError(address);\n',
        replace: '',
      },
    ],
  },
  {
    name: 'failover-of-memjs',
    guard: 'a memjs client that moves keys to other servers is refused: a second lock for one key',
    hunt: {
      by: 'test',
      file: 'test/unit/memcached/memjs-settings.test.ts',
      why: 'the simulation has no options',
    },
    edits: [
      {
        file: 'src/memcached/memjs-settings.ts',
        find: '  if (client.servers.length > 1) checkRouting(client, optionsOf(client));\n',
        replace: '',
      },
    ],
  },
];
