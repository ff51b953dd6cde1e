/**
 * Who may import whom (src/README.md). What a folder may not know, it cannot come to depend on:
 * the lock stays usable without jobs, jobs without locks, and everything from the intake on
 * runs in the simulation.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const SRC = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'src');

interface Rule {
  /** Folders of src, or single files, besides its own. */
  readonly mayImport: readonly string[];
  /** Said when it imports something else. */
  readonly advice: string;
}

/** The contract of memcached and what is pure about it. Its engines are for the composition root. */
const MEMCACHED_CONTRACT = [
  'memcached/server.ts',
  'memcached/servers.ts',
  'memcached/item-names.ts',
];
const FOR_ALL = ['errors.ts', 'key.ts', 'options.ts', 'telemetry/observer.ts'];
const BELOW_WORKERS = [
  ...['base', 'redis', 'updates', 'history', 'memcached', 'lock', 'cells', 'jobs'],
  ...FOR_ALL,
];

/** By folder or file; the longest name that fits holds. */
const RULES: Readonly<Record<string, Rule>> = {
  'errors.ts': { mayImport: [], advice: 'errors.ts is imported by all, so it imports nothing' },
  'options.ts': {
    mayImport: ['base', 'errors.ts'],
    advice: 'options.ts is imported by all; what an option does belongs to the folder that does it',
  },
  'key.ts': { mayImport: ['errors.ts'], advice: 'key.ts is imported by all' },
  base: {
    mayImport: [],
    advice: 'base has no words of the domain: code that needs them belongs to their folder',
  },
  redis: {
    mayImport: ['base', 'errors.ts'],
    advice: 'redis has what lock and jobs share: names, the sequence, the data set, connections',
  },
  updates: {
    mayImport: ['base', ...FOR_ALL],
    advice: 'updates are pure: they know no queue, no lease and no server',
  },
  history: {
    mayImport: ['base', 'updates', ...FOR_ALL],
    advice: 'history knows what was committed, and the updates that made it: no Redis, no workers',
  },
  memcached: {
    mayImport: ['base', ...FOR_ALL],
    advice: 'memcached knows items and servers; leases belong to lock, values to cells',
  },
  'memcached/socket': {
    mayImport: [
      ...['base', 'errors.ts', 'memcached/protocol.ts', 'memcached/server.ts'],
      ...['memcached/options.ts', 'memcached/connect-errors.ts'],
    ],
    advice: 'a connection knows no protocol: what does belongs to an engine of protocol.ts',
  },
  'memcached/meta': {
    mayImport: [
      ...['base', 'errors.ts', 'memcached/protocol.ts', 'memcached/server.ts', 'memcached/socket'],
      ...['memcached/options.ts', 'memcached/connect-errors.ts', 'memcached/item-limits.ts'],
    ],
    advice: 'an engine imports its contract, never another engine',
  },
  'memcached/binary': {
    mayImport: [
      ...['base', 'errors.ts', 'memcached/protocol.ts', 'memcached/server.ts', 'memcached/socket'],
      ...['memcached/options.ts', 'memcached/connect-errors.ts', 'memcached/item-limits.ts'],
    ],
    advice: 'an engine imports its contract, never another engine',
  },
  lock: {
    mayImport: ['base', 'redis', ...MEMCACHED_CONTRACT, ...FOR_ALL],
    advice:
      'the lock has never heard of jobs or cells, and speaks to the memcached contract only: ' +
      'what joins them belongs to workers, what picks an engine to the composition root',
  },
  cells: {
    mayImport: ['base', 'redis', 'updates', ...MEMCACHED_CONTRACT, 'lock', ...FOR_ALL],
    advice:
      'cells know values, the memcached contract and leases: what applies jobs belongs to workers',
  },
  jobs: {
    mayImport: ['base', 'redis', 'updates', 'history/history.ts', ...FOR_ALL],
    advice:
      'jobs have never heard of locks, cells or memcached: what joins them belongs to workers',
  },
  'jobs/memory': {
    mayImport: [
      ...['base', 'redis', 'updates', 'history/history.ts'],
      ...['jobs/lanes.ts', 'jobs/lane.ts', 'jobs/joint-lanes.ts', 'jobs/reports'],
      ...FOR_ALL,
    ],
    advice: 'an engine imports its contract, never another engine',
  },
  workers: {
    mayImport: BELOW_WORKERS,
    advice: 'workers know everything but the command line, testing and the public surface',
  },
  'workers/fold': {
    mayImport: [
      ...['base', 'updates', 'cells', 'history/history.ts', 'jobs/lanes.ts', ...FOR_ALL],
      ...[
        'jobs/lane.ts',
        'workers/deliveries/arrival.ts',
        'workers/gate/gate-context.ts',
        'workers/gate/key-memory.ts',
      ],
    ],
    advice: 'a fold happens in memory: it asks neither Redis nor memcached',
  },
  ui: {
    mayImport: ['workers', ...BELOW_WORKERS],
    advice: 'the page knows queues and servers; what the command line needs as well belongs below',
  },
  'ui.ts': {
    mayImport: ['ui', 'open-cells.ts', ...BELOW_WORKERS],
    advice: 'ui.ts is the composition root of the page',
  },
  cli: {
    mayImport: ['workers', 'telemetry', 'ui.ts', ...BELOW_WORKERS],
    advice: 'what both the command line and testing need belongs to workers or below',
  },
  testing: {
    mayImport: ['workers', ...BELOW_WORKERS],
    advice: 'what both testing and the command line need belongs to workers or below',
  },
  'testing.ts': {
    mayImport: ['testing', 'workers', ...BELOW_WORKERS],
    advice: 'testing.ts gathers what the tests of users import',
  },
  telemetry: {
    mayImport: ['base', 'errors.ts'],
    advice: 'telemetry is told by its contract what happens, and asks for nothing',
  },
  'opentelemetry.ts': {
    mayImport: ['base', 'errors.ts', 'telemetry'],
    advice: 'opentelemetry.ts makes spans and metrics of what the recorder tells',
  },
  'cells.ts': {
    mayImport: ['updates', 'memcached', 'cells', 'open-cells.ts', 'errors.ts'],
    advice: 'cells.ts gathers what a program imports that only reads cells',
  },
  'open-cells.ts': {
    mayImport: ['base', 'memcached', 'cells', ...FOR_ALL],
    advice: 'open-cells.ts is what a program loads that only reads cells',
  },
  nestjs: {
    mayImport: ['workers', 'open-cells.ts', ...BELOW_WORKERS],
    advice: 'nestjs wires the public surface into Nest; what it could do by itself belongs there',
  },
  'nestjs.ts': { mayImport: ['nestjs'], advice: 'nestjs.ts gathers what Nest users import' },
  'open.ts': {
    mayImport: ['base', 'redis', 'memcached', 'lock', 'cells', 'open-cells.ts', ...FOR_ALL],
    advice: 'open.ts is the composition root of what needs no queue',
  },
  'index.ts': {
    mayImport: ['open.ts', 'workers', ...BELOW_WORKERS],
    advice: 'index.ts gathers the public surface',
  },
};

