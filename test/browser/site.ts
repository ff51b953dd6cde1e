/**
 * `npm run site:browser`: the playground of the built site in a real browser (Debian's chromium): how fast it is there,
 * that it computes what Node computes, by mouse and keyboard, in light and dark. Skips, and says so, where there is no
 * chromium. Exit code 1 if anything is wrong.
 */
import { existsSync } from 'node:fs';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { serve } from '@hono/node-server';
import { serveStatic } from '@hono/node-server/serve-static';
import { Hono } from 'hono';
import type { Browser, Page } from 'playwright-core';
import { runSimulation } from '../simulation/simulate.ts';
import { commandLine } from '../support/command-line.ts';
import { examine, expect, inChromium, watched } from './checks.ts';

const SITE = fileURLToPath(new URL('../../site/dist', import.meta.url));
const LOADED_MS_MAX = 1_000;
const BROKEN_MS_MAX = 5_000;
/** For the test not to wait for ever. */
const FOUND_MS_MAX = 120_000;
const PLAYGROUND = '.playground';
/** Of the list of moments. */
const CURRENT = '.moments [aria-current=step]';

const { seeds } = commandLine('npm run site:browser [-- --seeds 100]', {
  seeds: { type: 'string', default: '100' },
});
process.exitCode = await inChromium(main);

async function main(browser: Browser): Promise<void> {
  if (!existsSync(`${SITE}/playground.html`)) throw new Error('no site: npm run site makes it');
  const app = new Hono();
  const rewriteRequestPath = (path: string): string =>
    /\.\w+$|\/$/.test(path) ? path : `${path}.html`;
  app.use('*', serveStatic({ root: SITE, rewriteRequestPath }));
  const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' });
  if (!server.listening) await once(server, 'listening');
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    await load(browser, address);
    await breakPromises(browser, address);
    await stepThrough(browser, address);
    await follow(browser, address);
    await look(browser, address);
    await compareWithNode(browser, address, Number(seeds));
  } finally {
    server.close();
  }
}

async function opened(
  browser: Browser,
  address: string,
  link = '',
  options: Parameters<Browser['newContext']>[0] = {},
): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  watched(context, address);
  const page = await context.newPage();
  await page.goto(`${address}/playground${link}`);
  await page.locator('.stage').waitFor();
  return page;
}

/** The first time in a new profile, with nothing cached; then what a second look takes. */
async function load(browser: Browser, address: string): Promise<void> {
  const page = await opened(browser, address);
  for (const what of ['with nothing cached', 'once more']) {
    if (what === 'once more') {
      await page.reload();
      await page.locator('.stage').waitFor();
    }
    const tookMs = Math.round(await page.evaluate<number>('performance.now()'));
    expect(tookMs < LOADED_MS_MAX, `a run is shown ${tookMs} ms after the click, ${what}`);
  }
  expect(/P1 is broken/.test(await said(page)), 'it is one in which P1 breaks');
  await page.context().close();
}

async function breakPromises(browser: Browser, address: string): Promise<void> {
  const page = await opened(browser, address);
  const guards = await page.getByLabel('Guard that is off').locator('option').all();
  for (const guard of guards.slice(1)) {
    const label = (await guard.textContent()) ?? '';
    await page.getByLabel('Guard that is off').selectOption({ label });
    await page.getByLabel('Seed').fill('1');
    const startedMs = performance.now();
    await page.getByRole('button', { name: 'Find a seed' }).click();
    const found = page.locator('.said', { hasText: /^Seed \d+: P\d is broken/ });
    await found.waitFor({ timeout: FOUND_MS_MAX });
    const tookMs = Math.round(performance.now() - startedMs);
    const [which = ''] = /^Seed \d+: P\d/.exec(await said(page)) ?? [];
    expect(tookMs < BROKEN_MS_MAX, `without "${label}" a promise breaks: ${which} (${tookMs} ms)`);
  }
  await page.getByLabel('Guard that is off').selectOption({ label: 'none' });
  await page.getByLabel('Seed').fill('8');
  await page.getByRole('button', { name: 'Run this seed' }).click();
  await page.locator('.said', { hasText: 'every promise was kept' }).waitFor();
  expect(true, 'with every guard on, the same seed keeps every promise');
  await page.context().close();
}

