/** What every page that is looked at in a browser has to keep, and the account of what it did not keep. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { findBinary } from '../../src/cli/servers/server-programs.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const WCAG = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

const problems: string[] = [];

export function expect(holds: boolean, what: string): void {
  console.log(`${holds ? 'ok  ' : 'FAIL'} ${what}`);
  if (!holds) problems.push(what);
}

/** Runs the checks in Debian's chromium; skips them, and says so, where there is none. @returns the exit code */
export async function inChromium(checks: (browser: Browser) => Promise<void>): Promise<number> {
  const executablePath = findBinary('chromium') ?? findBinary('chromium-browser');
  if (executablePath === undefined) {
    console.log('skipped: there is no chromium on the PATH (Debian: apt-get install chromium)');
    return 0;
  }
  const args = ['--no-sandbox', '--disable-gpu', '--disable-background-networking'];
  const browser = await chromium.launch({ executablePath, args });
  try {
    await checks(browser);
  } finally {
    await browser.close();
  }
  console.log(
    problems.length === 0 ? 'the page is as it should be' : `${problems.length} problems`,
  );
  return problems.length === 0 ? 0 : 1;
}

/** Whatever a page asks for or logs that it should not. */
export function watched(context: BrowserContext, address: string): void {
  context.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(address) && !url.startsWith('data:')) expect(false, `asks for ${url}`);
  });
  context.on('console', (message) => {
    if (message.type() === 'error' && !message.text().includes('404'))
      expect(false, `logs ${message.text()} at ${message.page()?.url()}`);
  });
  context.on('weberror', (error) => expect(false, `throws ${error.error().message}`));
  context.on('dialog', () => expect(false, 'ran a script of a key or a value'));
}

/** Names, contrasts, landmarks, order of headings: what axe finds. @param part a selector; undefined: the whole page */
export async function examine(page: Page, what: string, part?: string): Promise<void> {
  // Its own world: the page's policy lets no script in.
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send('Page.getFrameTree');
  const { executionContextId: contextId } = await session.send('Page.createIsolatedWorld', {
    frameId: frameTree.frame.id,
  });
  await session.send('Runtime.evaluate', { contextId, expression: AXE });
  const where = part === undefined ? 'document' : JSON.stringify(part);
  const { result } = await session.send('Runtime.evaluate', {
    contextId,
    expression: `axe.run(${where}, { runOnly: ${JSON.stringify(WCAG)} }).then(({ violations }) =>
      violations.map(({ id, nodes }) => id + ' ' + nodes.map(({ target }) => target).join(', ')))`,
    awaitPromise: true,
    returnByValue: true,
  });
  const found = (result.value ?? ['axe did not run']) as string[];
  expect(
    found.length === 0,
    `${what}: axe finds nothing${found.length > 0 ? `: ${found.join('; ')}` : ''}`,
  );
  await session.detach();
}
