/** Who comes in to the page, and what they may do there. */
import { describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { TorilError } from '../../../src/errors.ts';
import { createApp } from '../../../src/ui/app.ts';
import type { AccessToken, PageOptions } from '../../../src/ui/options.ts';
import { checkUiOptions } from '../../../src/ui/options.ts';
import { Browsing } from '../../support/browsing.ts';
import { PlayedBoard } from '../../support/played-board.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

const ADA: AccessToken = { token: 'the-token-of-ada-lovelace', who: 'ada', may: 'write' };
const BOB: AccessToken = { token: 'the-token-of-bob-the-reader', who: 'bob', may: 'read' };
const TOKENS: PageOptions = { tokens: [ADA, BOB] };
const DROP = '/act?queue=bull%3Aaccounts&key=a-1&action=drop&job=25';

function browsing(options: PageOptions = TOKENS): { board: PlayedBoard; browser: Browsing } {
  const board = new PlayedBoard([{ key: 'a-1' }]);
  const app = createApp(options, [board], systemClock);
  return { board, browser: new Browsing(app, options.basePath) };
}

describe('a visitor without a token', () => {
  test.each(['/', '/key?key=a-1', '/value?key=a-1', '/audit', '/live', '/job?job=25', DROP])(
    'sees nothing of %s',
    async (path) => {
      const { browser } = browsing();
      const page = await browser.get(path);
      expect(page.path).toBe('/sign-in');
      expect(page.text).not.toContain('a-1');
      const asked = await browser.get(path, { accept: '*/*' });
      expect(asked.status).toBe(401);
      expect(asked.text).not.toContain('a-1');
    },
  );

  test.each([
    'wrong',
    '',
    'the-token-of-ada-lovelac',
    `${ADA.token} `,
    '\u202e',
    'x'.repeat(9_000),
  ])('stays outside with the token %j', async (token) => {
    const { browser, board } = browsing();
    const given = await browser.post('/sign-in', { token });
    expect([given.status, browser.cookie]).toEqual([401, undefined]);
    expect(given.text).toContain('Nobody has this token');
    const bearer = await browser.get('/', {
      accept: '*/*',
      authorization: 'Bearer nobody-has-this',
    });
    expect(bearer.status).toBe(401);
    expect(board.asked).toEqual([]);
  });

  test('stays outside with a session that nobody signed', async () => {
    const { browser } = browsing();
    await browser.signIn(ADA.token);
    const [, session = ''] = (browser.cookie ?? '').split('=');
    const [at, end, signature = ''] = session.split('.');
    const forged = [
      `1.${end}.${signature}`,
      `${at}.${Number(end) + 1}.${signature}`,
      `${at}.${end}.${signature.slice(0, -1)}`,
      `9.${end}.${signature}`,
      `${at}.${end}.`,
      '..',
    ];
    for (const one of forged) {
      browser.cookie = `toril_session=${one}`;
      expect((await browser.get('/')).path, one).toBe('/sign-in');
    }
    browser.cookie = `toril_session=${session}`;
    expect((await browser.get('/')).status).toBe(200);
  });
});

describe('a session', () => {
  test('ends after 12 hours', async () => {
    const clock = new VirtualClock();
    const browser = new Browsing(createApp(TOKENS, [new PlayedBoard()], clock));
    await browser.signIn(ADA.token);
    expect((await browser.get('/')).status).toBe(200);
    const over = vi.spyOn(clock, 'wallMs').mockReturnValue(clock.wallMs() + 12 * 3_600_000);
    expect((await browser.get('/')).path).toBe('/sign-in');
    over.mockRestore();
  });

  test('ends with its token, also where the secret stays', async () => {
    const secret = 'a secret of at least 16';
    const before = new Browsing(createApp({ ...TOKENS, secret }, [new PlayedBoard()], systemClock));
    await before.signIn(ADA.token);
    const same = new Browsing(createApp({ ...TOKENS, secret }, [new PlayedBoard()], systemClock));
    same.cookie = before.cookie;
    expect((await same.get('/')).status).toBe(200);
    const tokens = [{ ...ADA, token: 'another-token-of-ada-lovelace' }, BOB];
    const other = new Browsing(createApp({ tokens, secret }, [new PlayedBoard()], systemClock));
    other.cookie = before.cookie;
    expect((await other.get('/')).path).toBe('/sign-in');
  });

  test('is a cookie that no script sees and no other site sends', async () => {
    const app = createApp(
      { ...TOKENS, basePath: '/admin/toril' },
      [new PlayedBoard()],
      systemClock,
    );
    const url = `http://127.0.0.1/admin/toril/sign-in?token=${ADA.token}`;
    const plain = (await app.fetch(new Request(url))).headers.get('set-cookie');
    expect(plain).toMatch(/Path=\/admin\/toril\/; HttpOnly; SameSite=Strict$/);
    const headers = { 'x-forwarded-proto': 'https' };
    const secure = (await app.fetch(new Request(url, { headers }))).headers.get('set-cookie');
    expect(secure).toContain('; Secure');
    expect(plain).not.toContain(ADA.token);
  });

  test('ends when its visitor signs out', async () => {
    const { browser } = browsing();
    const { text } = await browser.signIn(ADA.token);
    const [, form = ''] = /name="form" value="([^"]*)"/.exec(text) ?? [];
    expect((await browser.post('/sign-out', { form: 'x' })).status).toBe(403);
    expect((await browser.post('/sign-out', { form })).path).toBe('/sign-in');
    expect(browser.cookie).toBe('toril_session=');
  });
});