async function stepThrough(browser: Browser, address: string): Promise<void> {
  const page = await opened(browser, address);
  const current = (): Promise<string> => page.locator(CURRENT).innerText();
  const last = await current();
  expect(/auditor: P1/.test(last), 'the broken promise is the moment that is shown first');
  await page.getByRole('button', { name: 'Back' }).click();
  const before = await current();
  expect(before !== last, 'a button goes a moment back');
  await page.getByRole('slider', { name: 'Moment' }).focus();
  await page.keyboard.press('ArrowRight');
  expect((await current()) === last, 'an arrow key goes on');
  await page.keyboard.press('Home');
  const heard = await page.getByRole('slider').getAttribute('aria-valuetext');
  expect(/^1 of \d+: 0\.00 ms, p0-1: starts/.test(heard ?? ''), 'a screen reader hears the moment');
  await page.locator('.drawing svg').click({ position: { x: 100, y: 10 } });
  expect((await current()) !== before, 'a click on the time line goes there');
  await page.getByRole('button', { name: 'Play' }).click();
  const from = await current();
  await page.waitForFunction(
    `document.querySelector('${CURRENT}').innerText !== ${JSON.stringify(from)}`,
  );
  await page.getByRole('button', { name: 'Pause' }).click();
  expect(true, 'it plays, and pauses');
  const changed = page.locator('td.changed');
  await page
    .locator('.moments li', { hasText: /acknowledge k0.*accepted/ })
    .first()
    .click();
  expect((await changed.count()) > 0, 'what a moment has changed is marked');
  await page.context().close();
}

async function follow(browser: Browser, address: string): Promise<void> {
  const page = await opened(browser, address, '#seed=3&faults=crash');
  const struck = await page.locator('.moments li.fault').allInnerTexts();
  const areCrashes = struck.length > 0 && struck.every((text) => text.endsWith('is killed'));
  expect(areCrashes, 'a link names a seed, and faults');
  await page.getByText('Faults: 1 picked').click();
  await page.getByLabel('a cell is evicted').check();
  await page.getByRole('button', { name: 'Run this seed' }).click();
  await page.waitForURL(/seed=3&faults=crash%2Cevict-cell/);
  expect(true, 'the address is the link to what is shown');
  await page.context().close();
}

async function look(browser: Browser, address: string): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    const page = await opened(browser, address, '', { colorScheme });
    await page.locator('summary').first().click();
    await examine(page, `the playground (${colorScheme})`, PLAYGROUND);
    await page.context().close();
  }
  const narrow = await opened(browser, address, '', { viewport: { width: 360, height: 740 } });
  const width = await narrow.evaluate<number>('document.documentElement.scrollWidth');
  expect(width <= 360, `nothing is wider than a phone (${width} of 360 px)`);
  await narrow.context().close();
}

/** The hash of all that happened, seed by seed. */
async function compareWithNode(browser: Browser, address: string, count: number): Promise<void> {
  const page = await opened(browser, address);
  const hashes = await page.evaluate<string[]>(`(async () => {
    const worker = new Worker('/playground/simulation.js', { type: 'module' });
    const hashes = [];
    for (let seed = 0; seed < ${count}; seed++) {
      worker.postMessage({ kind: 'run', setup: { seed, faults: [], severalKeys: seed % 4 === 3 } });
      hashes.push(await new Promise((resolve) => {
        worker.onmessage = ({ data }) => resolve(data.story.hash);
      }));
    }
    return hashes;
  })()`);
  const differ: number[] = [];
  for (const [seed, hash] of hashes.entries()) {
    const report = await runSimulation({ seed, transactions: seed % 4 === 3 });
    if (report.hash !== hash) differ.push(seed);
  }
  expect(differ.length === 0, `${count} seeds run as in Node; others: [${differ.join(' ')}]`);
  await page.context().close();
}

function said(page: Page): Promise<string> {
  return page.locator('.said').innerText();
}
