/** Guards of locks without a value, whose CAS says whose they are. */
import type { Twin } from './twin.ts';

export const LOCK_FORM_TWINS: readonly Twin[] = [
  {
    name: 'one-cas-for-all',
    guard: 'a CAS that nobody else chooses, in each lock by CAS',
    hunt: { by: 'simulation', from: 290, seeds: 20_000 },
    edits: [
      {
        file: 'src/lock/lock-item.ts',
        find: 'BigInt(Math.floor(random.fraction() * CHANCES))',
        replace: 'BigInt(Math.floor(random.fraction() * 0))',
      },
    ],
  },
  {
    name: 'renewed-as-it-was',
    guard: 'another CAS in each renewal of a lock by CAS, by which those who watch it see it live',
    hunt: { by: 'simulation', from: 1_200, seeds: 20_000 },
    edits: [
      {
        file: 'src/lock/lock-item.ts',
        find: '  return { item: chosenLock(random, Number(chosenCas & DURATION_MASK)) };',
        replace: '  return random === undefined ? { item: chosenLock(random, 0) } : lock;',
      },
    ],
  },
  {
    name: 'value-of-the-old-owner',
    guard:
      'a lock with a value is taken over with a value, and does not go on naming its old owner',
    hunt: {
      by: 'test',
      file: 'test/unit/lock/by-cas.test.ts',
      why: '20,000 seeds do not show it: old and new form, a takeover and a strict update at once',
    },
    edits: [
      {
        file: 'src/lock/lock-item.ts',
        find: '(takeoverCas === undefined || takeoverCas >= CHOSEN_MIN)',
        replace: '(takeoverCas === undefined || takeoverCas > 0n)',
      },
    ],
  },
  {
    name: 'whoever-finds-it-made-it',
    guard: 'in the meta protocol, a lock by CAS was added by who finds the CAS that he chose',
    hunt: {
      by: 'test',
      file: 'test/unit/memcached/meta/connection.test.ts',
      why: 'the simulation has no bytes',
    },
    edits: [
      {
        file: 'src/memcached/meta/chosen-cas.ts',
        find: "return item.cas === chosenCas ? { kind: 'done', value: chosenCas } : refusedFor(item);",
        replace: "return item.cas > 0n ? { kind: 'done', value: chosenCas } : refusedFor(item);",
      },
    ],
  },
  {
    name: 'by-cas-everywhere',
    guard: 'a lock by CAS that is found behind a lost answer is kept only where it can be renewed',
    hunt: {
      by: 'test',
      file: 'test/unit/lock/by-cas.test.ts',
      why: 'there, a process speaks one protocol to its end',
    },
    edits: [
      {
        file: 'src/lock/lease-locks.ts',
        find: 'const mayKeep = connection.casByUs || claim.lock.item.chosenCas === undefined;',
        replace: 'const mayKeep = true;',
      },
    ],
  },
];