describe('a form', () => {
  test('is carried out once it is confirmed, and noted with who sent it', async () => {
    const { browser, board } = browsing();
    await browser.signIn(ADA.token);
    expect(board.done).toEqual([]);
    const page = await browser.send(DROP);
    expect(board.done).toEqual([['drop', 'a-1', '25']]);
    expect(board.audit.acts).toMatchObject([
      { who: 'ada', what: 'drop', key: 'a-1', jobId: '25', end: { kind: 'done' } },
    ]);
    expect(page.path).toMatch(/^\/key\?.*done=/);
    expect(page.text).toContain('the next worker carries it out');
  });

  test('of a reader is refused, and the page offers none', async () => {
    const { browser, board } = browsing();
    await browser.signIn(BOB.token);
    expect((await browser.get('/key?key=a-1')).text).not.toContain('/act?');
    expect((await browser.get(DROP)).status).toBe(403);
    expect((await browser.post(DROP, { form: 'x' })).status).toBe(403);
    expect(board.done).toEqual([]);
  });

  test('that another visitor was given is refused', async () => {
    const { browser, board } = browsing({
      tokens: [ADA, { ...BOB, may: 'write' }],
    });
    await browser.signIn(BOB.token);
    const bobs = await browser.formAt(DROP);
    expect(bobs).not.toBe('');
    await browser.signIn(ADA.token);
    for (const form of [bobs, '', 'x', bobs.slice(1)])
      expect((await browser.post(DROP, { form })).status).toBe(403);
    expect([board.done, board.audit.acts]).toEqual([[], []]);
  });

  test.each([
    { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' },
    { 'sec-fetch-site': 'same-site', origin: 'http://other.127.0.0.1:7777' },
    { origin: 'https://evil.example' },
    { origin: 'null' },
    {},
  ])('of another site is refused, also with a right token: %j', async (headers) => {
    const { browser, board } = browsing();
    await browser.signIn(ADA.token);
    const form = await browser.formAt(DROP);
    const answer = await browser.post(DROP, { form }, headers);
    expect(answer.status).toBe(403);
    expect(board.done).toEqual([]);
  });

  test('is accepted of a browser that sends only its origin, behind a proxy that takes TLS off', async () => {
    const { browser, board } = browsing();
    await browser.signIn(ADA.token);
    const form = await browser.formAt(DROP);
    const headers = { origin: 'https://toril.example', host: 'toril.example' };
    await browser.post(DROP, { form }, headers);
    expect(board.done).toHaveLength(1);
  });

  test('is not what a GET or a body of another kind is', async () => {
    const { browser, board } = browsing();
    await browser.signIn(ADA.token);
    await browser.get(DROP);
    const json = await browser.post(DROP, {}, { 'content-type': 'application/json' });
    expect(json.status).toBe(403);
    const large = await browser.post(DROP, { form: 'x'.repeat(20_000) });
    expect(large.status).toBe(413);
    expect(board.done).toEqual([]);
  });

  test('is not carried out if it cannot be noted', async () => {
    const { browser, board } = browsing();
    await browser.signIn(ADA.token);
    const form = await browser.formAt(DROP);
    board.audit.broken = new TorilError('REDIS_FAILED', 'Redis is away');
    expect((await browser.post(DROP, { form })).status).toBe(503);
    expect(board.done).toEqual([]);
  });

  test('that is refused is noted with why', async () => {
    const { browser, board } = browsing();
    await browser.signIn(ADA.token);
    board.refusing = new Error('another job holds it');
    const page = await browser.send(DROP);
    expect(page.text).toContain('another job holds it');
    expect(board.audit.acts).toMatchObject([{ end: { kind: 'refused', code: 'INTERNAL' } }]);
  });
});

describe("the host's authorize", () => {
  test('lets in whom it names, with what they may do', async () => {
    const { browser, board } = browsing({
      authorize: (request) => ({ who: request.headers.get('x-user') ?? '', may: 'write' }),
    });
    expect((await browser.get('/')).status).toBe(403);
    const page = await browser.get('/', { 'x-user': 'grace' });
    expect(page.text).toContain('grace');
    expect(page.text).not.toContain('Sign out');
    expect(board.audit.acts).toEqual([]);
  });

  test.each([
    undefined,
    null,
    'ada',
    {},
    { who: 'ada' },
    { who: 'ada', may: 'all' },
    { who: 1, may: 'read' },
    true,
  ])('that answers %j lets nobody in', async (answer) => {
    const authorize = (() => answer) as unknown as NonNullable<PageOptions['authorize']>;
    const { browser } = browsing({ authorize });
    expect((await browser.get('/')).status).toBe(403);
    expect((await browser.signIn(ADA.token)).status).toBe(404);
  });

  test('that throws lets nobody in, and is told', async () => {
    const onError = vi.fn();
    const { browser } = browsing({
      onError,
      authorize: () => Promise.reject(new Error('of the session store: password=hunter2')),
    });
    const page = await browser.get('/');
    expect(page.status).toBe(500);
    expect(page.text).not.toContain('hunter2');
    expect(onError).toHaveBeenCalledTimes(1);
  });
});

describe('options', () => {
  const queues = [new PlayedBoard()] as never;
  test.each([
    [{ queues }, 'closed unless'],
    [{ queues, tokens: [ADA], authorize: () => undefined }, 'either'],
    [{ queues: [], tokens: [ADA] }, 'at least one queue'],
    [{ queues: [...queues, ...queues], tokens: [ADA] }, 'twice'],
    [{ queues, tokens: [] }, 'at least one'],
    [{ queues, tokens: [{ ...ADA, token: 'short' }] }, '16 characters'],
    [{ queues, tokens: [{ ...ADA, who: '' }] }, '"who"'],
    [{ queues, tokens: [{ ...ADA, may: 'all' }] }, '"may"'],
    [{ queues, tokens: [ADA, { ...BOB, token: ADA.token }] }, 'the same'],
    [{ queues, tokens: [ADA], basePath: 'admin' }, 'basePath'],
    [{ queues, tokens: [ADA], basePath: '/admin/' }, 'basePath'],
    [{ queues, tokens: [ADA], secret: 'short' }, 'secret'],
    [{ queues, tokens: [ADA], hide: true }, 'hide'],
  ])('%#: what is wrong is said', (options, words) => {
    expect(() => checkUiOptions(options as never)).toThrow(words);
  });
});
