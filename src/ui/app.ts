/** The page's routes. */
import type { Clock } from '../base/clock.ts';
import { messageOf, TorilError } from '../errors.ts';
import { audited } from '../jobs/audit-trail.ts';
import { isJobAction } from '../jobs/reports/why.ts';
import { Door } from './access/door.ts';
import { laneAnswer, lanesAnswer } from './answers.ts';
import { SESSION_COOKIE, SESSION_SECONDS } from './access/sessions.ts';
import type { Board } from './board.ts';
import {
  bodyLimit,
  type Context,
  csrf,
  deleteCookie,
  Hono,
  HTTPException,
  secureHeaders,
  setCookie,
} from './web.ts';
import { Links } from './links.ts';
import { LiveStreams } from './live-streams.ts';
import type { PageOptions, Visitor } from './options.ts';
import { actionPage, isBoardAction } from './pages/action-page.ts';
import { ASSETS } from './pages/assets/assets.ts';
import { auditPage } from './pages/audit-page.ts';
import type { Frame } from './pages/frame.ts';
import type { Html } from './pages/html.ts';
import { lanePage, lanePart } from './pages/lane-page.ts';
import { lanesPage, lanesPart } from './pages/lanes-page.ts';
import { signInPage, troublePage } from './pages/other-pages.ts';
import { statusOf, troubleOf } from './trouble.ts';
import { Views } from './views.ts';

/** A form of the page has a token and nothing else. */
const BODY_BYTES_MAX = 16 * 1024;
/** Seconds; the name of an asset has its hash. */
const FOR_EVER_SECONDS = 31_536_000;

interface Env {
  Variables: { visitor: Visitor };
}
type Asking = Context<Env>;

export interface App {
  fetch(request: Request): Promise<Response>;
  /** Ends what is live. */
  close(): void;
}

export function createApp(options: PageOptions, boards: readonly Board[], clock: Clock): App {
  const base = options.basePath ?? '';
  const routes = new Routes(options, boards, new Links(base, options.bullBoard), clock);
  const app = routes.app;
  return {
    // Some hosts take the path away at which they mount a handler, others leave it.
    fetch: async (request) => app.fetch(below(base, request)),
    close: () => routes.live.close(),
  };
}

function below(base: string, request: Request): Request {
  const url = new URL(request.url);
  if (base === '' || (url.pathname !== base && !url.pathname.startsWith(`${base}/`)))
    return request;
  url.pathname = url.pathname.slice(base.length) || '/';
  return new Request(url, request);
}

class Routes {
  readonly app: Hono<Env>;
  readonly live: LiveStreams;
  readonly #boards: readonly Board[];
  readonly #links: Links;
  readonly #door: Door;
  readonly #views: Views;
  readonly #onError: (thrown: unknown) => void;

  constructor(options: PageOptions, boards: readonly Board[], links: Links, clock: Clock) {
    this.#boards = boards;
    this.#links = links;
    this.#door = new Door(options, clock);
    this.#views = new Views(options.hide);
    this.#onError = options.onError ?? warn;
    this.live = new LiveStreams(clock);
    this.app = this.#routes();
  }

