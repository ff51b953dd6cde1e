/** What programs get that ask the page for JSON. */
import { expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { TorilError } from '../../../src/errors.ts';
import { createApp } from '../../../src/ui/app.ts';
import type { PageOptions } from '../../../src/ui/options.ts';
import { Browsing } from '../../support/browsing.ts';
import { PlayedBoard } from '../../support/played-board.ts';

const JSON_ONLY = { accept: 'application/json' };
const TOKEN = 'the-token-of-a-program';
const HOSTILE = '<script>alert(1)</script>\u202e';

function asking(options: Partial<PageOptions> = {}) {
  const board = new PlayedBoard([{ key: HOSTILE, copy: { secret: 1 } }]);
  const authorize = (): { who: string; may: 'read' } => ({ who: 'ada', may: 'read' });
  const browser = new Browsing(createApp({ authorize, ...options }, [board], systemClock));
  const ask = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await browser.get(path, { ...JSON_ONLY, ...headers });
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    return { status: answer.status, said: JSON.parse(answer.text) as Record<string, unknown> };
  };
  return { board, browser, ask };
}

const KEY_PAGE = `/key?key=${encodeURIComponent(HOSTILE)}`;

test('keys and a key are answered, to the last character of what users wrote', async () => {
  const { ask } = asking();
  expect(await ask('/')).toMatchObject({
    status: 200,
    said: {
      queue: 'bull:accounts',
      counts: { held: 0 },
      lanes: [{ key: HOSTILE, sentence: expect.stringContaining('held by job 25') }],
      cursor: null,
    },
  });
  expect((await ask(KEY_PAGE)).said).toMatchObject({
    ...{ key: HOSTILE, code: 'held', actions: ['retry', 'skip', 'drop'], copy: { secret: 1 } },
    ...{ cell: 'none', refusedCommits: { count: 0 }, lastCommits: [{ token: 9 }] },
  });
});

test('what is hidden on the page is hidden here', async () => {
  const { ask } = asking({ hide: () => '****' });
  const { said } = await ask(KEY_PAGE);
  expect(said['copy']).toBe('****');
  expect(JSON.stringify(said)).not.toMatch(/secret|insufficient funds/);
  expect(JSON.stringify((await ask('/')).said)).not.toContain('insufficient funds');
});

test('what is wrong is answered with its code', async () => {
  const { ask, board } = asking();
  const codeOf = async (path: string) => {
    const { status, said } = await ask(path);
    return [status, said['code']];
  };
  expect(await codeOf('/key')).toEqual([400, 'INVALID_KEY']);
  expect(await codeOf('/nowhere')).toEqual([404, 'NOT_FOUND']);
  board.broken = new TorilError('REDIS_FAILED', 'there was no answer within 5000 ms.');
  expect(await codeOf('/')).toEqual([503, 'REDIS_FAILED']);
});

test('nobody is let in who has no token', async () => {
  const board = new PlayedBoard([{ key: 'a-1' }]);
  const tokens = [{ token: TOKEN, who: 'program', may: 'read' as const }];
  const browser = new Browsing(createApp({ tokens }, [board], systemClock));
  const outside = await browser.get('/', JSON_ONLY);
  expect([outside.status, JSON.parse(outside.text)]).toMatchObject([401, { code: 'UNAUTHORIZED' }]);
  const inside = await browser.get('/', { ...JSON_ONLY, authorization: `Bearer ${TOKEN}` });
  expect(inside.status).toBe(200);
});

test('a browser gets the page', async () => {
  const { browser } = asking();
  const { headers } = await browser.get('/', { accept: 'text/html,application/json;q=0.9' });
  expect(headers.get('content-type')).toContain('text/html');
});
