/** What all routes have in common: the queues that are shown, who is asked in, and how it is told that something is wrong. */
import type { Clock } from '../../base/clock.ts';
import { messageOf, TorilError } from '../../errors.ts';
import { Door } from '../access/door.ts';
import type { Board } from '../board.ts';
import type { Links } from '../links.ts';
import type { PageOptions, Visitor } from '../options.ts';
import type { Frame } from '../pages/frame.ts';
import { troublePage } from '../pages/other-pages.ts';
import { statusOf, troubleOf } from '../trouble.ts';
import { HTTPException } from '../web.ts';
import { type Asking, json, shown, wantsJson } from './asking.ts';

export class Site {
  readonly links: Links;
  readonly door: Door;
  readonly #boards: readonly Board[];
  readonly #onError: (thrown: unknown) => void;

  constructor(options: PageOptions, boards: readonly Board[], links: Links, clock: Clock) {
    this.links = links;
    this.door = new Door(options, clock);
    this.#boards = boards;
    this.#onError = options.onError ?? warn;
  }

  /** @throws HTTPException the form is none that this visitor was shown */
  async checkForm(context: Asking): Promise<void> {
    const { form } = await context.req.parseBody();
    if (this.door.isFormOf(context.var.visitor, form)) return;
    throw new HTTPException(403, {
      message:
        'The form is not one of this page, or the page has been started again since. Nothing was done: load the page again.',
    });
  }

  /** Of the queue that the address names, else the first. @throws HTTPException there is no such queue */
  board(context: Asking): Board {
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

  /** What stands around a page. */
  frame(context: Asking, board: Board | undefined, tab?: Frame['tab']): Frame {
    const visitor = context.get('visitor') as Visitor | undefined;
    const hasSession = visitor !== undefined && this.door.sessions !== undefined;
    return {
      links: this.links,
      queues: this.#boards.map(({ qualifiedName }) => qualifiedName),
      queue: board?.qualifiedName,
      visitor,
      signOutToken: hasSession ? this.door.formToken(visitor) : undefined,
      tab,
    };
  }

  /** What a route has thrown. */
  trouble(context: Asking, thrown: unknown): Response {
    if (thrown instanceof HTTPException) {
      const message = thrown.message || 'The request was refused.';
      return this.told(context, thrown.status, 'Not done', codeOf(thrown.status), message);
    }
    if (!(thrown instanceof TorilError)) this.#onError(thrown);
    const { code, message } = troubleOf(thrown);
    return this.told(context, statusOf(thrown), 'Something is wrong', code, message);
  }

  notFound(context: Asking, message: string): Response {
    return this.told(context, 404, 'Not found', 'NOT_FOUND', message);
  }

  told(context: Asking, status: number, title: string, code: string, message: string): Response {
    if (wantsJson(context)) return json(context, { code, message }, status);
    return shown(
      context,
      troublePage(this.frame(context, undefined), { title, code, message }),
      status,
    );
  }
}

function codeOf(status: number): string {
  if (status === 413) return 'TOO_LARGE';
  return status === 404 ? 'NOT_FOUND' : 'FORBIDDEN';
}

/** Not silent, and no end of the process. */
function warn(thrown: unknown): void {
  process.emitWarning(thrown instanceof Error ? thrown : messageOf(thrown));
}
