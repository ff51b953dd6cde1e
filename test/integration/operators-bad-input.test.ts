/** What operators type, what users have written, and servers that are not there: told with a code, and nothing is lost. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { createUi } from '../../src/ui.ts';
import { defineUpdate } from '../../src/index.ts';
import { Browsing, unescaped } from '../support/browsing.ts';
import { enqueueLog, entries, stage } from '../support/workers.ts';
import { memcachedAddresses } from '../support/servers.ts';
import { torilHere } from './cli-runner.ts';

const NO_REDIS = 'redis://127.0.0.1:1';

test.each(['status', 'lanes', 'lanes --held --drop', 'why k', 'lane k', 'lane k --retry'])(
  'toril %s ends with REDIS_FAILED where there is no Redis',
  async (command) => {
    const args = [...command.split(' '), '-q', 'q', '--redis', NO_REDIS];
    const { code, stdout, stderr } = await torilHere(args);
    expect([code, stdout]).toEqual([3, '']);
    expect(stderr).toMatch(/^error REDIS_FAILED: .*127\.0\.0\.1:1/);
  },
);

function pageOf(here: ReturnType<typeof stage>): Browsing {
  const authorize = (): { who: string; may: 'write' } => ({ who: 'ada', may: 'write' });
  const ui = createUi({ queues: [here.queue], memcached: [...memcachedAddresses()], authorize });
  onTestFinished(() => ui.close());
  return new Browsing(ui);
}

test.each(['x', 'newest.5.YQ', 'oldest.5', '<script>', '%00', 'oldest.99999999999999999.YQ'])(
  'the page refuses the cursor %j, as HTML and as JSON',
  async (cursor) => {
    const here = stage();
    await enqueueLog(here, entries(here.key(), 1));
    const browser = pageOf(here);
    const path = `/?cursor=${encodeURIComponent(cursor)}`;
    for (const accept of ['text/html', 'application/json']) {
      const { status, text } = await browser.get(path, { accept });
      expect([status, text]).toEqual([400, expect.stringContaining('INVALID_OPTIONS')]);
      if (accept === 'text/html') expect(text).not.toContain('<script>');
    }
    expect((await browser.get('/')).text).toContain(here.key());
  },
);

describe('what users have written', () => {
  const HOSTILE = [
    '<script>alert(1)</script>',
    '\u202etxt',
    '\u001b[2J',
    '👩‍👩‍👧‍👦'.repeat(20),
    '"\'&',
  ];
  const keep = defineUpdate({
    name: 'keep',
    key: ({ key }: { key: string; text: string }) => key,
    initial: () => '',
    apply: (_: string, { text }) => text,
  });

  test.each(HOSTILE)('%j is shown by page, JSON and terminal, and harms none', async (text) => {
    const here = stage({ updates: [keep] });
    const key = here.key(text);
    await here.worker();
    await here.finished([await here.queue.enqueue(keep, { key, text })]);
    const browser = pageOf(here);
    const path = `/key?key=${encodeURIComponent(key)}`;
    const html = (await browser.get(path)).text;
    expect(html).not.toMatch(/<script>|\u202e|\u001b/);
    if (text.startsWith('<')) expect(unescaped(html)).toContain(text);
    const json = JSON.parse((await browser.get(path, { accept: 'application/json' })).text);
    expect(json).toMatchObject({ key, copy: text, code: 'empty' });
    for (const command of ['why', 'lane']) {
      const { code, stdout } = await torilHere([command, key, '-q', here.name]);
      expect(code).toBe(0);
      expect(stdout).not.toMatch(/\u202e|\u001b\[2J/);
    }
  });
});
