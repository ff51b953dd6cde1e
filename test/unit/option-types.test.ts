/** An option that is not set may be given as `undefined`, also with `exactOptionalPropertyTypes`. Checked by the compiler; nothing runs. */
import { it } from 'vitest';
import { defineCell, defineUpdate, openCells, openLocks, Queue, Worker } from '../../src/index.ts';

export function neverCalled(unset: undefined): void {
  const add = defineUpdate({
    ...{ name: 'add', key: (id: string) => id, initial: () => 0, apply: (n: number) => n + 1 },
    ...{ onFailure: unset, onExhausted: unset, strict: unset, immutable: unset },
    ...{ timeoutMs: unset, expireSeconds: unset },
  });
  defineCell({ name: 'n', key: (id: string) => id, initial: () => 0, expireSeconds: unset });
  const connection = {};
  new Queue('q', { connection, updates: unset, enqueueMs: unset, closeMs: unset, observer: unset });
  new Worker('q', {
    ...{ connection, updates: [add], memcached: unset, leaseMs: unset, stallsMax: unset },
    ...{ fastPath: unset, observer: unset, verifyUpdates: unset },
  });
  openCells({ memcached: unset, copies: unset });
  const locks = openLocks({ connection, memcached: unset, leaseMs: unset, waitMs: unset });
  void locks.withLease('k', () => 1, { waitMs: unset, leaseMs: unset, signal: unset });
}

it('compiles', () => undefined);
