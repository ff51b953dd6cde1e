/** What users' keys, ids, values and messages, and anybody's addresses, can do to the page: nothing. */
import { describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { TorilError } from '../../../src/errors.ts';
import { createApp } from '../../../src/ui/app.ts';
import type { PageOptions } from '../../../src/ui/options.ts';
import { Browsing, unescaped } from '../../support/browsing.ts';
import { PlayedBoard, type PlayedLane } from '../../support/played-board.ts';

const SCRIPT = '<script>alert(1)</script>';
/** Each as key, job id, update's name, value, data, reason and who did it. */
const HOSTILE: Readonly<Record<string, string>> = {
  'a script': SCRIPT,
  'an attribute that ends': `"><img src=x onerror=alert(1)>'`,
  'a comment, a template and an entity': '<!--${x}{{x}}&amp;&#60;script&#62;',
  'an end of a script': '</script></style></title></pre><h1>gone',
  'U+202E': 'a\u202e1-a pord',
  'isolates and marks': '\u2066\u2067\u200f\u061c\u200b\ufeff',
  'control characters': 'a\u0000b\u0007c\u001b[31md\u0085e\u2028f',
  'line breaks': 'a\r\nb\nc\rd\te',
  '1 KiB of emoji': '👩‍👩‍👧‍👦🏳️‍🌈'.repeat(26),
  'a path': '../../etc/passwd?x=1&queue=y#z',
  dots: '..',
  'a percent sign': '%2e%2e%00%',
  'an address': 'javascript:alert(1)',
  blanks: '   ',
  'a plus': 'a+b c',
};

function browsing(lanes: readonly PlayedLane[], options: Partial<PageOptions> = {}) {
  const board = new PlayedBoard(lanes);
  const authorize = (): { who: string; may: 'write' } => ({ who: 'ada', may: 'write' });
  const browser = new Browsing(createApp({ authorize, ...options }, [board], systemClock));
  return { board, browser };
}

function laneOf(text: string): PlayedLane {
  return {
    key: text,
    jobId: text,
    name: text,
    state: { kind: 'held', jobId: text, forMs: 1, reason: text },
    cell: { kind: 'cell', value: { [text]: text }, token: 9 },
  };
}

/** Tags and attributes that only the page's own text may have. */
function expectHarmless(page: string): void {
  // What its reader has typed stays as it is, to be typed on.
  const html = page.replace(/<input type="search"[^<>]*>/, '');
  expect(html).not.toMatch(/<(img|h1>gone|script>)/);
  for (const [tag] of html.matchAll(/<[a-z][^<>]*>/g))
    expect(tag.replaceAll(/"[^"]*"/g, '""')).toMatch(/^<[a-z]\w*( (?!on)[\w:-]+(="")?)*>$/);
  expect(html).not.toMatch(/href="javascript:/);
  // oxlint-disable-next-line no-control-regex -- which is what is looked for
  expect(html).not.toMatch(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u061c\u2028-\u202e\u2066-\u2069\ufeff]/,
  );
  for (const [, attribute = ''] of html.matchAll(/(?:href|action)="([^"]*)"/g))
    expect(unescaped(attribute)).toMatch(/^(\/|#|data:,$)/);
}

describe.each(Object.entries(HOSTILE))('%s', (_, text) => {
  test('is harmless on every page, and its key can be looked at and acted on', async () => {
    const { board, browser } = browsing([laneOf(text), { key: 'other' }]);
    board.commitsThere = {
      hasMore: true,
      commits: ['1-0', '0-0'].map((id) => ({
        ...{ id, atMs: 1_700_000_000_000, token: 9, recovered: true },
        valueJson: JSON.stringify({ [text]: [text] }),
        jobs: [
          {
            jobId: text,
            name: text,
            dataJson: text,
            end: 'applied',
            attempt: 2,
            keys: ['other', text],
          },
        ],
      })),
    };
    await board.audit.end(
      await board.audit.begin({ who: text, what: 'drop', key: text, jobId: text }),
      { kind: 'refused', code: 'LANE_NOT_HELD', result: text },
    );

    const list = await browser.get('/');
    expectHarmless(list.text);
    const [, link = ''] = /<tbody>[\s\S]*?href="([^"]*)"/.exec(list.text) ?? [];
    const lane = await browser.get(unescaped(link));
    expect(lane.status).toBe(200);
    expectHarmless(lane.text);
    expect(lane.text).toContain('LANE_NOT_HELD');
    expectHarmless((await browser.get('/audit')).text);
    expectHarmless((await browser.get(`/?search=${encodeURIComponent(text)}`)).text);

    const [, act = ''] = /href="([^"]*action=drop[^"]*)"/.exec(lane.text) ?? [];
    expectHarmless((await browser.get(unescaped(act))).text);
    const done = await browser.send(unescaped(act));
    expectHarmless(done.text);
    // The very key and job, to the last character.
    expect(board.done).toEqual([['drop', text, text]]);

    const value = await browser.get(unescaped(link).replace('/key?', '/value?'));
    expect(JSON.parse(value.text)).toEqual({ [text]: text });
    expect(value.headers.get('content-disposition')).toContain('attachment');
    expect(value.headers.get('content-type')).toContain('application/json');
    expect(value.headers.get('x-content-type-options')).toBe('nosniff');
  });

  test('is harmless in an address', async () => {
    const { browser } = browsing([]);
    const typed = encodeURIComponent(text);
    for (const path of [
      ...[`/?queue=${typed}`, `/?cursor=${typed}&state=${typed}&order=${typed}`],
      ...[`/key?key=${typed}&done=${typed}`, `/job?job=${typed}`, `/act?key=a&action=${typed}`],
      ...[`/audit?key=${typed}&before=${typed}`, `/live?of=lane&queue=${typed}`, `/${typed}`],
    ]) {
      const { status, text: html } = await browser.get(path);
      expect(status, path).toBeLessThan(500);
      expectHarmless(html);
    }
  });
});

describe('a large value', () => {
  const megabyte = {
    text: 'x'.repeat(1024 * 1024),
    list: Array.from({ length: 9_000 }, (_, at) => at),
  };

  test('of 1 MiB is cut on the page, and whole as JSON', async () => {
    const cell = { kind: 'cell', value: megabyte, token: 9 } as const;
    const { board, browser } = browsing([{ key: 'large', cell }]);
    board.commitsThere = {
      hasMore: false,
      commits: ['2-0', '1-0'].map((id) => ({
        ...{ id, atMs: 1, token: 9, recovered: false, jobs: [] },
        valueJson: JSON.stringify({ ...megabyte, id }),
      })),
    };
    const startedMs = performance.now();
    const { text } = await browser.get('/key?key=large');
    expect(text.length).toBeLessThan(120_000);
    expect(text).toContain('more characters');
    expect(text).toContain('Too large to be compared here');
    expect(performance.now() - startedMs).toBeLessThan(2_000);
    expect(JSON.parse((await browser.get('/value?key=large')).text)).toEqual(megabyte);
  });

  test('that differs everywhere is not compared to the end', async () => {
    const numbers = (by: number): string =>
      JSON.stringify(Array.from({ length: 4_000 }, (_, at) => at * by));
    const { board, browser } = browsing([{ key: 'a' }]);
    board.commitsThere = {
      hasMore: false,
      commits: [7, 5].map((by) => ({
        ...{ id: `${by}-0`, atMs: by, token: by, recovered: false, jobs: [] },
        valueJson: numbers(by),
      })),
    };
    const startedMs = performance.now();
    expect((await browser.get('/key?key=a')).text).toContain('Too different');
    expect(performance.now() - startedMs).toBeLessThan(2_000);
  });
});

describe('what is not there', () => {
  test.each([
    ['/?queue=bull%3Anobody', 404, 'There is no queue'],
    ['/nowhere', 404, 'There is no such page'],
    ['/key', 400, 'INVALID_KEY'],
    ['/key?key=toril%3Alock%3Ax', 400, 'INVALID_KEY'],
    [`/key?key=${'x'.repeat(2_000)}`, 400, 'INVALID_KEY'],
    ['/key?key=new', 200, 'nothing waits'],
    ['/job?job=nobody', 404, 'is in no lane'],
    ['/value?key=new', 404, 'no value'],
    ['/act?key=a&action=explode', 400, 'no action'],
    ['/assets/../app.js', 404, 'There is no such page'],
  ])('%s: %i', async (path, status, words) => {
    const { browser } = browsing([]);
    const answer = await browser.get(path);
    expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(words)]);
  });
});

