import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const fromRoot = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** What needs real servers: gets them by itself, so that `npx vitest run FILE` works by hand too. */
const withServers = {
  globalSetup: ['test/support/global-setup.ts'],
  setupFiles: ['test/support/leaks.ts'],
};

/** The examples import what users do. */
const forExamples = {
  resolve: { alias: [{ find: /^toril$/, replacement: fromRoot('src/index.ts') }] },
};

export default defineConfig({
  test: {
    tags: [
      {
        name: 'imitation',
        description:
          'what Toril does by imitating scripts of BullMQ: not with one that it does not know',
      },
    ],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          // One process per core loads the sources once for all its files: half of the time of them all.
          isolate: false,
          // Properties of many values took 8 s where eight other programs shared the 2 cores.
          testTimeout: 20_000,
          // By default one core is left idle.
          maxWorkers: '100%',
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'proof',
          include: ['test/proof/**/*.test.ts'],
          testTimeout: 20_000,
          maxWorkers: '100%',
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'conformance',
          include: ['test/conformance/**/*.test.ts'],
          ...withServers,
          globalSetup: [...withServers.globalSetup, 'test/support/memcached-setup.ts'],
          testTimeout: 20_000,
          sequence: { groupOrder: 2 },
        },
      },
      {
        ...forExamples,
        test: {
          name: 'integration',
          // Whatever is not named above, so that no folder of tests can be forgotten.
          include: ['test/**/*.test.ts'],
          exclude: ['test/unit/**', 'test/proof/**', 'test/conformance/**'],
          ...withServers,
          // Tests that start several processes, and kill some, one at a time: there are 2 cores.
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