/** The only files that may name a client library. Add one only if no contract can stand between. */
const CLIENTS: Readonly<Record<string, readonly string[]>> = {
  bullmq: [
    'jobs/bullmq/adding/add-call.ts',
    'jobs/bullmq/backend/adding-backend.ts',
    'jobs/bullmq/backend/completing-backend.ts',
    'jobs/bullmq/backend/scripted-backend.ts',
    'jobs/bullmq/backend/settling-backend.ts',
    'jobs/bullmq/bull-backend.ts',
    'jobs/bullmq/bull-deliveries.ts',
    'jobs/bullmq/told-failures.ts',
    'jobs/bullmq/fast-path/peculiarities.ts',
    'jobs/bullmq/option-names.ts', // types of options
    'jobs/lane-handle.ts',
    'jobs/queue.ts',
    'jobs/queue-options.ts',
    'jobs/bullmq/state/bullmq-text.ts',
    'jobs/bullmq/state/worker-internals.ts',
    'jobs/bullmq/telemetry.ts',
    'workers/deliveries/backoff-strategy.ts',
    'jobs/bullmq/backend/cron-times.ts',
    'jobs/bullmq/backend/scheduling-backend.ts',
    'jobs/bullmq/backend/waiting-backend.ts',
    'jobs/bullmq/state/lock-renewal.ts',
    'workers/worker-options.ts',
    'workers/worker.ts',
    'open.ts', // a type of its options
    'redis/redis-client.ts',
    'redis/connection-option.ts', // whether it is a client
    'redis/redis-connection.ts',
  ],
  '@opentelemetry/api': ['opentelemetry.ts'],
  'prom-client': ['cli/http/prometheus.ts'],
  ioredis: [],
  memjs: ['memcached/binary/codec.ts', 'memcached/binary/replies.ts'],
  hono: ['ui/web.ts'],
  '@hono/node-server': ['ui/node-http.ts'],
};

