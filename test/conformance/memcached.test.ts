import { afterAll, beforeAll, describe } from 'vitest';
import { MemoryServer } from '../../src/memcached/memory/memory-server.ts';
import { MemoryStore } from '../../src/memcached/memory/memory-store.ts';
import { describeBuilds } from '../support/memcached-builds.ts';
import { clientOf, eventually } from '../support/memcached.ts';
import { type PrivateServer, startMemcached } from '../support/servers.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { memcachedSuite } from './memcached.suite.ts';

memcachedSuite('memcached in memory', async () => {
  const clock = new VirtualClock();
  const store = new MemoryStore({ clock, casByUs: true });
  return {
    server: new MemoryServer({ store }),
    other: new MemoryServer({ store }),
    restart: async () => store.restart(),
    stop: () => store.stop(),
    resume: () => store.resume(),
    async until(what, holds) {
      for (let second = 0; !(await holds()); second++) {
        if (second > 60) throw new Error(`not within a minute: ${what}`);
        await clock.advance(500);
      }
    },
  };
});

describeBuilds('memcached', ({ binary }) => {
  let memcached: PrivateServer;
  beforeAll(async () => {
    memcached = await startMemcached({ binary });
  });
  afterAll(() => memcached.stop());

  /** The second client speaks the other one: what one writes, the other reads. */
  describe.each([
    ['meta', 'binary'],
    ['binary', 'meta'],
  ] as const)('over %s', (protocol, other) => {
    memcachedSuite('a real server', async () => ({
      server: clientOf(memcached.address, { requestDeadlineMs: 300, protocol, locks: 'cas' }),
      other: clientOf(memcached.address, { protocol: other }),
      async restart() {
        await memcached.kill();
        await memcached.start();
      },
      stop: () => memcached.freeze(),
      resume: () => memcached.thaw(),
      until: eventually,
    }));
  });
});