  #routes(): Hono<Env> {
    const app = new Hono<Env>({ strict: false });
    app.onError((thrown, context) => this.#trouble(context as Asking, thrown));
    app.notFound((context) => this.#notFound(context as Asking, 'There is no such page.'));
    app.use(secured());
    app.get('/assets/:name', (context) => asset(context.req.param('name')));
    // Browsers say where a form comes from; where one does not, its token does (#formOf).
    app.use(csrf({ origin: isOfHost }), bodyLimit({ maxSize: BODY_BYTES_MAX }));
    app.get('/sign-in', (context) => this.#signInByAddress(context));
    app.post('/sign-in', (context) => this.#signInByForm(context));
    app.use((context, next) => this.#letIn(context, next));
    app.post('/sign-out', (context) => this.#signOut(context));
    app.get('/', (context) => this.#lanes(context));
    app.get('/key', (context) => this.#lane(context));
    app.get('/value', (context) => this.#value(context));
    app.get('/job', (context) => this.#job(context));
    app.get('/act', (context) => this.#ask(context));
    app.post('/act', (context) => this.#act(context));
    app.get('/audit', (context) => this.#audit(context));
    app.get('/live', (context) => this.#live(context));
    return app;
  }

  // Who comes in

  async #letIn(context: Asking, next: () => Promise<void>): Promise<Response | void> {
    const visitor = await this.#door.visitor(context);
    if (visitor !== undefined) {
      context.set('visitor', visitor);
      return next();
    }
    if (this.#door.sessions === undefined) {
      return this.#told(context, 403, 'Closed', 'FORBIDDEN', 'The host did not let you in.');
    }
    const wantsPage = context.req.header('accept')?.includes('text/html') === true;
    if (context.req.method === 'GET' && wantsPage) {
      return context.redirect(this.#links.signIn(), 303);
    }
    return this.#told(context, 401, 'Closed', 'UNAUTHORIZED', 'Sign in first, or send a token.');
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
    if (this.#door.sessions === undefined)
      return this.#notFound(context, 'The host lets people in: there is nothing to sign in to.');
    return shown(
      context,
      signInPage(this.#frame(context, undefined), wasWrong),
      wasWrong ? 401 : 200,
    );
  }

  #begin(context: Asking, token: string): Response | Promise<Response> {
    const session = this.#door.sessions?.begin(token);
    if (session === undefined) return this.#signIn(context, true);
    setCookie(context, SESSION_COOKIE, session, {
      ...this.#cookie(context),
      maxAge: SESSION_SECONDS,
    });
    return context.redirect(this.#links.lanes(''), 303);
  }

  async #signOut(context: Asking): Promise<Response> {
    await this.#checkForm(context);
    deleteCookie(context, SESSION_COOKIE, this.#cookie(context));
    return context.redirect(this.#links.signIn(), 303);
  }

  #cookie(context: Asking): object {
    const proto = context.req.header('x-forwarded-proto') ?? new URL(context.req.url).protocol;
    return {
      httpOnly: true,
      sameSite: 'Strict',
      secure: proto.startsWith('https'),
      path: this.#links.lanes(''),
    };
  }

  // What is shown

  async #lanes(context: Asking): Promise<Response> {
    const board = this.#board(context);
    const view = await this.#views.lanes(board, queryOf(context));
    if (wantsJson(context)) return json(context, lanesAnswer(view));
    return shown(context, lanesPage(this.#frame(context, board, 'lanes'), view));
  }

  async #lane(context: Asking): Promise<Response> {
    const board = this.#board(context);
    const view = await this.#views.lane(board, keyOf(context), context.var.visitor.may);
    if (wantsJson(context)) return json(context, laneAnswer(view));
    const id = context.req.query('done');
    const done = id === undefined ? undefined : await this.#views.act(board, id);
    return shown(context, lanePage(this.#frame(context, board, 'lanes'), view, done));
  }

  async #value(context: Asking): Promise<Response> {
    const value = await this.#views.value(this.#board(context), keyOf(context));
    if (value === undefined) return this.#notFound(context, 'The key has no value.');
    context.header('Content-Disposition', 'attachment; filename="value.json"');
    return context.body(`${JSON.stringify(value, undefined, 2)}\n`, 200, {
      'Content-Type': 'application/json; charset=utf-8',
    });
  }

  /** To the key's page of a job: where links of bull-board lead to. */
  async #job(context: Asking): Promise<Response> {
    const board = this.#board(context);
    const jobId = context.req.query('job') ?? '';
    const [key] = await board.lanesOf(jobId);
    if (key === undefined)
      return this.#notFound(context, `The job ${JSON.stringify(jobId)} is in no lane.`);
    return context.redirect(this.#links.lane(board.qualifiedName, key), 303);
  }

  async #audit(context: Asking): Promise<Response> {
    const board = this.#board(context);
    const { key, before } = context.req.query();
    const trail = await board.audit.read({ key, before });
    const view = { queue: board.qualifiedName, key, trail };
    return shown(context, auditPage(this.#frame(context, board, 'audit'), view));
  }

  #live(context: Asking): Response | Promise<Response> {
    const board = this.#board(context);
    const { may } = context.var.visitor;
    if (context.req.query('of') === 'lane') {
      const key = keyOf(context);
      return this.live.stream(context, async () =>
        lanePart(this.#links, await this.#views.lane(board, key, may)),
      );
    }
    const query = queryOf(context);
    return this.live.stream(context, async () =>
      lanesPart(this.#links, await this.#views.lanes(board, query)),
    );
  }

  // What is done

  async #ask(context: Asking): Promise<Response> {
    const { board, key, action, jobId } = this.#wanted(context);
    const formToken = this.#door.formToken(context.var.visitor);
    const keys = isJobAction(action) ? await board.lanesOf(jobId) : [];
    const view = { queue: board.qualifiedName, key, action, jobId, formToken, keys };
    return shown(context, actionPage(this.#frame(context, board), view));
  }

  async #act(context: Asking): Promise<Response> {
    await this.#checkForm(context);
    const { board, key, action, jobId } = this.#wanted(context);
    const { who } = context.var.visitor;
    const about = {
      key: action === 'resume' ? '' : key,
      keys: isJobAction(action) ? await board.lanesOf(jobId) : [],
    };
    const { id } = await audited(board.audit, { who, what: action, ...about, jobId }, () =>
      board.act(action, key, jobId),
    );
    return context.redirect(this.#links.lane(board.qualifiedName, key, { done: id }), 303);
  }

  #wanted(context: Asking) {
    if (context.var.visitor.may !== 'write')
      throw new HTTPException(403, { message: 'You may read, not act.' });
    const { action, job } = context.req.query();
    if (!isBoardAction(action))
      throw new TorilError('INVALID_OPTIONS', `there is no action ${JSON.stringify(action)}.`);
    return { board: this.#board(context), key: keyOf(context), action, jobId: job ?? '' };
  }

  async #checkForm(context: Asking): Promise<void> {
    const { form } = await context.req.parseBody();
    if (this.#door.isFormOf(context.var.visitor, form)) return;
    throw new HTTPException(403, {
      message:
        'The form is not one of this page, or the page has been started again since. Nothing was done: load the page again.',
    });
  }

  // What all have in common

  #board(context: Asking): Board {
    const name = context.req.query('queue');
    const [first] = this.#boards;
    const board =
      name === undefined || name === ''
        ? first
        : this.#boards.find(({ qualifiedName }) => qualifiedName === name);
    if (board !== undefined) return board;
    throw new HTTPException(404, {
      message: `There is no queue ${JSON.stringify(name)} here. There are: ${this.#boards.map(({ qualifiedName }) => qualifiedName).join(', ')}.`,
    });
  }

  #frame(context: Asking, board: Board | undefined, tab?: Frame['tab']): Frame {
    const visitor = context.get('visitor') as Visitor | undefined;
    const hasSession = visitor !== undefined && this.#door.sessions !== undefined;
    return {
      links: this.#links,
      queues: this.#boards.map(({ qualifiedName }) => qualifiedName),
      queue: board?.qualifiedName,
      visitor,
      signOutToken: hasSession ? this.#door.formToken(visitor) : undefined,
      tab,
    };
  }

  #trouble(context: Asking, thrown: unknown): Response | Promise<Response> {
    if (thrown instanceof HTTPException) {
      const message = thrown.message || 'The request was refused.';
      return this.#told(context, thrown.status, 'Not done', codeOf(thrown.status), message);
    }
    if (!(thrown instanceof TorilError)) this.#onError(thrown);
    const { code, message } = troubleOf(thrown);
    return this.#told(context, statusOf(thrown), 'Something is wrong', code, message);
  }

  #notFound(context: Asking, message: string): Response | Promise<Response> {
    return this.#told(context, 404, 'Not found', 'NOT_FOUND', message);
  }

  #told(context: Asking, status: number, title: string, code: string, message: string) {
    if (wantsJson(context)) return json(context, { code, message }, status);
    return shown(
      context,
      troublePage(this.#frame(context, undefined), { title, code, message }),
      status,
    );
  }
}

function secured() {
  return secureHeaders({
    contentSecurityPolicy: {
      defaultSrc: ["'none'"],
      styleSrc: ["'self'"],
      scriptSrc: ["'self'"],
      connectSrc: ["'self'"],
      imgSrc: ['data:'],
      formAction: ["'self'"],
      frameAncestors: ["'none'"],
      baseUri: ["'none'"],
    },
    referrerPolicy: 'no-referrer',
    // The host's business: it would hold for all of its pages.
    strictTransportSecurity: false,
  });
}

/** For browsers without Sec-Fetch-Site. A proxy may have taken TLS off, so the scheme is not looked at. */
function isOfHost(origin: string, context: Context): boolean {
  return URL.canParse(origin) && new URL(origin).host === context.req.header('host');
}

function asset(name: string): Response {
  const found = Object.values(ASSETS).find((one) => one.name === name);
  if (found === undefined) return new Response('There is no such file.\n', { status: 404 });
  return new Response(found.text, {
    headers: {
      'Content-Type': found.type,
      'Cache-Control': `public, max-age=${FOR_EVER_SECONDS}, immutable`,
    },
  });
}

function shown(context: Asking, page: Html, status = 200): Response {
  return context.body(page, status as 200, {
    'Content-Type': 'text/html; charset=utf-8',
    'Cache-Control': 'no-store',
  });
}

/** A program, which says so; browsers ask for HTML. */
function wantsJson(context: Asking): boolean {
  const accepted = context.req.header('accept') ?? '';
  return accepted.includes('application/json') && !accepted.includes('text/html');
}

function json(context: Asking, answer: object, status = 200): Response {
  return context.body(JSON.stringify(answer), status as 200, {
    'Content-Type': 'application/json; charset=utf-8',
    'Cache-Control': 'no-store',
  });
}

function keyOf(context: Asking): string {
  return context.req.query('key') ?? '';
}

function queryOf(context: Asking) {
  const { state, order, search, cursor } = context.req.query();
  return { state, order, search, cursor };
}

function codeOf(status: number): string {
  if (status === 413) return 'TOO_LARGE';
  return status === 404 ? 'NOT_FOUND' : 'FORBIDDEN';
}

/** Not silent, and no end of the process. */
function warn(thrown: unknown): void {
  process.emitWarning(thrown instanceof Error ? thrown : messageOf(thrown));
}