interface Import {
  /** Path below src. */
  readonly from: string;
  /** Path below src, or the name of a package. */
  readonly to: string;
}

/** Static and dynamic imports, types included, and re-exports. */
function importsOf(from: string, source: string): Import[] {
  const pattern = /(?:\bfrom|\bimport|\bimport\()\s*(['"])([^'"\n]+)\1/g;
  const code = source.replace(/\/\*[\s\S]*?\*\//g, ''); // without the examples in docstrings
  return [...code.matchAll(pattern)].map(([, , specifier = '']) => ({
    from,
    to: specifier.startsWith('.') ? normalize(join(dirname(from), specifier)) : specifier,
  }));
}

/** The folder or file whose rule holds for a file. */
function ownerOf(file: string): string | undefined {
  return Object.keys(RULES)
    .filter((name) => file === name || file.startsWith(`${name}/`))
    .toSorted((a, b) => b.length - a.length)[0];
}

/** What is wrong with an import, or undefined. */
function problemWith({ from, to }: Import, files: ReadonlySet<string>): string | undefined {
  const owner = ownerOf(from);
  const rule = RULES[owner ?? ''];
  if (owner === undefined || rule === undefined)
    return `${from}: no rule for its folder; say in this test whom it may know`;
  const client = Object.keys(CLIENTS).find((name) => to === name || to.startsWith(`${name}/`));
  if (client !== undefined) return problemWithClient(from, client);
  if (!files.has(to)) return to.includes('..') ? `${from} reaches out of src: ${to}` : undefined;
  const allowed = [owner, ...rule.mayImport];
  if (allowed.some((place) => to === place || to.startsWith(`${place}/`))) return undefined;
  return `${from} must not import ${to}: ${rule.advice}`;
}

function problemWithClient(from: string, client: string): string | undefined {
  const allowed = CLIENTS[client] ?? [];
  if (allowed.includes(from)) return undefined;
  const places = allowed.length > 0 ? allowed.join(', ') : 'no file yet';
  return `${from} must not import ${client}: only these name it, all others speak to their contracts: ${places}`;
}

/** Files that import each other by a way round, types included: to read one of them is to read them all. */
function circlesIn(imports: readonly Import[]): string[] {
  const next = new Map<string, string[]>();
  for (const { from, to } of imports) next.set(from, [...(next.get(from) ?? []), to]);
  const finished = new Set<string>();
  const circles: string[] = [];
  const walk = (file: string, way: readonly string[]): void => {
    const at = way.indexOf(file);
    if (at >= 0) circles.push([...way.slice(at), file].join(' > '));
    if (at >= 0 || finished.has(file)) return;
    for (const to of next.get(file) ?? []) walk(to, [...way, file]);
    finished.add(file);
  };
  for (const file of next.keys()) walk(file, []);
  return circles;
}

function filesOfSrc(): string[] {
  return readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .toSorted();
}

describe('the sources', () => {
  const files = filesOfSrc();
  const imports = files.flatMap((file) => importsOf(file, readFileSync(join(SRC, file), 'utf8')));

  test('import only what they may', () => {
    const known = new Set(files);
    expect(imports.flatMap((one) => problemWith(one, known) ?? [])).toEqual([]);
  });

  test('name each client library in exactly the files that are listed', () => {
    const listed = Object.entries(CLIENTS).flatMap(([client, places]) =>
      places.map((place) => `${place} imports ${client}`),
    );
    const found = new Set(imports.map(({ from, to }) => `${from} imports ${to}`));
    expect(listed.filter((one) => !found.has(one) && !one.includes('.d.ts'))).toEqual([]);
  });

  test('import nothing that imports them', () => {
    expect(circlesIn(imports), 'what both need moves into a file of its own').toEqual([]);
  });

  test('have no room of more than a dozen files', () => {
    const rooms = [...new Set(files.map((file) => dirname(file)))];
    const sizeOf = (room: string): number => files.filter((file) => dirname(file) === room).length;
    const full = rooms.filter((room) => sizeOf(room) > 12);
    expect(full, 'what shares a subject moves into a room of its own').toEqual([]);
  });

  test('have no file that cannot be read in one sitting: about 300 lines', () => {
    const linesOf = (file: string): number =>
      readFileSync(join(SRC, file), 'utf8').split('\n').length;
    const long = files.filter((file) => linesOf(file) > 330);
    expect(long, 'what it does besides its one job moves into a file of its own').toEqual([]);
  });

  test('of a program that only reads cells need neither BullMQ nor a Redis client', () => {
    const loaded = new Set(['cells.ts']);
    for (const file of loaded)
      for (const { from, to } of imports) if (from === file) loaded.add(to);
    expect(loaded).toContain('memcached/socket/socket-server.ts');
    expect([...loaded].filter((one) => ['bullmq', 'ioredis'].includes(one))).toEqual([]);
  });
});

describe('the checker', () => {
  const files = new Set([
    'base/clock.ts',
    'errors.ts',
    'memcached/server.ts',
    'memcached/socket/socket-server.ts',
    'memcached/binary/codec.ts',
    'lock/lock.ts',
    'cells/envelope.ts',
    'jobs/lanes.ts',
    'workers/gate/combiner.ts',
    'index.ts',
  ]);
  const check = (from: string, source: string): string[] =>
    importsOf(from, source).flatMap((one) => problemWith(one, files) ?? []);

  test.each([
    ['jobs/lanes.ts', `import { LeaseLocks } from '../lock/lock.ts';`, 'belongs to workers'],
    ['lock/lock.ts', `import type { Job } from '../jobs/lanes.ts';`, 'belongs to workers'],
    ['lock/lock.ts', `import '../memcached/socket/socket-server.ts';`, 'the composition root'],
    ['cells/envelope.ts', `export * from '../jobs/lanes.ts';`, 'belongs to workers'],
    ['base/clock.ts', `const x = await import('../errors.ts');`, 'belongs to their folder'],
    ['workers/gate/combiner.ts', `import {\n  Toril,\n} from "../../index.ts";`, 'public surface'],
    ['workers/gate/combiner.ts', `import { Redis } from 'ioredis';`, 'must not import ioredis'],
    ['memcached/meta/codec.ts', `import { Utils } from 'memjs';`, 'must not import memjs'],
    ['memcached/socket/wire.ts', `import '../binary/codec.ts';`, 'knows no protocol'],
    ['jobs/lanes.ts', `import x from '../../scripts/servers.ts';`, 'reaches out of src'],
    ['helpers/x.ts', `import { z } from 'zod';`, 'no rule for its folder'],
    ['workers/fold/fold.ts', `import '../../memcached/server.ts';`, 'happens in memory'],
  ])('finds what %s must not do: %s', (from, source, advice) => {
    expect(check(from, source)).toEqual([expect.stringContaining(advice)]);
  });

  test('finds a circle, also one of types', () => {
    const sources = {
      'jobs/lanes.ts': `import type { Head } from './head.ts';`,
      'jobs/head.ts': `import { Entry } from './entry.ts';`,
      'jobs/entry.ts': `import type { Lanes } from './lanes.ts';`,
      'jobs/queue.ts': `import './lanes.ts'; import './entry.ts';`,
    };
    const all = Object.entries(sources).flatMap(([from, source]) => importsOf(from, source));
    expect(circlesIn(all)).toEqual([
      'jobs/lanes.ts > jobs/head.ts > jobs/entry.ts > jobs/lanes.ts',
    ]);
  });

  test.each([
    ['lock/lock.ts', `import type { Connection } from '../memcached/server.ts';`],
    ['lock/lock.ts', `import { TorilError } from '../errors.ts';`],
    ['memcached/binary/codec.ts', `import { Utils } from 'memjs';`],
    ['redis/redis-connection.ts', `import { RedisConnection } from 'bullmq';`],
    ['workers/gate/combiner.ts', `import { Lanes } from '../../jobs/lanes.ts';`],
    ['jobs/lanes.ts', `import { createHash } from 'node:crypto';`],
    ['jobs/lanes.ts', `/** For example: import { Queue } from 'bullmq'; */`],
  ])('lets %s do what it may: %s', (from, source) => {
    expect(check(from, source)).toEqual([]);
  });
});
