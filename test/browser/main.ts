/**
 * `npm run ui:browser`: the page in a real browser (Debian's chromium): as it looks in light and dark, by keyboard, to a
 * screen reader, without JavaScript, and live. Writes screenshots to docs/ui. Skips, and says so, where there is no
 * chromium. Exit code 1 if anything is wrong.
 */
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { createUi } from '../../src/ui.ts';
import { commandLine } from '../support/command-line.ts';
import { examine, expect, inChromium, watched } from './checks.ts';
import { staged, type Staged } from './staged.ts';

const SHOTS = fileURLToPath(new URL('../../docs/ui/', import.meta.url));
const TOKEN = 'a-token-for-the-browser-test';
const VIEWPORT = { width: 1180, height: 820 };

const { shots } = commandLine('npm run ui:browser [-- --shots DIR]', {
  shots: { type: 'string', default: SHOTS },
});
process.exitCode = await inChromium((browser) => main(browser, shots));

async function main(browser: Browser, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const { TORIL_REDIS: redis = '', TORIL_MEMCACHED: memcached = '' } = process.env;
  const stage = await staged(redis, memcached.split(','));
  const ui = createUi({
    queues: [stage.queue],
    memcached: [...stage.memcached],
    tokens: [{ token: TOKEN, who: 'ada', may: 'write' }],
    bullBoard: '/queues',
  });
  const server = createServer((request, response) => void ui.node(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    await look(browser, address, stage, folder);
    await readWithoutJavaScript(browser, address, stage);
    await useByKeyboard(browser, address, stage);
    await followLive(browser, address, stage);
  } finally {
    await ui.close();
    server.closeAllConnections();
    server.close();
    await stage.close();
  }
}

async function signedIn(
  browser: Browser,
  address: string,
  options: Parameters<Browser['newContext']>[0] = {},
): Promise<Page> {
  const context = await browser.newContext({ viewport: VIEWPORT, ...options });
  watched(context, address);
  const page = await context.newPage();
  await page.goto(`${address}/sign-in?token=${TOKEN}`);
  return page;
}

function paths({ held, hostile }: Staged): Readonly<Record<string, string>> {
  const key = encodeURIComponent(held.key);
  return {
    keys: '/',
    key: `/key?key=${key}`,
    'key-history': '/key?key=grace',
    hostile: `/key?key=${encodeURIComponent(hostile)}`,
    action: `/act?key=${key}&action=drop&job=${encodeURIComponent(held.jobId)}`,
    audit: '/audit',
    'not-found': '/nowhere',
  };
}

async function look(
  browser: Browser,
  address: string,
  stage: Staged,
  folder: string,
): Promise<void> {
  // Something for the audit trail to show.
  const { audit, name } = stage.queue;
  const { key, jobId } = stage.held;
  const act = await audit.begin({ who: 'grace', what: 'retry', key, jobId });
  await audit.end(act, { kind: 'done', result: 'the next worker that receives it carries it out' });
  for (const colorScheme of ['light', 'dark'] as const) {
    const page = await signedIn(browser, address, { colorScheme });
    for (const [what, path] of Object.entries(paths(stage))) {
      await page.goto(address + path);
      await page.screenshot({ path: join(folder, `${what}-${colorScheme}.png`), fullPage: true });
      await examine(page, `${what} (${colorScheme}) of ${name}`);
    }
    await page.context().clearCookies();
    await page.goto(`${address}/sign-in`);
    await page.screenshot({ path: join(folder, `sign-in-${colorScheme}.png`) });
    await examine(page, `sign-in (${colorScheme})`);
    await page.context().close();
  }
  const narrow = await signedIn(browser, address, { viewport: { width: 360, height: 740 } });
  await narrow.goto(address + (paths(stage)['key'] as string));
  const width = await narrow.evaluate<number>('document.documentElement.scrollWidth');
  expect(width <= 360, `nothing is wider than a phone (${width} of 360 px)`);
  await narrow.context().close();
}

async function readWithoutJavaScript(
  browser: Browser,
  address: string,
  stage: Staged,
): Promise<void> {
  const page = await signedIn(browser, address, { javaScriptEnabled: false });
  await page.getByRole('link', { name: stage.held.key, exact: true }).click();
  expect(
    (await page.locator('.why').innerText()).includes('there are only'),
    'why is read without JavaScript',
  );
  await page.getByRole('link', { name: 'Retry' }).click();
  await page.getByRole('link', { name: 'Cancel' }).click();
  expect(page.url().includes('/key?'), 'an action is asked for and cancelled without JavaScript');
  expect(
    !(await page.locator('#live-toggle').isVisible()),
    'nothing that needs JavaScript is shown',
  );
  await page.context().close();
}

async function useByKeyboard(browser: Browser, address: string, stage: Staged): Promise<void> {
  const page = await signedIn(browser, address);
  const focused = (): Promise<string> =>
    page.evaluate<string>(`(({ activeElement: at }) =>
      at?.textContent?.trim() || at?.getAttribute('name') || at?.tagName || '')(document)`);
  const tabTo = async (name: string): Promise<boolean> => {
    for (let presses = 0; presses < 40; presses++) {
      await page.keyboard.press('Tab');
      if ((await focused()) === name) return true;
    }
    return false;
  };
  await page.keyboard.press('Tab');
  expect((await focused()) === 'Skip to the content', 'the first stop skips to the content');
  await page.keyboard.press('Enter');
  expect(await tabTo('search'), 'the search is reached by Tab');
  await page.keyboard.type(stage.held.key);
  await page.keyboard.press('Enter');
  await page.waitForURL(/search=/);
  expect(await tabTo(stage.held.key), 'the key is reached by Tab');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/key\?/);
  expect(await tabTo('Skip'), 'the action is reached by Tab');
  const outline = await page.evaluate<string>(
    'getComputedStyle(document.activeElement).outlineStyle',
  );
  expect(outline === 'solid', 'what has the focus is seen');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/act\?/);
  expect(await tabTo('Skip'), 'the confirmation is reached by Tab');
  await page.keyboard.press('Enter');
  await page.waitForURL(/done=/);
  const said = await page.locator('.notice').innerText();
  expect(said.includes('carries it out'), 'the action is done by keyboard alone');
  const { acts } = await stage.queue.audit.read({ key: stage.held.key });
  expect(acts[0]?.what === 'skip' && acts[0].who === 'ada', 'and is in the audit trail');
  await page.context().close();
}

async function followLive(browser: Browser, address: string, stage: Staged): Promise<void> {
  const page = await signedIn(browser, address);
  await page.getByText('live', { exact: true }).waitFor();
  const link = page.getByRole('link', { name: 'radia', exact: true });
  await link.focus();
  await stage.queue.add('pay', { account: 'new-key-at-last', cents: 1 });
  const startedMs = performance.now();
  await page.getByRole('link', { name: 'new-key-at-last' }).waitFor();
  const tookMs = Math.round(performance.now() - startedMs);
  expect(tookMs < 2_000, `a new key appears by itself (${tookMs} ms)`);
  const focused = await page.evaluate<string>('document.activeElement.textContent');
  expect(focused === 'radia', 'the focus stays where it was');
  await page.getByRole('button', { name: 'Pause' }).click();
  expect(await page.getByText('paused', { exact: true }).isVisible(), 'what is live can be paused');
  await page.context().close();
}