describe('servers that are away', () => {
  test('are told with a code, on every page', async () => {
    const { board, browser } = browsing([{ key: 'a' }]);
    board.broken = new TorilError('REDIS_FAILED', 'there was no answer within 5000 ms.');
    board.audit.broken = board.broken;
    for (const path of ['/', '/key?key=a', '/value?key=a', '/audit']) {
      const answer = await browser.get(path);
      expect([answer.status, answer.text]).toEqual([503, expect.stringContaining('REDIS_FAILED')]);
    }
    board.broken = undefined;
    expect((await browser.get('/')).status).toBe(200);
  });

  test('leave no stack and no message of somebody else on the page', async () => {
    const onError = vi.fn();
    const { board, browser } = browsing([{ key: 'a' }], { onError });
    board.broken = new Error('connect redis://:hunter2@10.0.0.1');
    const { status, text } = await browser.get('/');
    expect([status, text.includes('hunter2')]).toEqual([500, false]);
    expect(onError).toHaveBeenCalledWith(board.broken);
  });
});

describe('hide', () => {
  const secret = 'the secret of ada';
  const lane: PlayedLane = {
    key: 'a',
    state: { kind: 'held', jobId: '25', forMs: 1, reason: `cannot pay with ${secret}` },
    cell: { kind: 'cell', value: { card: secret }, token: 9 },
    copy: { card: secret },
  };
  const commits = {
    hasMore: false,
    commits: ['2-0', '1-0'].map((id) => ({
      ...{ id, atMs: 1, token: 9, recovered: false },
      valueJson: JSON.stringify({ card: secret, id }),
      jobs: [
        { jobId: '1', name: 'x', dataJson: `{"card":"${secret}"}`, end: 'applied', attempt: 1 },
      ],
    })),
  };

  test.each([
    ['what it returns is shown', () => ({ card: '****' }), '****'],
    [
      'what it throws is not',
      () => {
        throw new Error(secret);
      },
      '(hidden)',
    ],
  ])('%s, on every page', async (_, hide, shown) => {
    const { board, browser } = browsing([lane], { hide });
    board.commitsThere = commits;
    for (const path of ['/', '/key?key=a', '/value?key=a']) {
      const { status, text } = await browser.get(path);
      expect(status).toBe(200);
      expect(text).not.toContain(secret);
      expect(text, path).toMatch(
        shown === '****' && path === '/' ? /hidden/ : /\*\*\*\*|\(hidden\)/,
      );
    }
  });
});

describe('headers', () => {
  test('let nothing in from elsewhere, and keep nothing', async () => {
    const { browser } = browsing([]);
    const { headers } = await browser.get('/');
    expect(headers.get('content-security-policy')).toBe(
      "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    );
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
    expect(headers.get('strict-transport-security')).toBeNull();
  });

  test('let assets be kept for ever, under names that change with them', async () => {
    const { browser } = browsing([]);
    const { text } = await browser.get('/');
    const assets = [...text.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)].map(
      ([, at]) => at ?? '',
    );
    expect(assets).toHaveLength(2);
    for (const path of assets) {
      const { status, headers } = await browser.get(path);
      expect([status, headers.get('cache-control')]).toEqual([
        200,
        expect.stringContaining('immutable'),
      ]);
    }
  });
});
