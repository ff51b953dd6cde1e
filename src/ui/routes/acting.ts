/** What is done: asked for once more, by a form that only this page could have shown, and noted in the audit trail. */
import { TorilError } from '../../errors.ts';
import { audited } from '../../jobs/audit-trail.ts';
import { actionPage, isBoardAction } from '../pages/action-page.ts';
import { type Hono, HTTPException } from '../web.ts';
import { type Asking, type Env, keyOf, shown } from './asking.ts';
import type { Site } from './site.ts';

export class Acting {
  readonly #site: Site;

  constructor(site: Site) {
    this.#site = site;
  }

  mount(app: Hono<Env>): void {
    app.get('/act', (context) => this.#ask(context));
    app.post('/act', (context) => this.#act(context));
  }

  async #ask(context: Asking): Promise<Response> {
    const { board, key, action, jobId } = this.#wanted(context);
    const formToken = this.#site.door.formToken(context.var.visitor);
    const keys = await board.keysOf(action, key, jobId);
    const view = { queue: board.qualifiedName, key, action, jobId, formToken, keys };
    return shown(context, actionPage(this.#site.frame(context, board), view));
  }

  async #act(context: Asking): Promise<Response> {
    await this.#site.checkForm(context);
    const { board, key, action, jobId } = this.#wanted(context);
    const { who } = context.var.visitor;
    const about = {
      key: action === 'resume' ? '' : key,
      keys: await board.keysOf(action, key, jobId),
    };
    const { id } = await audited(board.audit, { who, what: action, ...about, jobId }, () =>
      board.act(action, key, jobId),
    );
    return context.redirect(this.#site.links.lane(board.qualifiedName, key, { done: id }), 303);
  }

  #wanted(context: Asking) {
    if (context.var.visitor.may !== 'write')
      throw new HTTPException(403, { message: 'You may read, not act.' });
    const { action, job } = context.req.query();
    if (!isBoardAction(action))
      throw new TorilError('INVALID_OPTIONS', `there is no action ${JSON.stringify(action)}.`);
    return { board: this.#site.board(context), key: keyOf(context), action, jobId: job ?? '' };
  }
}
