/** What operators type, what users have written, and servers that are not there: told with a code, and nothing is lost. */
import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createUi } from '../../src/ui.ts';
import { defineUpdate } from '../../src/index.ts';
import { Browsing, unescaped } from '../support/browsing.ts';
import { enqueueLog, entries, stage } from '../support/workers.ts';
import { memcachedAddresses, startRedis } from '../support/servers.ts';
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

describe('a Redis with an access list', () => {
  const guide = readFileSync(new URL('../../docs/guide/security.md', import.meta.url), 'utf8');
  const [, rules = ''] = /^ACL SETUSER toril (.+)$/m.exec(guide) ?? [];

  /** With users whose rules are those of the guide, and more. */
  async function redisWith(
    users: Readonly<Record<string, string>>,
  ): Promise<(user: string) => string> {
    const server = await startRedis({ flags: ['--requirepass', 'secret'] });
    onTestFinished(() => server.stop());
    const { host } = new URL(server.address);
    const admin = new Redis(`redis://:secret@${host}`);
    for (const [user, more] of Object.entries(users))
      await admin.call('ACL', 'SETUSER', user, ...`${rules} ${more}`.split(' ').filter(Boolean));
    await admin.quit();
    return (user) => `redis://${user}${host}`;
  }

  test('lets Toril work by the rules of the guide', async () => {
    const url = await redisWith({ toril: '' });
    const redis = url('toril:PASSWORD@');
    const here = stage({ redis });
    await here.worker();
    await here.finished(await enqueueLog(here, entries(here.key(), 2)));
    for (const command of [
      ['status'],
      ['lanes'],
      ['why', here.key()],
      ['lane', here.key()],
      ['doctor'],
    ])
      expect([command, await torilHere([...command, '-q', here.name, '--redis', redis])]).toEqual([
        command,
        expect.objectContaining({ code: 0, stderr: '' }),
      ]);
  });

  test('that forbids something is said to do so, and what to do', async () => {
    const url = await redisWith({ unscripted: '-eval -evalsha', blind: '-client|list', toril: '' });
    const here = stage({ redis: url('toril:PASSWORD@') });
    await here.worker();
    await here.finished(await enqueueLog(here, entries(here.key(), 1)));
    const doctor = async (user: string) => {
      const args = ['doctor', '-q', here.name, '--redis', url(user)];
      const { code, stdout } = await torilHere(args);
      return { code, stdout };
    };
    expect(await doctor('')).toEqual({ code: 3, stdout: expect.stringContaining('wants a login') });
    expect(await doctor('unscripted:PASSWORD@')).toEqual({
      code: 3,
      stdout: expect.stringMatching(/bad +redis: .*NOPERM.*\n.*access list/),
    });
    expect(await doctor('blind:PASSWORD@')).toEqual({
      code: 0,
      stdout: expect.stringMatching(/unsure stock workers: .*\n.*CLIENT LIST/),
    });
  });
});

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
