/** The simulation's memcached must be one: the same cases as for the real one and the one in memory. */
import { afterAll, beforeAll, describe } from 'vitest';
import { MemoryStore } from '../../src/memcached/memory/memory-store.ts';
import { Dice } from '../simulation/dice.ts';
import { runDraining } from '../simulation/draining.ts';
import { MemcachedClient } from '../simulation/memcached-client.ts';
import { Network } from '../simulation/network.ts';
import { ProcessClock } from '../simulation/process-clock.ts';
import { Scheduler } from '../simulation/scheduler.ts';
import { memcachedSuite } from './memcached.suite.ts';

/** Virtual milliseconds per real one or so. */
const PACE_MS = 20;

const scheduler = new Scheduler();
const dice = new Dice(1, 'conformance');
let pump: NodeJS.Timeout;
beforeAll(() => {
  const onwards = (): unknown => runDraining(scheduler.run(scheduler.nowMs + PACE_MS, () => false));
  pump = setInterval(onwards, 1);
});
afterAll(() => clearInterval(pump));

describe.each(['meta', 'binary'] as const)('over %s', (protocol) => {
  memcachedSuite('memcached in the simulation', async () => {
    const newClock = (): ProcessClock =>
      new ProcessClock(scheduler, dice, { rate: 1, latenessMs: 1 });
    const latency = { latencyMsMin: 0.02, latencyMsMax: 5, splitRate: 0.5 };
    const network = new Network(scheduler, dice, latency);
    const store = new MemoryStore({ clock: newClock(), casByUs: true });
    const newClient = (): MemcachedClient =>
      new MemcachedClient({
        network,
        clock: newClock(),
        store,
        address: 'simulated:11211',
        requestDeadlineMs: 300,
        protocol,
        casByUs: protocol === 'meta',
        process: 'p0',
        note: () => {},
      });
    return {
      server: newClient(),
      other: newClient(),
      restart: async () => store.restart(),
      stop: () => store.stop(),
      resume: () => store.resume(),
      async until(what, holds) {
        const limitMs = scheduler.nowMs + 60_000;
        while (!(await holds())) {
          if (scheduler.nowMs > limitMs) throw new Error(`not within a minute: ${what}`);
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      },
    };
  });
});
