/** What is shown: pages for people, JSON for programs, and parts of pages that are kept up to date. */
import { laneAnswer, lanesAnswer } from '../answers.ts';
import type { LiveStreams } from '../live-streams.ts';
import { auditPage } from '../pages/audit-page.ts';
import { lanePage, lanePart } from '../pages/lane-page.ts';
import { lanesPage, lanesPart } from '../pages/lanes-page.ts';
import type { Views } from '../views.ts';
import type { Hono } from '../web.ts';
import { type Asking, type Env, json, keyOf, queryOf, shown, wantsJson } from './asking.ts';
import type { Site } from './site.ts';

export class Reading {
  readonly #site: Site;
  readonly #views: Views;
  readonly #live: LiveStreams;

  constructor(site: Site, views: Views, live: LiveStreams) {
    this.#site = site;
    this.#views = views;
    this.#live = live;
  }

  mount(app: Hono<Env>): void {
    app.get('/', (context) => this.#lanes(context));
    app.get('/key', (context) => this.#lane(context));
    app.get('/value', (context) => this.#value(context));
    app.get('/job', (context) => this.#job(context));
    app.get('/audit', (context) => this.#audit(context));
    app.get('/live', (context) => this.#follow(context));
  }

  async #lanes(context: Asking): Promise<Response> {
    const board = this.#site.board(context);
    const view = await this.#views.lanes(board, queryOf(context));
    if (wantsJson(context)) return json(context, lanesAnswer(view));
    return shown(context, lanesPage(this.#site.frame(context, board, 'lanes'), view));
  }

  async #lane(context: Asking): Promise<Response> {
    const board = this.#site.board(context);
    const view = await this.#views.lane(board, keyOf(context), context.var.visitor.may);
    if (wantsJson(context)) return json(context, laneAnswer(view));
    const id = context.req.query('done');
    const done = id === undefined ? undefined : await this.#views.act(board, id);
    return shown(context, lanePage(this.#site.frame(context, board, 'lanes'), view, done));
  }

  async #value(context: Asking): Promise<Response> {
    const value = await this.#views.value(this.#site.board(context), keyOf(context));
    if (value === undefined) return this.#site.notFound(context, 'The key has no value.');
    context.header('Content-Disposition', 'attachment; filename="value.json"');
    return context.body(`${JSON.stringify(value, undefined, 2)}\n`, 200, {
      'Content-Type': 'application/json; charset=utf-8',
    });
  }

  /** To the key's page of a job: where links of bull-board lead to. */
  async #job(context: Asking): Promise<Response> {
    const board = this.#site.board(context);
    const jobId = context.req.query('job') ?? '';
    const [key] = await board.lanesOf(jobId);
    if (key === undefined)
      return this.#site.notFound(context, `The job ${JSON.stringify(jobId)} is in no lane.`);
    return context.redirect(this.#site.links.lane(board.qualifiedName, key), 303);
  }

  async #audit(context: Asking): Promise<Response> {
    const board = this.#site.board(context);
    const { key, before } = context.req.query();
    const trail = await board.audit.read({ key, before });
    const view = { queue: board.qualifiedName, key, trail };
    return shown(context, auditPage(this.#site.frame(context, board, 'audit'), view));
  }

  #follow(context: Asking): Response | Promise<Response> {
    const board = this.#site.board(context);
    const { may } = context.var.visitor;
    if (context.req.query('of') === 'lane') {
      const key = keyOf(context);
      return this.#live.stream(context, async () =>
        lanePart(this.#site.links, await this.#views.lane(board, key, may)),
      );
    }
    const query = queryOf(context);
    return this.#live.stream(context, async () =>
      lanesPart(this.#site.links, await this.#views.lanes(board, query)),
    );
  }
}
