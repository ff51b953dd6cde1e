import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const fromRoot = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** What needs real servers: gets them by itself, so that `npx vitest run FILE` works by hand too. */
const withServers = {
  globalSetup: ['test/support/global-setup.ts'],
  setupFiles: ['test/support/leaks.ts'],
};

/** What measures rates, or keeps both cores busy by itself. */
const ALONE = ['test/integration/isolation.test.ts', 'test/chaos/**/*.test.ts'];

/** The examples import what users do. */
const forExamples = {
  resolve: {
    alias: [
      { find: /^toril$/, replacement: fromRoot('src/index.ts') },
      { find: /^toril\/(cells|nestjs|testing|ui)$/, replacement: fromRoot('src/$1.ts') },
    ],
  },
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
          // Whatever is not named elsewhere, so that no folder of tests can be forgotten.
          include: ['test/**/*.test.ts'],
          exclude: ['test/unit/**', 'test/proof/**', 'test/conformance/**', ...ALONE],
          ...withServers,
          // They wait more than they work: 2 at a time take 60 % of the time that they take one by one.
          maxWorkers: '100%',
          testTimeout: 120_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 3 },
        },
      },
      {
        test: {
          name: 'alone',
          include: ALONE,
          ...withServers,
          fileParallelism: false,
          testTimeout: 120_000,
          sequence: { groupOrder: 4 },
        },
      },
    ],
  },
});
