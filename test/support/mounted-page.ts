/** What the page has to do below a path of a host's, whatever server that is. */
import { expect } from 'vitest';
import type { Queue } from '../../src/index.ts';
import { Browsing } from './browsing.ts';

/** Nobody needs to look at it. */
const BROWSING_ORIGIN = 'http://127.0.0.1:7777';
const ELSEWHERE = { 'sec-fetch-site': 'cross-site', origin: 'https://elsewhere.example' };

export interface MountedPage {
  /** Of the host: `http://127.0.0.1:PORT`. */
  readonly address: string;
  readonly path: string;
  /** Its first queue. */
  readonly queue: Queue;
  /** Undefined: the host lets people in. */
  readonly token?: string;
}

export interface LivePage {
  /** Resolves when the host has ended the page's stream of events. */
  readonly ended: Promise<void>;
}

/** Signs in, reads, is refused, acts, and follows a live page, which then stays open. */
export async function expectMountedPage(page: MountedPage): Promise<LivePage> {
  const { address, path, queue, token } = page;
  const browser = new Browsing({ fetch: (request) => sent(request, address) }, path);
  if (token !== undefined) await signIn(browser, page, token);

  const list = await browser.get('/');
  expect(list.text).toContain(queue.name);
  const links = [...list.text.matchAll(/(?:href|src|action)="(\/[^"]*)"/g)].map(([, to]) => to);
  expect(links.filter((to) => to !== path && !to?.startsWith(`${path}/`))).toEqual([]);
  const style = links.find((to) => to?.endsWith('.css')) ?? 'no style';
  const css = await fetch(`${address}${style}`);
  expect([css.status, css.headers.get('content-type')]).toEqual([
    200,
    expect.stringContaining('text/css'),
  ]);
  expect((await browser.get('/nowhere')).status).toBe(404);

  await queue.pause();
  const act = '/act?action=resume&key=any';
  const form = await browser.formAt(act);
  expect((await browser.post(act, { form }, ELSEWHERE)).status).toBe(403);
  expect((await browser.post(act, { form: 'a forged one' })).status).toBe(403);
  expect(await queue.isPaused()).toBe(true);
  expect((await browser.send(act)).text).toContain('workers get jobs again');
  expect(await queue.isPaused()).toBe(false);

  return live(browser, page);
}

async function signIn(browser: Browsing, page: MountedPage, token: string): Promise<void> {
  const { address, path } = page;
  expect((await browser.get('/')).path).toBe('/sign-in');
  expect((await fetch(`${address}${path}/value?key=k`)).status).toBe(401);
  const { headers } = await fetch(`${address}${path}/sign-in?token=${token}`, {
    redirect: 'manual',
  });
  expect(headers.get('location')).toMatch(new RegExp(`^${path}/?$`));
  expect(headers.get('set-cookie')).toMatch(new RegExp(`Path=${path}/?;`));
  await browser.signIn(token);
}

async function live({ cookie }: Browsing, { address, path }: MountedPage): Promise<LivePage> {
  const headers = cookie === undefined ? undefined : { cookie };
  const { body } = await fetch(`${address}${path}/live`, headers && { headers });
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  const { value } = await reader.read();
  expect(new TextDecoder().decode(value)).toContain('event: page');
  return { ended: untilEnd(reader) };
}

async function untilEnd(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  while (!(await reader.read()).done);
}

/** As it is, to where the host listens. */
function sent({ url, method, headers, body }: Request, address: string): Promise<Response> {
  return fetch(url.replace(BROWSING_ORIGIN, address), {
    ...{ method, headers, redirect: 'manual' },
    ...(method === 'POST' && { body, duplex: 'half' }),
  } as RequestInit);
}
