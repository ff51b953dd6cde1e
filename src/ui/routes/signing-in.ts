/** Who comes in: by a token that makes a session, or by what the host says. All routes behind `letIn` have a visitor. */
import { SESSION_COOKIE, SESSION_SECONDS } from '../access/sessions.ts';
import { signInPage } from '../pages/other-pages.ts';
import { deleteCookie, type Hono, setCookie } from '../web.ts';
import { type Asking, type Env, shown } from './asking.ts';
import type { Site } from './site.ts';

export class SigningIn {
  readonly #site: Site;

  constructor(site: Site) {
    this.#site = site;
  }

  mount(app: Hono<Env>): void {
    app.get('/sign-in', (context) => this.#signInByAddress(context));
    app.post('/sign-in', (context) => this.#signInByForm(context));
    app.use((context, next) => this.#letIn(context, next));
    app.post('/sign-out', (context) => this.#signOut(context));
  }

  async #letIn(context: Asking, next: () => Promise<void>): Promise<Response | void> {
    const visitor = await this.#site.door.visitor(context);
    if (visitor !== undefined) {
      context.set('visitor', visitor);
      return next();
    }
    if (this.#site.door.sessions === undefined) {
      return this.#site.told(context, 403, 'Closed', 'FORBIDDEN', 'The host did not let you in.');
    }
    const wantsPage = context.req.header('accept')?.includes('text/html') === true;
    if (context.req.method === 'GET' && wantsPage) {
      return context.redirect(this.#site.links.signIn(), 303);
    }
    return this.#site.told(
      context,
      401,
      'Closed',
      'UNAUTHORIZED',
      'Sign in first, or send a token.',
    );
  }

  async #signInByAddress(context: Asking): Promise<Response> {
    const token = context.req.query('token');
    if (token === undefined) return this.#signIn(context, false);
    return this.#begin(context, token);
  }

  async #signInByForm(context: Asking): Promise<Response> {
    const { token } = await context.req.parseBody();
    return this.#begin(context, typeof token === 'string' ? token : '');
  }

  #signIn(context: Asking, wasWrong: boolean): Response | Promise<Response> {
    if (this.#site.door.sessions === undefined)
      return this.#site.notFound(
        context,
        'The host lets people in: there is nothing to sign in to.',
      );
    return shown(
      context,
      signInPage(this.#site.frame(context, undefined), wasWrong),
      wasWrong ? 401 : 200,
    );
  }

  #begin(context: Asking, token: string): Response | Promise<Response> {
    const session = this.#site.door.sessions?.begin(token);
    if (session === undefined) return this.#signIn(context, true);
    setCookie(context, SESSION_COOKIE, session, {
      ...this.#cookie(context),
      maxAge: SESSION_SECONDS,
    });
    return context.redirect(this.#site.links.lanes(''), 303);
  }

  async #signOut(context: Asking): Promise<Response> {
    await this.#site.checkForm(context);
    deleteCookie(context, SESSION_COOKIE, this.#cookie(context));
    return context.redirect(this.#site.links.signIn(), 303);
  }

  #cookie(context: Asking): object {
    const proto = context.req.header('x-forwarded-proto') ?? new URL(context.req.url).protocol;
    return {
      httpOnly: true,
      sameSite: 'Strict',
      secure: proto.startsWith('https'),
      path: this.#site.links.lanes(''),
    };
  }
}
