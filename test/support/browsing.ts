/** A browser that knows cookies, forms and redirects, for tests of the page without a server. */
import type { App } from '../../src/ui/app.ts';

const ORIGIN = 'http://127.0.0.1:7777';

export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
  /** Where it ended. */
  readonly path: string;
}

export class Browsing {
  readonly #app: Pick<App, 'fetch'>;
  readonly #base: string;
  cookie: string | undefined;

  constructor(app: Pick<App, 'fetch'>, base = '') {
    this.#app = app;
    this.#base = base;
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.#ask(path, { headers: { accept: 'text/html', ...headers } });
  }

  /** As a browser sends a form of this site, unless other headers are given. */
  post(
    path: string,
    fields: Record<string, string>,
    headers: Record<string, string> = { 'sec-fetch-site': 'same-origin' },
  ): Promise<Answer> {
    return this.#ask(path, {
      method: 'POST',
      body: new URLSearchParams(fields),
      headers: { accept: 'text/html', ...headers },
    });
  }

  signIn(token: string): Promise<Answer> {
    return this.get(`/sign-in?token=${encodeURIComponent(token)}`);
  }

  /** What the form in the page at `path` carries. */
  async formAt(path: string): Promise<string> {
    const { text } = await this.get(path);
    const [, form] = /class="card">[\s\S]*name="form" value="([^"]*)"/.exec(text) ?? [];
    if (form === undefined) throw new Error(`no form at ${path}`);
    return form;
  }

  /** The form that the page at `path` has, sent as it is. */
  async send(path: string): Promise<Answer> {
    const { text } = await this.get(path);
    const [, action] = /<form method="post" action="([^"]*\/act[^"]*)"/.exec(text) ?? [];
    if (action === undefined) throw new Error(`no form at ${path}`);
    const form = await this.formAt(path);
    return this.post(unescaped(action).slice(this.#base.length), { form });
  }

  async #ask(path: string, init: RequestInit): Promise<Answer> {
    const headers = new Headers(init.headers);
    if (this.cookie !== undefined) headers.set('cookie', this.cookie);
    const url = `${ORIGIN}${this.#base}${path}`;
    const response = await this.#app.fetch(new Request(url, { ...init, headers }));
    const [, set] = /^(toril_session=[^;]*)/.exec(response.headers.get('set-cookie') ?? '') ?? [];
    if (set !== undefined) this.cookie = set;
    const to = response.headers.get('location');
    if (response.status === 303 && to !== null) return this.get(to.slice(this.#base.length));
    const text = await response.text();
    return { status: response.status, text, headers: response.headers, path };
  }
}

export function unescaped(html: string): string {
  return html
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');
}
