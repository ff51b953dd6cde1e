/**
 * `npm run ui:keys`: how long the page takes of a queue with 100,000 keys: its first page, pages far behind, held ones,
 * a search that finds one key, one that finds none, and a key's page. Exit code 1 if one takes 200 ms or more.
 */
import { Queue, defineUpdate } from '../../src/index.ts';
import { createUi } from '../../src/ui.ts';
import { Browsing, unescaped } from '../support/browsing.ts';
import { commandLine } from '../support/command-line.ts';

const BULK = 500;
const RUNS = 9;
const LIMIT_MS = 200;

const pay = defineUpdate({
  name: 'pay',
  key: ({ account }: { account: string }) => account,
  initial: () => 0,
  apply: (cents: number) => cents + 1,
});

const { keys: wanted } = commandLine('npm run ui:keys [-- --keys 100000]', {
  keys: { type: 'string', default: '100000' },
});
process.exitCode = await main(Number(wanted));

async function main(keys: number): Promise<number> {
  const { TORIL_REDIS: url = '', TORIL_MEMCACHED: memcached = '' } = process.env;
  const queue = new Queue('many-keys', { connection: { url }, updates: [pay] });
  const ui = createUi({
    queues: [queue],
    memcached: memcached.split(','),
    authorize: () => ({ who: 'ada', may: 'read' }),
  });
  try {
    await queue.obliterate({ force: true });
    for (let from = 0; from < keys; from += BULK) {
      const count = Math.min(BULK, keys - from);
      await queue.enqueueBulk(
        Array.from({ length: count }, (_, at) => ({
          update: pay,
          data: { account: `account-${String(from + at).padStart(7, '0')}` },
        })),
      );
    }
    return await measure(new Browsing(ui), keys);
  } finally {
    await ui.close();
    await queue.obliterate({ force: true });
    await queue.close();
  }
}

async function measure(browser: Browsing, keys: number): Promise<number> {
  const last = `account-${String(keys - 1).padStart(7, '0')}`;
  const paths: Record<string, string> = {
    'first page': '/',
    'newest first': '/?order=newest',
    'page 50': await pageNumber(browser, 50),
    'held ones': '/?state=held',
    'search for the last key': `/?search=${last}`,
    'search for nothing': '/?search=nobody-is-called-so',
    'a key': `/key?key=${last}`,
  };
  let slow = 0;
  for (const [what, path] of Object.entries(paths)) {
    const times: number[] = [];
    const before = process.cpuUsage();
    for (let run = 0; run < RUNS; run++) {
      const startedMs = performance.now();
      const { status } = await browser.get(path);
      times.push(performance.now() - startedMs);
      if (status !== 200) throw new Error(`${what}: status ${status}`);
    }
    const median = times.toSorted((a, b) => a - b)[Math.floor(RUNS / 2)] ?? Number.NaN;
    const { user, system } = process.cpuUsage(before);
    const cpuMs = (user + system) / 1_000 / RUNS;
    console.log(
      `${what.padEnd(24)} ${median.toFixed(0).padStart(5)} ms, of the processor in this process ${cpuMs.toFixed(0)} ms`,
    );
    if (!(median < LIMIT_MS)) slow += 1;
  }
  console.log(slow === 0 ? `each under ${LIMIT_MS} ms` : `${slow} take ${LIMIT_MS} ms or more`);
  return slow === 0 ? 0 : 1;
}

async function pageNumber(browser: Browsing, number: number): Promise<string> {
  let path = '/';
  for (let page = 1; page < number; page++) {
    const { text } = await browser.get(path);
    const [, next] = /href="([^"]*)" rel="next"/.exec(text) ?? [];
    if (next === undefined) return path;
    path = unescaped(next);
  }
  return path;
}
