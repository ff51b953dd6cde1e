/** docs/options.md has every option, with the default and the range that the code has. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  checkedWorkerOptions,
  ENQUEUE_MS,
  enqueueMsOf,
  queueCloseMsOf,
  WORKER_DEFAULTS,
} from '../../../src/options.ts';
import { resolveMemcached } from '../../../src/memcached/options.ts';
import { defineUpdate } from '../../../src/updates/update.ts';

const ROOT = new URL('../../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8');
const page = read('docs/options.md');

interface Row {
  readonly byDefault: string;
  readonly range: string;
}

/** The rows of the table below `start`. */
function table(start: string): Map<string, Row> {
  const section = page.slice(page.indexOf(start));
  const [, rows = ''] = /\| --- .*\n((?:\|.*\n)+)/.exec(section) ?? [];
  return new Map(
    [...rows.matchAll(/^\| `(\w+)` \| (.*?) \| (.*?) ?\| .*\|$|^\| `(\w+)` \| (.*?) \| \|/gm)].map(
      ([, name, byDefault = '', range = '', other = '', otherDefault = '']) =>
        name === undefined
          ? [other, { byDefault: otherDefault, range: '' }]
          : [name, { byDefault, range }],
    ),
  );
}

/** Names of the members of an interface. */
function membersOf(path: string, name: string): string[] {
  const source = read(path);
  const start = source.search(new RegExp(`^export interface ${name}\\b`, 'm'));
  const body = source.slice(start, source.indexOf('\n}', start));
  return [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??(?:[:(])/gm)].map(([, one = '']) => one);
}

const numberOf = (text: string): number => Number(text.replaceAll(',', '').replaceAll('`', ''));
const rangeOf = ({ range }: Row): [number, number] => {
  const [min = Number.NaN, max = Number.NaN] = range.split(' to ').map(numberOf);
  return [min, max];
};

/** Takes both ends of the range, and nothing beyond. */
function expectRange(row: Row, check: (value: number) => unknown): void {
  const [min, max] = rangeOf(row);
  expect(() => check(min)).not.toThrow();
  expect(() => check(max)).not.toThrow();
  expect(() => check(min - 1)).toThrow();
  expect(() => check(max + 1)).toThrow();
}

/** The page says that these are as those of an update. */
const AS_OF_UPDATES: readonly string[] = [
  ...['name', 'onFailure', 'onExhausted', 'immutable', 'timeoutMs'],
];

describe('docs/options.md', () => {
  it.each([
    ['## Worker', 'src/options.ts', ['TorilWorkerOptions'], 'src/workers/worker-options.ts'],
    ['## Queue', 'src/jobs/queue-options.ts', ['QueueOptions'], undefined],
    ['## memcached', 'src/memcached/options.ts', ['MemcachedSettings'], undefined],
    ['## Updates', 'src/updates/update.ts', ['UpdateSettings'], undefined],
    ['### Transactions', 'src/updates/transaction.ts', ['TransactionSettings'], undefined],
    ['`openCells({', 'src/open.ts', ['OpenCellsOptions'], undefined],
    ['`openLocks({', 'src/open.ts', ['OpenLocksOptions'], undefined],
  ] as const)('has every option of %s', (section, path, [name], more) => {
    const own = membersOf(path, name);
    const others = more === undefined ? [] : membersOf(more, 'WorkerOptions');
    const asOfUpdates = name === 'TransactionSettings' ? AS_OF_UPDATES : [];
    const expected = [...own, ...others, ...(name === 'UpdateSettings' ? ['schema'] : [])].filter(
      (option) => !asOfUpdates.includes(option),
    );
    expect(expected.length).toBeGreaterThan(1);
    expect([...table(section).keys()].toSorted()).toEqual(expected.toSorted());
  });

  it.each([...table('## Worker')].filter(([name]) => name in WORKER_DEFAULTS))(
    'says of a worker’s %s what is so',
    (name, row) => {
      const byDefault: unknown = WORKER_DEFAULTS[name as keyof typeof WORKER_DEFAULTS];
      if (typeof byDefault !== 'number') {
        const text = typeof byDefault === 'string' ? `'${byDefault}'` : String(byDefault);
        expect(row.byDefault).toBe(`\`${text}\``);
        return;
      }
      expect(numberOf(row.byDefault)).toBe(byDefault);
      const others = name === 'snoozeMsMax' ? { patienceMs: 0 } : {};
      expectRange(row, (value) => checkedWorkerOptions({ [name]: value, ...others }, 1));
    },
  );

  it('says what is so of queues, updates and memcached', () => {
    const [queue, update, memcached] = ['## Queue', '## Updates', '## memcached'].map(table);
    const { enqueueMs, closeMs } = Object.fromEntries(queue as Map<string, Row>);
    expect(numberOf(enqueueMs?.byDefault ?? '')).toBe(ENQUEUE_MS);
    expect(numberOf(closeMs?.byDefault ?? '')).toBe(queueCloseMsOf(undefined));
    expectRange(enqueueMs as Row, enqueueMsOf);
    expectRange(closeMs as Row, queueCloseMsOf);

    const plain = { name: 'x', key: () => 'x', apply: () => 1 };
    const defined = defineUpdate(plain) as unknown as Record<string, unknown>;
    for (const name of ['onFailure', 'onExhausted', 'strict', 'immutable', 'timeoutMs']) {
      const { byDefault = '' } = update?.get(name) ?? {};
      expect(byDefault.replaceAll(/[`',]/g, ''), name).toBe(String(defined[name]));
    }
    expectRange(update?.get('expireSeconds') as Row, (expireSeconds) =>
      defineUpdate({ ...plain, expireSeconds }),
    );

    const [server] = resolveMemcached('localhost');
    for (const name of ['requestDeadlineMs', 'connectDeadlineMs'] as const) {
      const row = memcached?.get(name) as Row;
      expect(numberOf(row.byDefault), name).toBe(server?.[name]);
      expectRange(row, (value) => resolveMemcached({ servers: 'localhost', [name]: value }));
    }
    expect(memcached?.get('protocol')?.byDefault).toBe(`\`'${server?.protocol}'\``);
  });
});
